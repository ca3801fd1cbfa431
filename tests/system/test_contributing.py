"""CONTRIBUTING's examples: a shape and a combinator, added to a copy as it says, pass the tests that find them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

BLOCK = re.compile(r'^```python\n# (\S+), (?:(above|below) "([^\n]*)"|at the end)\n(.*?)^```', re.MULTILINE | re.DOTALL)
EXAMPLES = {  # the most places to edit, but for the optional formula, and the tests that find the new name
    "Example: add a shape": (
        3,
        "smoothstep or test_every",
        ("algebra/shapes", "shapes", "deep/test_precision", "latex", "display"),
    ),
    "Example: add a combinator": (
        5,
        "mirror or test_a_value_is_the_meaning or test_every",
        ("algebra/schedule", "laws", "texts", "display"),
    ),
}


def edit(root: Path, path: str, where: str, anchor: str, code: str) -> None:
    """Puts code into a file: above or below the one line that begins with the anchor, or at the end."""
    lines = (root / path).read_text().splitlines(keepends=True)
    at = len(lines)
    if where:
        [at] = [i for i, line in enumerate(lines) if line.startswith(anchor)]
        at += where == "below"
    (root / path).write_text("".join([*lines[:at], *([] if where else ["\n\n"]), code, *lines[at:]]))


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_works(title, tmp_path):
    most, names, (module, *files) = EXAMPLES[title]
    for name in ("lrsched", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "golden"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    section = (ROOT / "CONTRIBUTING.md").read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    blocks = BLOCK.findall(section)
    assert len(blocks) == section.count("```python")
    assert len([path for path, *_ in blocks if path != "lrsched/views/latex.py"]) <= most
    for block in blocks:
        edit(tmp_path, *block)
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", "-k", names, f"lrsched/{module}.py"]
    command += [f"tests/{name}.py" if "/" in name else f"tests/test_{name}.py" for name in files]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
