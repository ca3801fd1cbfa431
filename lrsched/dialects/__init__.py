"""Other frameworks' schedules under their own names and boundary rules, as compositions of ours."""

import typing as _typing

if _typing.TYPE_CHECKING:
    from lrsched.dialects import keras as keras
    from lrsched.dialects import optax as optax
    from lrsched.dialects import timm as timm
    from lrsched.dialects import torch as torch
    from lrsched.dialects import transformers as transformers
else:

    def __getattr__(name: str) -> object:
        import importlib

        if name in ("keras", "optax", "timm", "torch", "transformers"):  # imported on first use
            return importlib.import_module(f"lrsched.dialects.{name}")
        raise AttributeError(
            f"module 'lrsched.dialects' has no attribute {name!r}: expected keras, optax, timm, torch or transformers."
        )
