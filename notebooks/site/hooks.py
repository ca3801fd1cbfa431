"""Makes the pages of the API reference, with a curve for each schedule, and the pages that are files of the project."""

import re
import sys
import types
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import lrsched as ls
from lrsched import lab
from lrsched.dialects import keras, optax, timm, torch, transformers

mpl.use("Agg")
ROOT = Path(__file__).resolve().parents[2]
PROJECT = {
    "README.md": "index.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/evidence.md": "evidence.md",
    "benchmarks/law.md": "law_measured.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    **{f"benchmarks/{path.name}": path.name for path in (ROOT / "benchmarks").glob("*.png")},
}

WIDE = """
.md-grid { max-width: 84rem }
.md-typeset pre > code { font-size: 0.8em } /* lines of 128 characters fit */
.jp-OutputArea-output pre { white-space: pre !important; overflow-x: auto } /* outputs scroll instead of breaking words */
"""

# A call whose curve stands beside its name; names without one have no curve.
CURVES = """
    Constant(1.0) | Linear(0.0, 1.0, 80) | Cosine(1.0, 0.0, 80) | Polynomial(1.0, 0.0, 80, 2.0) | OneMinusSqrt(1.0, 0.0, 80)
    Logarithmic(0.0, 1.0, 80) | Geometric(1.0, 0.01, 80) | CosineWave(1.0, 0.0, 40) | Exponential(1.0, 0.96)
    InverseSqrt(1.0, 10) | Piecewise([0, 20, 50, 80], [0.2, 1.0, 0.8, 0.1], 'linear') | Time() | Noise(0.1)
    step_decay(1.0, 25, 0.5) | multi_step(1.0, [30, 80], 0.3) | warmup_cosine(1.0, 15, 100) | warmup_linear(1.0, 15, 100)
    warmup_constant(1.0, 20) | warmup_inverse_sqrt(1.0, 15) | noam(512, 30) | wsd(1.0, 10, 100, 30)
    rex(1.0, 0.0, 80) | tanh_decay(1.0, 0.0, 80) | inverse_time(1.0, 0.05) | power_decay(1.0, 3.0)
    infinite(1.0, 0.4, 10, 30, 100, 20, end=0.04) | monotone(1.0, 100, 15, ratios=[1.0, 0.9, 0.8, 0.4, 0.1])
    cosine_restarts(1.0, 0.0, 14, stretch=2.0) | triangular(0.1, 1.0, 20, mode='triangular2') | one_cycle(1.0, 100)
"""

PAGES = {  # the public names of lrsched
    "Shapes": """
        Constant Linear Cosine Polynomial OneMinusSqrt Logarithmic Geometric CosineWave Exponential InverseSqrt Piecewise Time
        Noise Function Choice
    """,
    "Operators and methods": "Schedule join minimum maximum Driven",
    "Recipes": """
        step_decay multi_step warmup_constant warmup_linear warmup_cosine warmup_inverse_sqrt noam wsd infinite rex
        tanh_decay inverse_time power_decay monotone cosine_restarts triangular one_cycle reduce_on_plateau
    """,
    "Clocks": "Clock Steps Plateau SinceBest Greedy Smoothed Counter Since",
    "Optax": "scale_by_learning_rate scheduled layerwise accumulate",
    "States and checkpoints": """
        learning_rate learning_rates next_learning_rate hyperparameters readings get_schedule replace_schedule observe describe
        resume restore
    """,
    "Views": "plot summary latex parse expanded to_dict from_dict",
    "Batches and nodes": "grid stack node leaf",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made here."""
    listed = {name for names in PAGES.values() for name in names.split()}
    if listed != set(ls.__all__):
        raise ValueError(f"hooks.py: expected each public name on a page; {listed ^ set(ls.__all__)} is on one side only.")
    curves = {text.strip().partition("(")[0]: text.strip() for text in re.split(r"[|\n]", CURVES) if text.strip()}
    pages: dict[str, str | bytes] = {
        **{f"reference/{name}.svg": curve(text) for name, text in curves.items()},
        **{title: entries(title, ls, names.split(), curves) for title, names in PAGES.items()},
        **{
            f"Dialects {short(module)}": entries(f"dialects.{short(module)}", module, names_of(module), {})
            for module in DIALECTS
        },
        "Running clocks": entries("Running clocks", ls.clocks, CLOCKS, {}),
        "Lab": entries("Lab", lab, names_of(lab), {}),
        **{
            page: (ROOT / name).read_bytes() if name.endswith(".png") else linked((ROOT / name).read_text(), name)
            for name, page in PROJECT.items()
        },
        "license.md": f"# Licence\n\n```text\n{(ROOT / 'LICENSE').read_text()}```",
        "wide.css": WIDE,
    }
    for name, content in pages.items():
        path = name if "." in name else f"reference/{name.lower().replace(' ', '_')}.md"
        files.append(File.generated(config, path, content=content))
    return files


CLOCKS = ["init", "evaluate", "tick", "bind", "replay", "ScheduleState"]
DIALECTS = (torch, optax, transformers, timm, keras)


def short(module: types.ModuleType) -> str:
    """The last part of the name of a module."""
    return module.__name__.rpartition(".")[2]


def names_of(module: types.ModuleType) -> list[str]:
    """The public functions and classes of a module that are made in its package."""
    is_ours = {name: getattr(x, "__module__", "").startswith(module.__name__) for name, x in vars(module).items()}
    return [name for name, ours in is_ours.items() if ours and not name.startswith("_") and callable(vars(module)[name])]


def entries(title: str, module: types.ModuleType, names: list[str], curves: dict[str, str]) -> str:
    """A page of the reference."""
    parts = [f"# {title}"]
    for name in names:
        thing = vars(module)[name]
        members = vars(thing) if isinstance(thing, type) else {}
        members = {name: x for name, x in members.items() if name[0] != "_" and not hasattr(thing.__base__, name)}
        written = [name for name, x in members.items() if isinstance(x, (types.FunctionType, property)) and x.__doc__]
        # A function may have the name of its package: then `lrsched.lab.compare` would be the package.
        path = f"{thing.__module__}.{name}" if f"{module.__name__}.{name}" in sys.modules else f"{module.__name__}.{name}"
        parts.append(f"::: {path}\n    options:\n      members: {written}")
        if name in curves:
            parts += [f"![{curves[name]}]({name}.svg)", f"`{curves[name]}`"]
    return "\n\n".join(parts)


def curve(text: str) -> bytes:
    """The picture of an expression."""
    figure, axes = plt.subplots(figsize=(5, 2), layout="constrained")
    ls.plot(ls.parse(text), steps=110, ax=axes)
    picture = BytesIO()
    figure.savefig(picture, format="svg")
    plt.close(figure)
    return picture.getvalue()


def linked(text: str, name: str) -> str:
    """The text of a file of the project, with links as the manual has them."""

    def target(found: re.Match[str]) -> str:
        link, anchor = found.groups()
        path = ((ROOT / name).parent / link).resolve().relative_to(ROOT).as_posix()
        path = "license.md" if path == "LICENSE" else path
        return f"]({PROJECT.get(path, path.removeprefix('notebooks/'))}{anchor or ''})"

    return re.sub(r"\]\((?!https?:)([^)#]+)(#[^)]*)?\)", target, text)


def on_page_markdown(markdown: str, **_: object) -> str:
    """The links of a guide to files that are pages of the manual."""
    return linked(markdown, "notebooks/x.md") if "](../" in markdown else markdown
