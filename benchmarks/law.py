"""Does a law predict the loss, and is the schedule it designs better? `python -m benchmarks.law` measures, and writes law.md.

    python -m benchmarks.law --data FOLDER      # on the published curves of language models, and on two models of ours
    python -m benchmarks.law --only chars       # one part; the others keep what was measured before

FOLDER has the curves of https://github.com/thu-yao-01-luo/MultiPowerLaw by the size of the model, as in 25/cosine_24000.csv.
"""

import argparse
import dataclasses
import datetime as dt
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import lrsched as ls
from benchmarks import law_report, machine
from lrsched import lab
from lrsched.lab.law.laws import path, points
from lrsched.lab.law.result import FittedLaw, Parameter
from lrsched.lab.plain import plain
from lrsched.lab.workloads import WORKLOADS

HERE = Path(__file__).parent
PEAK, WARMUP = 3e-4, 2160
TRAIN = ("cosine_24000", "constant_24000", "wsdcon_9")
TEST = ("constant_72000", "cosine_72000", "wsd_20000_24000", "wsdld_20000_24000", "wsdcon_3", "wsdcon_18")
PARAMETERS = {  # as published: L0, A, alpha, B, C, beta, gamma
    "25": (3.04045406, 0.52468604, 0.50786857, 363.78751622, 2.06560812, 0.58279013, 0.64142257),
    "100": (2.6514477, 0.60115152, 0.45295811, 437.9464276, 2.13245612, 0.59785199, 0.65523644),
    "400": (2.37474466, 0.65421216, 0.42878731, 523.42464371, 2.02462735, 0.59350493, 0.63472457),
}
OTHERS = ("momentum", "combined")  # laws beside the default
OWN = {"chars": 0.008, "digits": 0.04}  # workloads, and their peaks
SHORT, LONG = 500, 1000  # steps of the runs that are fitted, and of those that are designed
SEEDS = {"curves": 4, "designed": 10}


def main(arguments: list[str] | None = None) -> int:
    """Measures, and writes the numbers and the text."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.law", description="Measures what a law of the loss is good for."
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the published curves; not available without it")
    parser.add_argument("--only", choices=["published", *OWN], action="append", help="one part; may be repeated")
    parser.add_argument("--steps", type=int, nargs=2, default=(SHORT, LONG), metavar="N", help="of short and long runs of ours")
    parser.add_argument("--seeds", type=int, nargs=2, default=tuple(SEEDS.values()), metavar="N", help="of curves, and designs")
    parser.add_argument("--out", type=Path, default=HERE, metavar="FOLDER", help="where the files go (default: here)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    numbers = options.out / "law.json"
    kept = json.loads(numbers.read_text(encoding="utf-8")) if numbers.exists() else {}
    for part in options.only or ["published", *OWN]:
        if part in OWN:
            found = own(part, *options.steps, *options.seeds)
        elif options.data is not None:
            found = published(options.data)
        else:
            print("published: not available without --data")
            continue
        about = {"date": dt.datetime.now(dt.UTC).date().isoformat(), "machine": machine.machine("cpu")}
        kept[part] = plain(about | found)
        kept = {name: kept[name] for name in ("published", *OWN) if name in kept}
        numbers.write_text(json.dumps(kept, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        (options.out / "law.md").write_text(law_report.text(kept), encoding="utf-8")
    print(law_report.text(kept))
    return 0


def rates(name: str) -> np.ndarray:
    """The rate of every update of a published run, by the name of its file."""
    kind, *numbers = name.split("_")
    steps = 16_000 if kind == "wsdcon" else int(numbers[-1])
    t = np.arange(steps - WARMUP) / (steps - WARMUP)
    late = np.clip((np.arange(WARMUP, steps) - 20_000) / 4000, 0, 1)
    after = {
        "constant": lambda: np.ones_like(t),
        "cosine": lambda: 0.1 + 0.45 * (1 + np.cos(np.pi * t)),
        "wsd": lambda: 0.1**late,
        "wsdld": lambda: 1 - 0.9 * late,
        "wsdcon": lambda: np.where(np.arange(WARMUP, steps) < 8000, 1.0, int(numbers[-1]) / 30),
    }[kind]()
    return PEAK * np.concatenate([np.linspace(0, 1, WARMUP), after])


def curve(data: Path, size: str, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A published run: its rates, the steps and the losses."""
    step, _, loss = np.loadtxt(data / size / f"{name}.csv", delimiter=",", skiprows=1).T
    inside = step < len(rates(name))
    return rates(name), step[inside].astype(int), loss[inside]


