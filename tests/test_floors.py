"""Packages import only from the packages below them, and files never in a circle: CONTRIBUTING, where things are."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import lrsched

ROOT = Path(lrsched.__file__).parent
FLOORS = ["algebra", "clocks", "views", "training", "dialects", "lab", "__main__"]
FILES = sorted(ROOT.rglob("*.py"))
IDS = [str(path.relative_to(ROOT)) for path in FILES]


def floor(path):
    """The floor of a file or of a folder."""
    name = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return FLOORS.index(name)


def imported(path):
    """The files and folders of the package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "lrsched":
                yield node, parts[1:]


def exists(parts):
    target = ROOT.joinpath(*parts)
    return target.is_dir() or target.with_suffix(".py").exists()


@pytest.mark.parametrize("path", [path for path in FILES if path.parent != ROOT or path.name != "__init__.py"], ids=str)
def test_imports_come_from_below(path):
    for node, parts in imported(path):
        where = f"{path.relative_to(ROOT)}:{node.lineno}"
        if isinstance(node, ast.Import) and not parts:
            assert floor(path) >= FLOORS.index("dialects"), f"{where} imports the whole package"
        elif not parts:
            assert all(exists([alias.name]) for alias in node.names), f"{where} imports from the public face"
        elif exists(parts):
            target = ROOT / parts[0]
            same_floor = len(path.relative_to(ROOT).parts) > 1 and path.relative_to(ROOT).parts[0] == parts[0]
            assert same_floor or floor(target) < floor(path), f"{where} imports {'.'.join(parts)} from above"


def file_of(parts):
    """The file that an import names, None if it names something in the file before."""
    target = ROOT.joinpath(*parts)
    return target / "__init__.py" if target.is_dir() else target.with_suffix(".py")


def test_no_file_imports_itself_by_a_detour():
    graph = {}
    for path in FILES:
        targets = [file_of(parts) for node, parts in imported(path) if node.col_offset == 0 and parts and exists(parts)]
        graph[path] = {target for target in targets if target != path and target.name != "__init__.py"}
    assert list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_every_file_has_a_floor_and_says_its_job(path):
    assert path == ROOT / "__init__.py" or floor(path) >= 0
    assert not path.read_text() or ast.get_docstring(ast.parse(path.read_text()))


def test_the_public_face_defines_nothing_but_an_error():
    docstring, checking, *rest, error = ast.parse((ROOT / "__init__.py").read_text()).body
    assert isinstance(docstring, ast.Expr)
    assert ast.unparse(checking) == "from typing import TYPE_CHECKING as _TYPE_CHECKING"
    assert isinstance(error, ast.If)
    assert [node.name for node in error.body if isinstance(node, ast.FunctionDef)] == ["__getattr__"]
    for node in rest:
        assert isinstance(node, ast.ImportFrom), ast.unparse(node)
        assert all(alias.asname == alias.name for alias in node.names), ast.unparse(node)


def test_importing_the_library_imports_nothing_heavy():
    code = "import sys, lrsched; print([m for m in ('matplotlib', 'sklearn', 'rich', 'scipy.stats') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert shown.stdout.strip() == "[]"


def test_no_file_is_long():
    assert not {str(path.relative_to(ROOT)): lines for path in FILES if (lines := len(path.read_text().splitlines())) > 450}


def test_packages_are_the_only_modules_to_be_seen():
    seen = {name for name, value in vars(lrsched).items() if isinstance(value, type(sys)) and not name.startswith("_")}
    assert seen <= {"algebra", "clocks", "views", "training", "dialects", "lab"}
