"""The results in results.json, by platform and by benchmark, so that a run leaves other results untouched."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.timing import Row

PATH = Path(__file__).parent / "results.json"


class Measured(NamedTuple):
    """The rows of one benchmark, and when, where and with which versions it ran."""

    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    rows: list[Row]


Results = dict[str, dict[str, Measured]]  # by platform ("cpu", "gpu"), and by benchmark


def load(path: Path = PATH) -> Results:
    """The results that are kept; none where there is no file."""
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    return {
        platform: {name: Measured(**{**one, "rows": [Row(**row) for row in one["rows"]]}) for name, one in of_platform.items()}
        for platform, of_platform in kept.items()
    }


def merged(kept: Results, platform: str, new: dict[str, Measured], benchmarks: Collection[str]) -> Results:
    """The kept results with those of a run in their place, in the order of the benchmarks; what is no longer one goes."""
    found = kept | {platform: kept.get(platform, {}) | new}
    return {key: {name: of_platform[name] for name in benchmarks if name in of_platform} for key, of_platform in found.items()}


def save(results: Results, path: Path = PATH) -> None:
    """Writes all results."""
    plain = {
        platform: {name: one._asdict() | {"rows": [row._asdict() for row in one.rows]} for name, one in of_platform.items()}
        for platform, of_platform in results.items()
    }
    path.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
