"""Packages import only from earlier ones, files never in a circle, and every public name is documented."""

import ast
import graphlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import lrsched

ROOT = Path(lrsched.__file__).parent
FLOORS = ["algebra", "clocks", "views", "training", "dialects", "lab", "__main__"]
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]
PUBLIC = {f"{module.__name__}.{name}": getattr(module, name) for module in (lrsched, lrsched.clocks) for name in module.__all__}
METHODS = {
    f"{owner.__name__}.{name}": value
    for owner in (lrsched.Schedule, lrsched.Clock)
    for name, value in inspect.getmembers(owner, inspect.isfunction)
    if not name.startswith("_")
}
NEED_NO_EXAMPLE = {"at", "spans", "line", "init", "tick", "read", "report", "ScheduleState"}  # what others call, or make
MADE_HERE = ("lrsched.algebra.shapes", "lrsched.algebra.recipes", "lrsched.algebra.decays", "lrsched.clocks.metrics")


def first(path):
    """The name of the package that a file is in, or of the file where it is in none."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """Where a file imports from the package, and the file that it imports: of a name, the one that has it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, *parts = name.split(".")
            if package == "lrsched":
                target = ROOT.joinpath(*parts)
                target = target if target.is_dir() or target.with_suffix(".py").exists() else target.parent
                yield node, target / "__init__.py" if target.is_dir() else target.with_suffix(".py")


def test_imports_come_from_earlier_packages():
    graph = {}
    for path in FILES:
        found = [*imported(path)]
        for node, target in found:
            above = FLOORS.index("training" if target == ROOT / "__init__.py" else first(target))
            where = f"{path.relative_to(ROOT)}:{node.lineno} imports {target.relative_to(ROOT)} from a later package"
            assert first(target) == first(path) or above < FLOORS.index(first(path)), where
        at_once = {target for node, target in found if node.col_offset == 0}
        graph[path] = {target for target in at_once if target != path and target.name != "__init__.py"}
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_every_file_says_its_job_and_is_not_long():
    for path in FILES:
        text = path.read_text()
        assert ast.get_docstring(ast.parse(text)), path
        assert len(text.splitlines()) <= 450, path


def test_the_public_face_lists_its_names_and_imports_little():
    names = {name for name, value in vars(lrsched).items() if not name.startswith("_") and not isinstance(value, type(sys))}
    assert names == set(lrsched.__all__)
    assert all(name in str(lrsched.__doc__) for name in names), "help(lrsched) lists them"
    assert callable(lrsched.dialects.torch.StepLR)
    assert callable(lrsched.lab.compare)
    assert f"\nversion: {lrsched.__version__}\n" in (ROOT.parent / "CITATION.cff").read_text()
    assert (ROOT.parent / "CHANGELOG.md").read_text().split("\n## ")[1].startswith(f"{lrsched.__version__} - ")
    seen = {name for name, value in vars(lrsched).items() if isinstance(value, type(sys)) and not name.startswith("_")}
    assert seen <= set(FLOORS)
    live = "ls.scale_by_learning_rate(0.1, live=True).init(0.0)"
    others = ("matplotlib", "sklearn", "rich", "scipy.stats", "flax")
    code = f"import sys; from lrsched import *; import lrsched as ls; {live}; print([m for m in {others} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [*PUBLIC, *METHODS])
def test_is_documented(name):
    """In one line, with every argument, and an example that runs."""
    value = (PUBLIC | METHODS)[name]
    text = inspect.getdoc(value) or ""
    first, *rest = text.split("\n")
    assert first.endswith((".", ":", "?")), first
    assert not rest or not rest[0], f"{name}: one line, then an empty one"
    if name.split(".")[-1] in NEED_NO_EXAMPLE:
        return
    assert ">>> " in text, f"{name} has no example"
    parameters = [p for p in inspect.signature(value).parameters if p != "self" and not p.startswith("_")]
    for parameter in parameters if value not in (lrsched.Clock, lrsched.Schedule) else ():
        assert f"{parameter}:" in text or f"{parameter}," in text or f"`{parameter}`" in text, f"{name}: {parameter}"
    if getattr(value, "__module__", "") in MADE_HERE and parameters:
        assert "Args:" in text, f"{name} does not say its arguments"
        assert "`" in text.split("Args:")[0], f"{name} has no formula"
