"""Every public name is documented: one line, every argument, and an example that runs."""

import inspect

import pytest

import lrsched as ls

PUBLIC = {f"{module.__name__}.{name}": getattr(module, name) for module in (ls, ls.clocks) for name in module.__all__}
METHODS = {
    f"{owner.__name__}.{name}": value
    for owner in (ls.Schedule, ls.Clock)
    for name, value in inspect.getmembers(owner, inspect.isfunction)
    if not name.startswith("_")
}
NEED_NO_EXAMPLE = {"at", "spans", "line", "init", "tick", "read", "report", "ScheduleState"}  # what others call, or make
MADE_HERE = ("lrsched.algebra.shapes", "lrsched.algebra.recipes", "lrsched.algebra.decays", "lrsched.clocks.metrics")


@pytest.mark.parametrize("name", [*PUBLIC, *METHODS])
def test_is_documented(name):
    value = (PUBLIC | METHODS)[name]
    text = inspect.getdoc(value) or ""
    first, *rest = text.split("\n")
    assert first.endswith((".", ":", "?")), first
    assert not rest or not rest[0], f"{name}: one line, then an empty one"
    if name.split(".")[-1] in NEED_NO_EXAMPLE:
        return
    assert ">>> " in text, f"{name} has no example"
    parameters = [p for p in inspect.signature(value).parameters if p != "self" and not p.startswith("_")]
    for parameter in parameters if value not in (ls.Clock, ls.Schedule) else ():
        assert f"{parameter}:" in text or f"{parameter}," in text or f"`{parameter}`" in text, f"{name}: {parameter}"
    if getattr(value, "__module__", "") in MADE_HERE and parameters:
        assert "Args:" in text, f"{name} does not say its arguments"
        assert "`" in text.split("Args:")[0], f"{name} has no formula"
