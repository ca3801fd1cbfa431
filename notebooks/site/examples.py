"""How the reference shows docstrings: doctests as blocks of code, and parameters without their annotations."""

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Puts fences around doctests, paragraphs that begin with `>>>`, and drops annotations: the text says what is allowed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        for parameter in obj.parameters if isinstance(obj, griffe.Function) else []:
            parameter.annotation = None
        if obj.docstring:
            obj.docstring.value = re.sub(r"(?m)^( *)(>>> .*(?:\n *\S.*)*)", _fenced, obj.docstring.value)


def _fenced(found: re.Match[str]) -> str:
    indent, code = found.groups()
    return f"{indent}```pycon\n{indent}{code}\n{indent}```"
