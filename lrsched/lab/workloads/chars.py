"""The source of Python's standard library, character by character, and a transformer that predicts the next one.

The text is that of the running Python, so figures differ between its versions. With 3.11.7 a model of single characters needs
4.33 bits a character on the test split, of pairs 3.36, of triples 2.60. A run of 1,000 updates sees a tenth of the 2.5 million
characters.
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

from lrsched.lab.workloads.training import Params, Splits, Workload, draw

CONTEXT = 32
MODULES = {  # one file each in every Python from 3.11 to 3.14
    "train": "argparse ast bdb cmd codecs configparser contextlib csv dataclasses difflib dis doctest enum fractions ftplib"
    " functools gettext gzip heapq imaplib inspect ipaddress locale mailbox mimetypes modulefinder optparse pdb pickle"
    " pickletools pkgutil platform plistlib poplib pprint pstats pydoc random shutil smtplib socket statistics subprocess"
    " tarfile tempfile threading typing",
    "validation": "calendar codeop fileinput selectors textwrap traceback uuid",
    "test": "base64 compileall queue shlex socketserver tokenize trace weakref",
}
WINDOWS = {"validation": 64, "test": 256}  # spread evenly over the text; training has all windows
SYMBOLS = 97  # printable ASCII, the newline, and one for all other characters
WIDTH, HEADS, HIDDEN = 32, 2, 64  # of the transformer; HIDDEN is between its two dense layers
RECENT = 3  # symbols that are embedded at each place: its own and the two before


@functools.cache
def load() -> Splits:
    """Windows of `CONTEXT + 1` symbols, one a row. No module is in two splits, and no window in two modules."""
    width, splits = CONTEXT + 1, {}
    for split, modules in MODULES.items():
        texts = [_symbols(module) for module in modules.split()]
        windows = np.concatenate([text[: len(text) // width * width].reshape(-1, width) for text in texts])
        count = WINDOWS.get(split, len(windows))
        splits[split] = windows[np.arange(count) * len(windows) // count]
    return Splits(**splits)


def _symbols(module: str) -> np.ndarray:
    text = Path(sysconfig.get_path("stdlib"), f"{module}.py").read_text(encoding="utf-8")
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    symbols = np.where((codes >= 32) & (codes < 127), codes - 32, SYMBOLS - 1)
    return np.where(codes == ord("\n"), SYMBOLS - 2, symbols).astype(np.uint8)


def measure(params: Params, windows: Any) -> tuple[jax.Array, jax.Array]:
    """The loss in nats, and minus the bits per character."""
    symbols = jnp.asarray(windows, jnp.int32)
    logits = transformer(params, symbols[:, :-1])
    nats = optax.softmax_cross_entropy_with_integer_labels(logits, symbols[:, 1:]).mean()
    return nats, -nats / math.log(2)


def init(key: jax.Array) -> Params:
    """Random weights; every symbol is about equally likely at first."""
    shapes = {"embed": (RECENT, SYMBOLS, WIDTH), "attend": (WIDTH, 3 * WIDTH), "mix": (WIDTH, WIDTH)}
    shapes |= {"up": (WIDTH, HIDDEN), "down": (HIDDEN, WIDTH), "out": (WIDTH, SYMBOLS)}
    return draw(key, shapes, {"embed": SYMBOLS, "attend": 1.0, "mix": 1.0, "up": 2.0, "down": 1.0, "out": 1e-4})


def transformer(params: Params, symbols: jax.Array) -> jax.Array:
    """The logits of the next symbol: (n, length) → (n, length, symbols)."""
    # In so few updates attention would hardly learn the order of the last symbols, so each lag has its own embedding.
    embedded = [params["embed"][lag][symbols] for lag in range(RECENT)]
    later = [jnp.pad(x, ((0, 0), (lag, 0), (0, 0)))[:, : x.shape[1]] for lag, x in enumerate(embedded)]
    stream = sum(later, start=jnp.zeros(()))
    stream = stream + _attention(_norm(stream) @ params["attend"]) @ params["mix"]
    stream = stream + jax.nn.relu(_norm(stream) @ params["up"]) @ params["down"]
    return _norm(stream) @ params["out"]


def _norm(x: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)


def _attention(x: jax.Array) -> jax.Array:
    """Causal attention; `x` holds the queries, keys and values of all heads."""
    n, length, _ = x.shape
    queries, keys, values = (part.reshape(n, length, HEADS, -1) for part in jnp.split(x, 3, axis=-1))
    scores = jnp.einsum("nqhw,nkhw->nhqk", queries, keys) / math.sqrt(queries.shape[-1])
    # ALiBi (Press et al., 2022, arXiv:2108.12409): minus the distance times a slope of the head.
    distance = np.arange(length)[:, None] - np.arange(length)
    biases = np.where(distance >= 0, -(4.0 ** -np.arange(HEADS)[:, None, None]) * distance, -np.inf)
    shares = jax.nn.softmax(scores + jnp.asarray(biases, scores.dtype)[None], axis=-1)
    return jnp.einsum("nhqk,nkhw->nqhw", shares, values).reshape(n, length, -1)


WORKLOAD = Workload(
    name="chars",
    description="a transformer predicts the next character of Python's standard library; AdamW",
    score="minus the bits per character",
    load=load,
    init=init,
    measure=measure,
    optimizer=optax.chain(optax.scale_by_adam(b2=0.98), optax.add_decayed_weights(0.1)),
    rows=8,
    steps=1000,
    peaks=tuple(0.001 * 2.0**k for k in range(7)),
    batch_size=8,
)
