"""Named arrays in one file, in NumPy's `.npz` form. Whatever happens, the file is there whole or not at all."""

import os
import zipfile
from pathlib import Path

import numpy as np


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes the arrays; unlike `np.savez`, whatever their names."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, values in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.asarray(values), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read(path: Path) -> dict[str, np.ndarray]:
    """What was written.

    Raises:
        OSError, ValueError, zipfile.BadZipFile: if it cannot be read.
    """
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
