"""The text of evidence.md: the guide's table with figures in place of stars, and a table for each workload."""

from collections.abc import Mapping
from typing import Any, NamedTuple

CONSTANT = "constant"
CLAIM = 0.3  # the smallest share of the steps that a good schedule saves, according to the guide

_INTRODUCTION = """# Do schedules help?

Guides to PyTorch's schedulers rate them with stars, and say that a good schedule saves 30 to 50 % of the training time. This
page gives measurements instead. `python -m benchmarks.evidence` writes it; `python -m lrsched compare --workload digits`
measures one workload, and `lrsched.lab.compare` measures your own model, which is what counts.

Every schedule has the same budget: the same peak rates, seeds and number of steps. The best peak of each is chosen on the
validation split, and only that peak is scored on the test split. The constant rate is tuned in the same way.

- *Test score*: the mean over seeds at the best peak. *Against constant*: the mean difference from the best constant rate,
  seed by seed.
- *Steps saved*: how much earlier than the best constant rate the validation score (smoothed, averaged over seeds) reaches that
  rate's final score for good. *Never*: it does not. Below 0: it gets there later.
- *With 30 % (50 %) fewer steps*: a test of the guides' claim. The schedule is made for a run of 70 % (50 %) of the steps, at
  the peak that was best for the full run. Its test score is compared with that of the best constant rate in full runs, seed by
  seed. Above 0: it saves the steps, and scores better as well. An interval that contains 0 shows no loss; its lower end is the
  largest loss that is still likely.
- *Numbers to choose*: those besides the length of the run. Numbers with a default in this library keep it.
- *Lost over the grid*: the best mean validation score of all peaks minus that of the median peak, which is the cost of not
  tuning the rate.
- Brackets hold 95 % intervals, by bootstrap over seeds. **Bold**: the interval does not contain 0. If no schedule had an
  effect, about one interval in twenty would be bold.
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
    rows: list[dict[str, Any]]


def text(found: Mapping[str, Evidence]) -> str:
    """The whole file."""
    return "\n".join([_INTRODUCTION, _summary(found), *(_section(name, one) for name, one in found.items())])


def _summary(found: Mapping[str, Evidence]) -> str:
    """The guide's table: a row for each schedule, with training speed, final score and ease."""
    of = {name: {row["name"]: row for row in one.rows} for name, one in found.items()}
    heads = ["schedule", *(f"speed: steps saved, {name}" for name in of), *(f"score against constant, {name}" for name in of)]
    rows = [[*heads, "ease: numbers to choose", *(f"lost over the grid, {name}" for name in of)]]
    rows.append(["---"] * len(rows[0]))
    first = next(iter(found.values()))
    for row in (*_others(first), *(row for row in first.rows if row["name"] == CONSTANT)):
        name, is_constant = row["name"], row["name"] == CONSTANT
        of_it = [rows_of[name] for rows_of in of.values()]
        rows.append(
            [
                name,
                *("" if is_constant else _saved(one) for one in of_it),
                *("" if is_constant else _figure(one, "gain", "+.4f") for one in of_it),
                str(len(row["numbers"])),
                *(_number(one["lost_over_the_grid"], ".4f") for one in of_it),
            ]
        )
    said = "\n".join(f"- {_said(name, one)}" for name, one in found.items())
    return f"## The guide's table, measured\n\n{_in_short(found)}\n\n{_table(rows)}\n\n{said}\n"


def _others(one: Evidence) -> list[dict[str, Any]]:
    return [row for row in one.rows if row["name"] != CONSTANT]


def _in_short(found: Mapping[str, Evidence]) -> str:
    """How many intervals exclude 0, and on which side."""
    rows = [row for one in found.values() for row in _others(one)]

    def sides(intervals: list[Any], good: str, bad: str) -> str:
        return f"{sum(map(_above, intervals))} {good}, {sum(map(_below, intervals))} {bad}"

    end = sides([row["gain_interval"] for row in rows], "end better than the best constant rate", "worse")
    way = sides([row["steps_saved_interval"] for row in rows], "reach its final score significantly earlier", "later")
    said = [f"Of {len(rows)} schedule–workload pairs, {end}; {way}."]
    for share in rows[0]["shorter"]:
        fewer = sides([row["shorter"][share]["gain_interval"] for row in rows], "are better than the constant rate", "worse")
        said.append(f"With {_percent(share)} fewer steps, {fewer}, and the rest show no difference.")
    return " ".join(said)


