"""What is public is documented: in one line, with every argument, and an example that runs."""

import inspect

import pytest

import lrsched as ls

PUBLIC = {f"ls.{name}": value for name, value in vars(ls).items() if not name.startswith("_") and not inspect.ismodule(value)}
METHODS = {
    f"{owner.__name__}.{name}": value
    for owner in (ls.Schedule, ls.Clock)
    for name, value in inspect.getmembers(owner, inspect.isfunction)
    if not name.startswith("_")
}
NEED_NO_EXAMPLE = {"at", "spans", "line", "init", "tick", "read", "report", "ScheduleState"}  # what others call, or make

MADE_HERE = ("lrsched.algebra.shapes", "lrsched.algebra.recipes", "lrsched.clocks.recipes")


def parameters(value):
    names = [p.name for p in inspect.signature(value).parameters.values()]
    return [name for name in names if name != "self" and not name.startswith("_")]


@pytest.mark.parametrize("name", [*PUBLIC, *METHODS])
def test_has_one_line_and_the_rest(name):
    value = (PUBLIC | METHODS)[name]
    assert value.__doc__, name
    first, *rest = (inspect.getdoc(value) or "").split("\n")
    assert first.endswith((".", ":", "?")), first
    assert not rest or not rest[0], f"{name}: one line, then an empty one"


@pytest.mark.parametrize("name", [name for name in [*PUBLIC, *METHODS] if name.split(".")[1] not in NEED_NO_EXAMPLE])
def test_has_an_example_and_its_arguments(name):
    value = (PUBLIC | METHODS)[name]
    text = inspect.getdoc(value) or ""
    assert ">>> " in text, f"{name} has no example"
    for parameter in parameters(value) if value not in (ls.Clock, ls.Schedule) else ():
        assert f"{parameter}:" in text or f"{parameter}," in text or f"`{parameter}`" in text, f"{name}: {parameter}"


SHAPES_AND_RECIPES = [
    name for name, value in PUBLIC.items() if getattr(value, "__module__", "") in MADE_HERE and parameters(value)
]


@pytest.mark.parametrize("name", SHAPES_AND_RECIPES)
def test_a_schedule_says_its_arguments_and_its_formula(name):
    text = inspect.getdoc(PUBLIC[name]) or ""
    for section in ("Args:", ">>> "):
        assert section in text, f"{name} has no {section}"
    assert "`" in text.split("Args:")[0], f"{name} has no formula"
