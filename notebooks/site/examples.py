"""Examples of docstrings as blocks of code: a doctest is a paragraph that begins with `>>>`."""

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Puts fences around the doctests of every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = re.sub(r"(?m)^( *)(>>> .*(?:\n *\S.*)*)", _fenced, obj.docstring.value)


def _fenced(found: re.Match[str]) -> str:
    indent, code = found.groups()
    return f"{indent}```pycon\n{indent}{code}\n{indent}```"