def errors(law: FittedLaw, curves: dict[str, Any]) -> dict[str, Any]:
    """The means over curves of the mean absolute error and of the largest relative error; and the former of each."""
    gaps = {name: (np.asarray(law.predict(s, steps)) - losses, losses) for name, (s, steps, losses) in curves.items()}
    return {
        "mae": np.mean([np.mean(np.abs(gap)) for gap, _ in gaps.values()]),
        "worst": np.mean([np.max(np.abs(gap) / losses) for gap, losses in gaps.values()]),
        "curves": {name: np.mean(np.abs(gap)) for name, (gap, _) in gaps.items()},
    }


def timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a function returns, the seconds it took, and those of the processors."""
    wall, work = time.perf_counter(), time.process_time()
    found = function()
    return found, time.perf_counter() - wall, time.process_time() - work


def published(data: Path) -> dict[str, Any]:
    """The laws against the published parameters, on the published split, and the schedules that they design."""
    sizes: dict[str, Any] = {}
    for size, values in PARAMETERS.items():
        fitted = [curve(data, size, name) for name in TRAIN]
        tests = {name: curve(data, size, name) for name in TEST}
        law, *seconds = timed(lambda fitted=fitted: lab.fit_law(fitted))
        given = {name: Parameter(x, x, x) for name, x in zip(law.parameters, values, strict=True)}
        theirs = dataclasses.replace(law, parameters=given)
        sizes[size] = {
            "seconds": seconds,
            "parameters": {name: one._asdict() for name, one in law.parameters.items()},
            "multi-power": errors(law, tests),
            "published": errors(theirs, tests),
            **{kind: errors(lab.fit_law(fitted, kind), tests) for kind in OTHERS},
            "designs": {"fitted": designs(law), "published": designs(theirs)},
        }
    return {"sizes": sizes}


def designs(law: FittedLaw) -> dict[str, Any]:
    """Schedules of 24,000 steps under a law: the best table that does not rise, families of two numbers, and cosines."""
    n, two = 24_000, ["decay_steps", "end"]
    made = {
        "monotone": lambda: law.optimize(ls.monotone(PEAK, n, WARMUP)),
        "wsd": lambda: law.optimize(ls.wsd(PEAK, WARMUP, n, 4000), two),
        "wsd, 1-sqrt": lambda: law.optimize(ls.wsd(PEAK, WARMUP, n, 4000, shape="1-sqrt"), two),
        "cosine to 0": lambda: ls.warmup_cosine(PEAK, WARMUP, n),
        "cosine to 10 %": lambda: ls.warmup_cosine(PEAK, WARMUP, n, end=PEAK / 10),
    }
    last = np.array([n - 1])
    found = {}
    for name, make in made.items():
        schedule, *seconds = timed(make)
        at = points(last)
        whole = path(schedule(at), at, last)
        after = whole._replace(drop=jnp.maximum(whole.drop, 0.0))  # without the rise in the warm-up, as the paper does here
        losses = [float(law.law(law.values, one)[0]) for one in (whole, after)]
        found[name] = {"seconds": seconds, "loss": losses[0], "loss as published": losses[1], "schedule": repr(schedule)}
    return found


def own(name: str, short: int, long: int, seeds: int, designed_seeds: int) -> dict[str, Any]:
    """Three short runs of a workload, what their law predicts of others, and what its design gains."""
    workload, peak = WORKLOADS[name], OWN[name]

    def measured(schedules: dict[str, ls.Schedule], steps: int, seeds: int, baseline: str) -> lab.Comparison:
        train = workload.make_train(steps)
        options: dict[str, Any] = {"seeds": seeds, "baseline": baseline, "batch_size": workload.batch_size}
        return lab.compare(train, schedules, show_progress=False, **options)

    def curves(found: lab.Comparison) -> dict[str, Any]:  # the mean over seeds of the loss on the validation split
        losses = found.metrics["validation_loss"].mean(axis=1)
        return {one.name: (one.schedule, found.steps - 1, loss) for one, loss in zip(found.trials, losses, strict=True)}

    warm = short // 10
    fitted, other, longer = schedules(peak, warm, short, long)
    runs = curves(measured(fitted | other, short, seeds, "constant"))
    law, *seconds = timed(lambda: lab.fit_law([runs[x] for x in fitted]))
    others = {kind: lab.fit_law([runs[x] for x in fitted], kind) for kind in OTHERS}
    tests = {key: _after(runs[key], warm) for key in other}
    tests |= {key: _after(x, warm) for key, x in curves(measured(longer, long, seeds, "constant, longer")).items()}
    table = law.optimize(ls.monotone(peak, long, warm, points=16))
    design = law.optimize(ls.wsd(peak, warm, long, long // 5), ["decay_steps", "end"])
    rivals = {"cosine": ls.warmup_cosine(peak, warm, long), "wsd": ls.wsd(peak, warm, long, long // 5)}
    rivals["cosine, twice the peak"] = 2 * rivals["cosine"]
    found = measured({"designed wsd": design, "designed table": table, **rivals}, long, designed_seeds, "cosine")
    gains = {
        rival: {row.name: [row.gain, *row.gain_interval] for row in dataclasses.replace(found, baseline=rival).rows}
        for rival in rivals
    }
    ends = {key: [float(law.predict(s, long - 1)), float(loss[-1])] for key, (s, _, loss) in curves(found).items()}
    return {
        "description": workload.description,
        "score": workload.score,
        "peak": peak,
        "steps": [short, long],
        "seeds": [seeds, designed_seeds],
        "seconds": seconds,
        "law": str(law),
        "errors": errors(law, tests),
        **{kind: errors(other, tests) for kind, other in others.items()},
        "losses": {key: [float(x[2][0]), float(x[2][-1])] for key, x in tests.items()},
        "ends": {key: [float(law.predict(s, steps[-1])), float(loss[-1])] for key, (s, steps, loss) in tests.items()},
        "designs": {"designed wsd": repr(design), "designed table": repr(table)},
        "designed ends": ends,
        "gains": gains,
    }


def _after(one: tuple[Any, np.ndarray, np.ndarray], warm: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """A curve without its warm-up."""
    schedule, steps, losses = one
    return schedule, steps[steps >= warm], losses[steps >= warm]


def schedules(peak: float, warm: int, short: int, long: int) -> tuple[dict[str, ls.Schedule], ...]:
    """Those that are fitted, others as long, and longer ones."""
    line = ls.Linear(0.0, peak, warm)
    fitted = {
        "constant": ls.warmup_constant(peak, warm),
        "cosine": ls.warmup_cosine(peak, warm, short, end=peak / 10),
        "half, then 30 %": line >> ls.Piecewise([0, short // 2 - warm], [peak, 0.3 * peak]),
    }
    other = {
        "linear to 0": ls.warmup_linear(peak, warm, short),
        "cosine to 0": ls.warmup_cosine(peak, warm, short),
        "wsd": ls.wsd(peak, warm, short, short // 5),
        "wsd, 1-sqrt": ls.wsd(peak, warm, short, 2 * short // 5, end=peak / 10, shape="1-sqrt"),
        "three steps": line >> ls.Piecewise([0, short // 3, short // 2], [peak, peak / 2, peak / 4]),
    }
    longer = {
        "constant, longer": ls.warmup_constant(peak, warm),
        "cosine, longer": ls.warmup_cosine(peak, warm, long, end=peak / 10),
        "wsd, longer": ls.wsd(peak, warm, long, long // 5),
    }
    return fitted, other, longer


if __name__ == "__main__":
    sys.exit(main())
