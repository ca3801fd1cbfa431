"""The Python of the README and of the pages "Coming from …" runs, block after block, in one namespace each."""

import re

import pytest
from helpers import ROOT, relaxed

PAGES = [ROOT / "README.md", *sorted((ROOT / "notebooks").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_blocks_run(page, tmp_path, monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names = {"__name__": "__readme__"}
    with relaxed():
        for block in blocks:
            exec(compile(block, page.name, "exec"), names)
