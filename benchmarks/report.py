"""The report of results: lines on the terminal, and the tables of README.md."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.results import Measured, Results
from benchmarks.timing import Row

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
COLUMNS = {"cpu": "CPU", "gpu": "GPU"}


def line(row: Row, platform: str) -> str:
    """A row on the terminal."""
    goal, met = row.goal_on(platform), row.is_met(platform)
    verdict = "no goal" if goal is None else f"goal <= {goal:g}{'' if met is None else ' met' if met else ' MISSED'}"
    reason = f"; {row.reason}" if met is False and row.reason else ""
    return f"{_figure(row)}  {verdict}  {row.name}  ({row.details}{reason})"


def count(rows: Iterable[Row], platform: str) -> str:
    """How many goals are met and missed."""
    rows = list(rows)
    met = [row.is_met(platform) for row in rows if row.figure is not None]
    text = f"goals: {met.count(True)} met, {met.count(False)} missed, {met.count(None)} without one"
    return text + (f"; {len(rows) - len(met)} not measured" if len(rows) > len(met) else "")


def write(results: Results, titles: Mapping[str, str], path: Path = README) -> None:
    """Puts the tables between the markers of a file, and leaves the rest of it."""
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    path.write_text(before + BEGIN + "\n" + tables(results, titles) + "\n" + END + after, encoding="utf-8")


def tables(results: Results, titles: Mapping[str, str]) -> str:
    """A section with a table for each benchmark, of those in `titles`, after a few lines on where they were measured."""
    platforms = [platform for platform in COLUMNS if results.get(platform)]
    parts = [_settings(platform, results[platform]) for platform in platforms]
    for name, title in titles.items():
        rows = {platform: results[platform][name].rows for platform in platforms if name in results[platform]}
        if rows:
            parts.append(f"### {title}\n\n`--only {name}`: {_counts(rows)}.\n\n{_table(rows, list(rows))}")
    return "\n".join(parts)


def _counts(rows: Mapping[str, list[Row]]) -> str:
    return "; ".join(f"{COLUMNS[platform]} {count(some, platform)}" for platform, some in rows.items())


def _settings(platform: str, measured: Mapping[str, Measured]) -> str:
    """When and where: one line, or where benchmarks were run anew by themselves, one line for each such group."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, one in measured.items():
        cores = one.machine["cores"]
        gpu = f"{one.machine['gpu']}, " if "gpu" in one.machine else ""
        versions = ", ".join(f"{package} {version}" for package, version in one.versions.items())
        used = f"{one.machine['processor']}, {cores} core{'' if cores == 1 else 's'} used"
        groups[f"Measured on {one.date}: {gpu}{used}; {versions}."].append(name)
    lines = []
    for text, names in groups.items():
        which = f" ({', '.join(names)})" if len(groups) > 1 else ""
        lines.append(f"{COLUMNS[platform]}{which}: {text}\n")
    return "\n".join(lines)


def _table(rows: Mapping[str, list[Row]], platforms: list[str]) -> str:
    heads = ["benchmark", "goal", *(COLUMNS[platform] for platform in platforms), "details"]
    lines = [_cells(heads), _cells(["---"] * len(heads))]
    by_name: dict[str, dict[str, Row]] = defaultdict(dict)
    for platform, some in rows.items():
        for row in some:
            by_name[row.name][platform] = row
    for name, found in by_name.items():
        figures = [_verdict(found[platform], platform) if platform in found else "" for platform in platforms]
        lines.append(_cells([name, _goal(found), *figures, _details(found)]))
    return "\n".join(lines) + "\n"


def _cells(texts: list[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def _figure(row: Row) -> str:
    return "not measured" if row.figure is None else f"{row.figure:.4g} {row.unit}".rstrip()


def _verdict(row: Row, platform: str) -> str:
    return f"**{_figure(row)}**, missed" if row.is_met(platform) is False else _figure(row)


def _goal(found: Mapping[str, Row]) -> str:
    goals = {platform: row.goal_on(platform) for platform, row in found.items()}
    texts = {platform: "" if goal is None else f"≤ {goal:g}" for platform, goal in goals.items()}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{COLUMNS[platform]} {text or 'none'}" for platform, text in texts.items())


def _details(found: Mapping[str, Row]) -> str:
    texts = {}
    for platform, row in found.items():
        missed = row.is_met(platform) is False and row.reason
        texts[platform] = row.details + (f"; missed because {row.reason}" if missed else "")
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"{COLUMNS[platform]}: {text}" for platform, text in texts.items() if text)
