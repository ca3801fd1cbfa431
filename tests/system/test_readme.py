"""The Python of the README runs, block after block, in one namespace."""

import re

from helpers import ROOT, relaxed

README = ROOT / "README.md"


def test_its_blocks_run(tmp_path, monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names = {"__name__": "__readme__"}
    with relaxed():
        for block in blocks:
            exec(compile(block, "README.md", "exec"), names)