def _percent(share: str) -> str:
    return f"{100 - 100 * float(share):.0f} %"


def _said(name: str, one: Evidence) -> str:
    """The result of a workload in a few lines."""
    others = _others(one)

    def names(holds: Any) -> str:
        return ", ".join(row["name"] for row in others if holds(row)) or "none"

    lines = [
        f"better than the best constant rate: {names(lambda row: _above(row['gain_interval']))}; worse:"
        f" {names(lambda row: _below(row['gain_interval']))}",
        f"reaches its final score significantly earlier: {names(lambda row: _above(row['steps_saved_interval']))}; never:"
        f" {names(lambda row: row['steps_saved'] == 'never')}",
        f"earlier by 30 % of the steps or more: {names(lambda row: _at_least(row['steps_saved'], CLAIM))}",
    ]
    for share in one.rows[0]["shorter"]:
        better, worse = (
            names(lambda row, side=side, of=share: side(row["shorter"][of]["gain_interval"])) for side in (_above, _below)
        )
        lines.append(f"with {_percent(share)} fewer steps, better than the full constant run: {better}; worse: {worse}")
    return f"**{name}**: {one.description}\n" + "\n".join(f"    - {line}" for line in lines)


def _section(name: str, one: Evidence) -> str:
    heads = ["schedule", "numbers to choose", "best peak", f"test: {one.score}", "against constant", "steps saved"]
    fewer = [f"with {_percent(share)} fewer steps" for share in one.rows[0]["shorter"]]
    rows = [[*heads, *fewer, "lost over the grid"]]
    rows.append(["---"] * len(rows[0]))
    for row in one.rows:
        is_constant = row["name"] == CONSTANT
        lost = f", {row['diverged']} diverged" if row["diverged"] else ""
        rows.append(
            [
                row["name"],
                f"{len(row['numbers'])}: {', '.join(row['numbers'])}",
                f"{row['peak']:.3g}{' (end of the grid)' if row['on_the_edge'] else ''}",
                f"{_number(row['test'], '.4f')} {_interval(row['test_interval'], '.4f')}{lost}",
                "" if is_constant else _figure(row, "gain", "+.4f"),
                "" if is_constant else _saved(row),
                *(_figure(short, "gain", "+.4f") for short in row["shorter"].values()),
                _number(row["lost_over_the_grid"], ".4f"),
            ]
        )
    splits = ", ".join(f"{count:,} {split}" for split, count in one.data["rows"].items())
    peaks = f"{len(one.peaks)} peaks from {min(one.peaks):g} to {max(one.peaks):g}"
    runs = len(one.rows) * len(one.peaks) * one.seeds
    short = len(one.rows) * len(one.rows[0]["shorter"]) * one.seeds
    versions = ", ".join(f"{package} {version}" for package, version in one.versions.items())
    return f"""## {name}

{one.description[0].upper()}{one.description[1:]}. {one.steps:,} updates, {peaks}, {one.seeds} seeds: {runs:,} runs, and
{short:,} shorter ones. Rows: {splits}; {one.data["source"]}, SHA-256 {one.data["sha256"][:12]}.

{_table(rows)}

![Rates, validation scores and test scores](evidence_{name}.png)

Measured on {one.date}: {one.machine["processor"]}, {one.machine["cores"]} cores; {versions}.
"""


def _table(rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _at_least(value: float | str | None, least: float) -> bool:
    return isinstance(value, float) and value >= least


def _above(interval: list[float | str | None]) -> bool:
    return isinstance(interval[0], float) and interval[0] > 0


def _below(interval: list[float | str | None]) -> bool:
    return isinstance(interval[1], float) and interval[1] < 0


def _saved(row: dict[str, Any]) -> str:
    return _figure(row, "steps_saved", "+.0%")


def _figure(row: dict[str, Any], name: str, form: str) -> str:
    interval = row[f"{name}_interval"]
    shown = f"{_number(row[name], form)} {_interval(interval, form)}"
    return f"**{shown}**" if _above(interval) or _below(interval) else shown


def _interval(interval: list[float | str | None], form: str) -> str:
    return f"[{', '.join(_number(bound, form) for bound in interval)}]"


def _number(value: float | str | None, form: str) -> str:
    """A figure, a word such as "never", or a dash for None, which stands for NaN in JSON."""
    return "-" if value is None else value if isinstance(value, str) else format(value, form)
