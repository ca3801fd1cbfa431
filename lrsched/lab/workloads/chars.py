"""The source of Python's standard library, character by character, and a transformer that predicts the next one.

The text is that of the Python that runs it, so figures differ between its versions; `Workload.data` says which one it was. With
3.11.7 the test split costs 4.33 bits a character for who knows how often each comes in the training split, 3.36 for who knows
all its pairs and 2.60 for its triples. Of its 2.5 million characters a run of 1,000 updates sees a tenth.
"""

import functools
import math
import sysconfig
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.lab.workloads import transformer
from lrsched.lab.workloads.training import Splits, Task

CONTEXT = 32
MODULES = {  # one file each in every Python from 3.11 to 3.14
    "train": "argparse ast bdb cmd codecs configparser contextlib csv dataclasses difflib dis doctest enum fractions ftplib"
    " functools gettext gzip heapq imaplib inspect ipaddress locale mailbox mimetypes modulefinder optparse pdb pickle"
    " pickletools pkgutil platform plistlib poplib pprint pstats pydoc random shutil smtplib socket statistics subprocess"
    " tarfile tempfile threading typing",
    "validation": "calendar codeop fileinput selectors textwrap traceback uuid",
    "test": "base64 compileall queue shlex socketserver tokenize trace weakref",
}
WINDOWS = {"validation": 64, "test": 256}  # evenly over the text; training has all that there are
SYMBOLS = 97  # printable ASCII, the newline, and one for all other characters
SIZE = transformer.Size(SYMBOLS)

_NEWLINE, _OTHER = 95, 96


def encode(text: str) -> np.ndarray:
    """The symbols of a text, one a character."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    symbols = np.where((codes >= 32) & (codes < 127), codes - 32, _OTHER)
    return np.where(codes == ord("\n"), _NEWLINE, symbols).astype(np.uint8)


@functools.cache
def load() -> Splits:
    """Windows of `CONTEXT + 1` symbols, one a row. No module is in two splits, and no window in two modules."""
    return Splits(*(_windows(split) for split in Splits._fields))


def _windows(split: str) -> np.ndarray:
    width = CONTEXT + 1
    texts = [encode(_source(module)) for module in MODULES[split].split()]
    windows = np.concatenate([text[: len(text) // width * width].reshape(-1, width) for text in texts])
    count = WINDOWS.get(split, len(windows))
    return windows[np.arange(count) * len(windows) // count]


def _source(module: str) -> str:
    path = Path(sysconfig.get_path("stdlib"), f"{module}.py")
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FileNotFoundError(
            f"the workload 'chars' reads the source of Python's standard library, and cannot read {path}: {error.strerror};"
            " install Python with its source files"
        ) from None


def task(batch_size: int = 8, size: transformer.Size = SIZE) -> Task:
    """A transformer that AdamW trains on that many windows an update. The score is minus the bits per character."""

    def loss(params: Any, windows: Any) -> jax.Array:
        symbols = jnp.asarray(windows, jnp.int32)
        logits = transformer.apply(params, symbols[:, :-1], size)
        return optax.softmax_cross_entropy_with_integer_labels(logits, symbols[:, 1:]).mean()

    def score(params: Any, windows: Any) -> tuple[jax.Array, jax.Array]:
        nats = loss(params, windows)
        return nats, -nats / math.log(2)

    optimizer = optax.chain(optax.scale_by_adam(b2=0.98), optax.add_decayed_weights(0.1))
    return Task(load(), functools.partial(transformer.init, size=size), loss, score, optimizer, batch_size)
