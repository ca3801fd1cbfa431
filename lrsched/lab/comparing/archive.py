"""A comparison as plain Python, and in the files of a folder."""

import csv
import dataclasses
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import shown
from lrsched.lab.comparing import arrays, columns, picture
from lrsched.lab.plain import plain
from lrsched.views import codec

if TYPE_CHECKING:
    from lrsched.lab.comparing.result import Comparison

_CONTENT, _METRICS, _RUNS, _PICTURE = "comparison.json", "metrics.npz", "runs.csv", "comparison.png"


def save(comparison: "Comparison", folder: Path) -> list[Path]:
    """Writes the files; see `Comparison.save`."""
    folder.mkdir(parents=True, exist_ok=True)
    content, metrics, runs = (folder / name for name in (_CONTENT, _METRICS, _RUNS))
    arrays.write(metrics, comparison.metrics)
    tidy = columns.of_runs(comparison)
    with runs.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(tidy)
        writer.writerows(zip(*(values.tolist() for values in tidy.values()), strict=True))
    settings = {
        "schedules": {name: _written(schedule) for name, schedule in comparison.schedules.items()},
        "expressions": {name: shown(schedule) for name, schedule in comparison.schedules.items()},
        "peaks": comparison.peaks,
        "seeds": comparison.seeds,
        "baseline": comparison.baseline,
        "window": comparison.window,
        "seconds": comparison.seconds,
        "table": _table(comparison),
    }
    content.write_text(json.dumps(settings, allow_nan=False, indent=1) + "\n", encoding="utf-8")
    paths = [content, metrics, runs]
    if importlib.util.find_spec("matplotlib"):
        picture.write(comparison, folder / _PICTURE)
        paths.append(folder / _PICTURE)
    return paths


def load(folder: Path, schedules: Mapping[str, Schedule]) -> dict[str, Any]:
    """The fields of a saved `Comparison`; see `Comparison.load`."""
    if not (folder / _CONTENT).exists():
        rounds = (
            "; it has the rounds of compare(folder=...), which gives the comparison when it is called again"
            if any(folder.glob("round*"))
            else ""
        )
        raise FileNotFoundError(f"Comparison.load({str(folder)!r}) finds no {_CONTENT}, which Comparison.save writes{rounds}")
    content = json.loads((folder / _CONTENT).read_text(encoding="utf-8"))
    read = {name: None if tree is None else codec.from_dict(tree) for name, tree in content["schedules"].items()}
    read |= {name: schedule for name, schedule in schedules.items() if name in read}
    if missing := [name for name, schedule in read.items() if schedule is None]:
        expressions = ", ".join(f"{name!r}: {content['expressions'][name]}" for name in missing)
        raise ValueError(
            f"Comparison.load({str(folder)!r}, schedules=...) needs the schedules that hold functions: {{{expressions}}}"
        )
    plain = {name: content[name] for name in ("seeds", "baseline", "window", "seconds")}
    return {"schedules": read, "peaks": tuple(content["peaks"]), "metrics": arrays.read(folder / _METRICS), **plain}


def to_dict(comparison: "Comparison") -> dict[str, Any]:
    """Everything; see `Comparison.to_dict`."""
    runs = [
        {"schedule": name, "peak": peak, "seed": seed, **{k: plain(v[i, j, seed]) for k, v in comparison.metrics.items()}}
        for i, name in enumerate(comparison.schedules)
        for j, peak in enumerate(comparison.peaks)
        for seed in range(comparison.seeds)
    ]
    schedules = {name: repr(schedule) for name, schedule in comparison.schedules.items()}
    table = _table(comparison)
    return {
        "baseline": comparison.baseline,
        "schedules": schedules,
        "seconds": comparison.seconds,
        "table": table,
        "runs": runs,
    }


def _table(comparison: "Comparison") -> list[dict[str, Any]]:
    return plain([dataclasses.asdict(row) for row in comparison.rows])


def _written(schedule: Schedule) -> dict[str, Any] | None:
    try:
        return codec.to_dict(schedule)
    except ValueError:  # it holds a function, which no file brings back
        return None
