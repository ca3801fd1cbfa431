"""What evidence.md says of the measurements: the guide's table with figures in place of stars, and a table a workload."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lrsched.lab.candidates import CONSTANT, GUIDE, NEWER

CLAIM = 0.3  # of the steps, the least that the guide says a good schedule saves

_INTRODUCTION = """# Do schedules help?

Guides to PyTorch's schedulers compare them with stars, and say that a good schedule saves 30 to 50 % of the training time.
Here are measurements in place of the stars. `python -m benchmarks.evidence` makes them and writes this file;
`python -m lrsched compare --workload digits` makes those of one workload, and `lrsched.lab.compare` those of your own model,
which are the ones that count.

Every schedule has the same budget: each peak rate of the same grid, each from the same seeds, in runs of the same length. The
best peak of each is chosen on the validation split, and the test split is looked at for that one only. The constant rate is
tuned in the same way, so that what is compared is the schedule and not the rate.

- *Test score*: the mean over seeds at the best peak. *Against constant*: the mean difference from the best constant rate,
  seed by seed.
- *Steps saved*: how much earlier than the best constant rate the smoothed validation score gets to where that rate ends, and
  stays; the median over seeds. *Never*: half of the seeds or more do not get there. Less than 0: they get there later.
- *With 30 % (50 %) fewer steps*: the guide's claim, taken at its word. The schedule is made for a run of 70 % (50 %) of the
  steps, at the peak that was best for the whole run, and its test score is set against that of the best constant rate in
  whole runs, seed by seed. Where the interval is above 0, or leaves 0 in it, that much time is saved and nothing is lost that
  these seeds could show.
- *Numbers to choose*: besides the length of the run; what has a default in this library is left at it.
- *Lost over the grid*: the best mean test score of all peaks less that of the median peak: what a rate that is not tuned costs.
- In brackets 95 % intervals, by bootstrap over seeds. **Bold**: the interval leaves out 0. If no schedule did anything, one in
  twenty would be bold.
"""


class Evidence(NamedTuple):
    """What was measured on a workload, and where."""

    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    description: str
    score: str
    steps: int
    peaks: list[float]
    seeds: int
    data: dict[str, Any]
    seconds: dict[str, float]
    rows: list[dict[str, Any]]


def text(found: Mapping[str, Evidence]) -> str:
    """The whole file."""
    return "\n".join([_INTRODUCTION, _summary(found), *(_section(name, one) for name, one in found.items())])


def _summary(found: Mapping[str, Evidence]) -> str:
    """The guide's table: a row a schedule, with training speed, final score and ease."""
    of = {name: {row["name"]: row for row in one.rows} for name, one in found.items()}
    heads = ["schedule", *(f"speed: steps saved, {name}" for name in of), *(f"score against constant, {name}" for name in of)]
    rows = [[*heads, "ease: numbers to choose", *(f"lost over the grid, {name}" for name in of)]]
    rows.append(["---"] * len(rows[0]))
    for candidate in (*GUIDE, *NEWER, CONSTANT):
        of_it = [rows_of[candidate.name] for rows_of in of.values()]
        is_constant = candidate == CONSTANT
        rows.append(
            [
                candidate.name,
                *("" if is_constant else _saved(row) for row in of_it),
                *("" if is_constant else _figure(row, "gain", "+.4f") for row in of_it),
                str(_count(candidate.numbers)),
                *(_number(row["lost_over_the_grid"], ".4f") for row in of_it),
            ]
        )
    said = "\n".join(f"- {_said(name, one)}" for name, one in found.items())
    return f"## The guide's table, measured\n\n{_table(rows)}\n\n{said}\n"


