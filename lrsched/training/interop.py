"""What other libraries have to be told about nodes, where they do not go by JAX's registry of pytrees."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

T = TypeVar("T")
_told: set[type] = set()


def tell_flax(kind: type, names: tuple[str, ...]) -> None:
    """Lets `flax.serialization`, if it is there, take objects of a class apart: into the attributes that are in its tree."""
    flax: Any = sys.modules.get("flax.serialization")
    if flax is None or kind in _told:
        return

    def to_state(x: object) -> dict[str, Any]:
        return {name: flax.to_state_dict(getattr(x, name)) for name in names}

    def from_state(x: T, state: Any) -> T:
        found = sorted(state) if isinstance(state, dict) else [type(state).__name__]
        if found != sorted(names):
            raise ValueError(
                f"the state of a {kind.__name__} holds {', '.join(names) or 'nothing'}, and what was saved at path"
                f" {flax.current_path()} is {', '.join(found) or 'nothing'}: it is the state of another schedule"
            )
        restored = object.__new__(kind)
        restored.__dict__.update(vars(x))
        restored.__dict__.update({name: flax.from_state_dict(getattr(x, name), state[name], name=name) for name in names})
        return restored

    flax.register_serialization_state(kind, to_state, from_state, override=True)
    _told.add(kind)
