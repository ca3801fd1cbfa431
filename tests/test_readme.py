"""The Python of the README runs, block after block, in one namespace."""

import re
from pathlib import Path

import pytest
from helpers import relaxed

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.skipif(not README.exists(), reason="there is no README")
def test_its_blocks_run(tmp_path, monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names = {"__name__": "__readme__"}
    with relaxed():
        for block in blocks:
            exec(compile(block, "README.md", "exec"), names)