def _said(name: str, one: Evidence) -> str:
    """The result of a workload in a few sentences, whatever it is."""
    others = [row for row in one.rows if row["name"] != CONSTANT.name]
    better = [row["name"] for row in others if _above(row["gain_interval"])]
    worse = [row["name"] for row in others if _below(row["gain_interval"])]
    sooner = [row["name"] for row in others if _above(row["steps_saved_interval"])]
    claimed = [row["name"] for row in others if (row["steps_saved"] or 0.0) >= CLAIM]
    parts = [
        f"better than the best constant rate: {_names(better)}",
        f"worse: {_names(worse)}",
        f"no difference that {one.seeds} seeds show: {_names([r['name'] for r in others if r['name'] not in better + worse])}",
        f"there earlier: {_names(sooner)}",
        f"there 30 % of the steps earlier or more, in the median: {_names(claimed)}",
    ]
    for share in one.rows[0]["shorter"]:
        fewer = f"with {1 - float(share):.0%} fewer steps"
        short = {row["name"]: row["shorter"][share]["gain_interval"] for row in one.rows}
        parts.append(f"{fewer} better than the whole constant run: {_names([n for n, gain in short.items() if _above(gain)])}")
        parts.append(f"{fewer} worse: {_names([n for n, gain in short.items() if _below(gain)])}")
    return f"**{name}** ({one.description}): " + ". ".join(part[0].upper() + part[1:] for part in parts) + "."


def _section(name: str, one: Evidence) -> str:
    heads = ["schedule", "numbers to choose", "best peak", f"test: {one.score}", "against constant", "steps saved"]
    fewer = [f"with {1 - float(share):.0%} fewer steps" for share in one.rows[0]["shorter"]]
    rows = [[*heads, "got there", *fewer, "lost over the grid"]]
    rows.append(["---"] * len(rows[0]))
    for row in one.rows:
        is_constant = row["name"] == CONSTANT.name
        lost = f", {row['diverged']} diverged" if row["diverged"] else ""
        rows.append(
            [
                row["name"],
                f"{_count(row['numbers'])}: {', '.join(row['numbers'])}",
                f"{row['peak']:.3g}{' (end of the grid)' if row['on_the_edge'] else ''}",
                f"{_number(row['test'], '.4f')} {_interval(row['test_interval'], '.4f')}{lost}",
                "" if is_constant else _figure(row, "gain", "+.4f"),
                "" if is_constant else _saved(row),
                f"{row['reached']} of {one.seeds}",
                *(_figure(short, "gain", "+.4f") for short in row["shorter"].values()),
                _number(row["lost_over_the_grid"], ".4f"),
            ]
        )
    splits = ", ".join(f"{count:,} {split}" for split, count in one.data["rows"].items())
    peaks = f"{len(one.peaks)} peaks from {min(one.peaks):g} to {max(one.peaks):g}"
    runs = len(one.rows) * len(one.peaks) * one.seeds
    versions = ", ".join(f"{package} {version}" for package, version in one.versions.items())
    return f"""## {name}

{one.description[0].upper()}{one.description[1:]}. {one.steps:,} updates, {peaks}, {one.seeds} seeds: {runs:,} runs in
{sum(one.seconds.values()) / 60:.0f} minutes. Rows: {splits}; {one.data["source"]}, SHA-256 {one.data["sha256"][:12]}.

{_table(rows)}

![Rates, validation scores and test scores](evidence_{name}.png)

Measured on {one.date}: {one.machine["processor"]}, {one.machine["cores"]} cores; {versions}.
"""


def _count(numbers: Any) -> int:
    return sum(2 if number.startswith("two ") else 1 for number in numbers)


def _table(rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _names(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _above(interval: list[float | None]) -> bool:
    return interval[0] is not None and interval[0] > 0


def _below(interval: list[float | None]) -> bool:
    """Whether all of it is below 0; None is `never`."""
    return interval[1] is None or interval[1] < 0


def _saved(row: dict[str, Any]) -> str:
    return _figure(row, "steps_saved", "+.0%")


def _figure(row: dict[str, Any], name: str, form: str) -> str:
    interval = row[f"{name}_interval"]
    shown = f"{_number(row[name], form)} {_interval(interval, form)}"
    return f"**{shown}**" if _above(interval) or _below(interval) else shown


def _interval(interval: list[float | None], form: str) -> str:
    return f"[{', '.join(_number(bound, form) for bound in interval)}]"


def _number(value: float | None, form: str) -> str:
    return "never" if value is None else format(value, form)
