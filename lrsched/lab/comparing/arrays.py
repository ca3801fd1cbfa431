"""Named arrays in one file, in NumPy's `.npz` form. Whatever happens, a file is there whole or not at all."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

_ENDING = ".npy"


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes the arrays; unlike `np.savez`, whatever their names."""

    def content(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, values in arrays.items():
                with archive.open(name + _ENDING, "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.asarray(values), allow_pickle=False)

    write_whole(path, content)


def write_whole(path: Path, content: Callable[[IO[bytes]], Any]) -> None:
    """Writes a file under another name, and renames it when it is on the disk."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        content(file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read(path: Path) -> dict[str, np.ndarray]:
    """What was written; any error of a decoder, if it is not all there."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as entry:
                found[name.removesuffix(_ENDING)] = np.lib.format.read_array(entry, allow_pickle=False)
    return found
