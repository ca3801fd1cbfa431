"""Runs every notebook of this folder from a clean kernel: `python notebooks/execute.py`, with `--write` to keep the outputs.

An error fails, and so does a warning or anything else that a cell writes to stderr.
"""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

FOLDER = Path(__file__).resolve().parent


def main() -> int:
    """Returns the exit code: 1 if a notebook fails."""
    parser = argparse.ArgumentParser(description="Runs every notebook of this folder from a clean kernel.")
    parser.add_argument("--write", action="store_true", help="keep the outputs in the notebooks")
    parser.add_argument("names", nargs="*", help="which notebooks, without .ipynb (default: all)")
    options = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # the same outputs everywhere
    paths = [FOLDER / f"{name}.ipynb" for name in options.names] or sorted(FOLDER.glob("*.ipynb"))
    notebooks = {path: nbformat.read(path, as_version=4) for path in paths}
    failed = False
    with ThreadPoolExecutor(2) as pool:  # each notebook has a process of its own, and leaves a core idle half of the time
        for path, (problem, seconds) in zip(notebooks, pool.map(_timed, notebooks.values()), strict=True):
            failed = failed or bool(problem)
            print(f"{path.name}: {'failed' if problem else 'ran'} in {seconds:.1f} s", flush=True)
            if problem:
                print(problem, file=sys.stderr)
            elif options.write:
                _normalise(notebooks[path])
                nbformat.write(notebooks[path], path)
    return int(failed)


def _timed(notebook: Any) -> tuple[str, float]:
    begin = time.perf_counter()
    return _run(notebook), time.perf_counter() - begin


def _run(notebook: Any) -> str:
    """Executes a notebook; what went wrong, or an empty string."""
    with tempfile.TemporaryDirectory() as sockets:
        config = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})  # no ports, no warning of them
        place = {"metadata": {"path": str(FOLDER)}}
        client = NotebookClient(
            notebook,
            config=config,
            kernel_name="python3",
            timeout=300,
            record_timing=False,
            coalesce_streams=True,  # however the prints of a cell arrive
            resources=place,
        )
        try:
            client.execute()
        except CellExecutionError as error:
            return str(error)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stderr")


def _normalise(notebook: Any) -> None:
    """Leaves out of the metadata what depends on who ran it and when."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})


if __name__ == "__main__":
    sys.exit(main())
