"""Writes tables.json: the numbers that PyTorch's own tests of its schedulers expect (test/optim/test_lrscheduler.py, 01f9ef3).

    python tests/golden/tables.py             # writes tables.json
    python tests/golden/tables.py --verify    # compares every table with PyTorch itself, which this needs

Records are like those of record.py, with a "name" (that of the test), and "expected" in place of the rates, to an absolute
1e-5 as in PyTorch. Its tests run two groups of parameters, here two tables. Where they give numbers by a formula, so does
this file: exponential, polynomial, cosine, lambda, multiplicative, exp_range, the cosine one-cycle, warm restarts, SWA, and
the products of two schedules.

"asserted" is false where PyTorch's test compares nothing: for a plateau together with another schedule, it empties its targets
("test runs step before checking lr"). Dropping their first entry, as was meant, is not right either: the plateau's row is
given after each metric, only the other's row from step 0. Row e is the plateau after metric e times the other at step e + 1.
That is what stands here, as a ChainedScheduler with metrics, which PyTorch itself refuses to construct.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from draws import Record

HERE = Path(__file__).parent
TOLERANCE = 1e-5
BASES = (0.05, 0.5)  # of the two groups of parameters
ETA = 1e-10


def child(name: str, **arguments: Any) -> Record:
    return {"class": name, "arguments": arguments}


def table(name: str, spec: Record, base_lr: float, expected: list[float], steps: Any = None, **more: Any) -> Record:
    place = {} if "metrics" in more else {"steps": len(expected) if steps is None else steps}
    return {"name": name, **spec, "base_lr": base_lr, **place, **more, "expected": expected}


def both(name: str, spec: Record, factors: list[float]) -> list[Record]:
    """The tables of both groups, for schedules that are the base rate times these factors."""
    return [table(name, spec, base, [base * factor for factor in factors]) for base in BASES]


def chain(*schedulers: Record) -> Record:
    return child("ChainedScheduler", schedulers=list(schedulers))


def sequence(milestones: list[int], *schedulers: Record) -> Record:
    return child("SequentialLR", schedulers=list(schedulers), milestones=milestones)


def times(*factors: list[float]) -> list[float]:
    return [math.prod(row) for row in zip(*factors, strict=False)]


def cosine(base: float, period: float, t: float) -> float:
    return ETA + (base - ETA) * (1 + math.cos(math.pi * t / period)) / 2


# The literal rows, as factors of the base rate.
STEP = child("StepLR", step_size=3, gamma=0.1)
STEP_ROW = [1.0] * 3 + [0.1] * 3 + [0.01] * 3 + [0.001] * 3
MULTI = child("MultiStepLR", milestones=[2, 5, 9], gamma=0.1)
MULTI_ROW = [1.0] * 2 + [0.1] * 3 + [0.01] * 4 + [0.001] * 3
EXPONENTIAL = child("ExponentialLR", gamma=0.9)
EXPONENTIAL_ROW = [0.9**t for t in range(12)]
COSINE = child("CosineAnnealingLR", T_max=10, eta_min=ETA)


def linear_row(start: float, end: float, iters: int, count: int = 10) -> list[float]:
    return [start + t * (end - start) / iters for t in range(iters)] + [end] * (count - iters)


def plain() -> list[Record]:
    power = [(1.0 - t / 5) ** 0.9 for t in range(5)] + [0.0] * 5
    return [
        *both("test_step_lr", STEP, STEP_ROW[:10]),
        table("test_get_last_lr_step_lr", STEP, 0.1, [0.1 * x for x in STEP_ROW[:10]]),
        *both("test_multi_step_lr, with_epoch, get_last_lr", MULTI, MULTI_ROW[:10]),
        *both(
            "test_constantlr, with_epoch, get_last_lr", child("ConstantLR", factor=0.5, total_iters=5), [0.5] * 5 + [1.0] * 5
        ),
        *both("test_linearlr, with_epoch", child("LinearLR", start_factor=0.5, total_iters=4), linear_row(0.5, 1.0, 4)),
        *both(
            "test_get_last_lr_linearlr",
            child("LinearLR", start_factor=0.25, end_factor=0.6, total_iters=4),
            linear_row(0.25, 0.6, 4),
        ),
        *both("test_exp_lr", EXPONENTIAL, EXPONENTIAL_ROW[:10]),
        *both("test_poly_lr", child("PolynomialLR", total_iters=5, power=0.9), power),
        *(table("test_cos_anneal_lr", COSINE, base, [cosine(base, 10, t) for t in range(10)]) for base in BASES),
        table("test_lambda_lr", child("LambdaLR", lr_lambda="0.9**t"), 0.05, [0.05 * 0.9**t for t in range(10)]),
        table("test_lambda_lr", child("LambdaLR", lr_lambda="0.8**t"), 0.4, [0.4 * 0.8**t for t in range(10)]),
        table("test_multiplicative_lr", child("MultiplicativeLR", lr_lambda="0.9"), 0.05, [0.05 * 0.9**t for t in range(10)]),
        table("test_multiplicative_lr", child("MultiplicativeLR", lr_lambda="0.8"), 0.4, [0.4 * 0.8**t for t in range(10)]),
    ]


def sequential() -> list[Record]:
    step4, step2 = (child("StepLR", step_size=size, gamma=0.1) for size in (4, 2))
    tenth, eighth = child("ConstantLR", factor=0.1, total_iters=3), child("ExponentialLR", gamma=0.8)
    third = sequence([3, 6], tenth, eighth, step2)
    chained = chain(
        child("LinearLR", start_factor=0.1, total_iters=5),
        child("ConstantLR", factor=0.1, total_iters=5),
    )
    return [
        *both(
            "test_sequentiallr1",
            sequence([3], eighth, step4),
            [1.0, 0.8, 0.64] + [1.0] * 4 + [0.1] * 4 + [0.01] * 4 + [0.001] * 4,
        ),
        *both("test_sequentiallr2", sequence([3], tenth, EXPONENTIAL), [0.1] * 3 + EXPONENTIAL_ROW[:10]),
        *both(
            "test_sequentiallr3, get_last_lr",
            third,
            [0.1, 0.1, 0.1, 1.0, 0.8, 0.64, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01],
        ),
        table(
            "test_sequentiallr4",
            sequence([10], child("ConstantLR", factor=1), child("ConstantLR", factor=0.1)),
            0.1,
            [0.1],
        ),
        table(
            "test_sequentiallr5",
            sequence([5], chained, child("ConstantLR", factor=0.5, total_iters=5)),
            0.05,
            [0.0005, 0.0014, 0.0023, 0.0032, 0.0041] + [0.025] * 5,
        ),
        table(
            "test_sequentiallr_does_not_alias_lr_and_initial_lr",
            sequence(
                [4],
                child("LinearLR", start_factor=0.1, end_factor=0.8, total_iters=4),
                child("LinearLR", start_factor=0.8, end_factor=0.1, total_iters=4),
            ),
            2.0,
            [0.2, 0.55, 0.9, 1.25, 1.6, 1.25, 0.9, 0.55],
        ),
    ]


def chained() -> list[Record]:
    warm = child("LinearLR", start_factor=0.4, total_iters=3)
    multi = child("MultiStepLR", milestones=[4, 8, 10], gamma=0.1)
    fourth = [0.05 * 0.2 * 0.9**t for t in range(3)] + [0.05 * 0.2 * 0.9**3 * 0.1]
    fourth += [0.05 * 0.9**t * 0.1 for t in (4, 5)] + [0.05 * 0.9**t * 0.01 for t in (6, 7, 8)]
    power = [0.1 * (1.0 - t / 5) ** 0.9 for t in range(5)] + [0.0] * 5
    return [
        table("test_chained_lr1", chain(STEP), 0.05, [0.05 * x for x in STEP_ROW[:10]]),
        table("test_chained_lr2", chain(warm), 0.05, [0.02, 0.03, 0.04] + [0.05] * 7),
        table("test_chained_lr3", chain(warm, multi), 0.05, [0.02, 0.03, 0.04, 0.05] + [0.005] * 4 + [0.0005] * 2),
        table("test_chained_lr4", chain(EXPONENTIAL, child("ConstantLR", factor=0.2, total_iters=4), STEP), 0.05, fourth),
        *both(
            "test_chained_lr5",
            chain(child("PolynomialLR", total_iters=5, power=0.9), child("ConstantLR", factor=0.1)),
            power,
        ),
    ]


def products() -> list[Record]:
    """Two schedulers that are stepped one after the other, which is what a ChainedScheduler does."""
    linear = child("LinearLR", start_factor=0.4, end_factor=0.9, total_iters=4)
    rise, rise_row = child("LinearLR", start_factor=0.4, total_iters=4), linear_row(0.4, 1.0, 4)
    constant, constant_row = child("ConstantLR", factor=0.4, total_iters=4), [0.4] * 4 + [1.0] * 6
    tenth, tenth_row = child("ExponentialLR", gamma=0.1), [0.1**t for t in range(10)]
    cosines = [
        ("test_compound_cosanneal_and_step_lr", chain(COSINE, STEP), STEP_ROW),
        ("test_compound_cosanneal_and_multistep_lr", chain(COSINE, MULTI), MULTI_ROW),
        ("test_compound_cosanneal_and_linearlr", chain(rise, COSINE), rise_row),
        ("test_compound_cosanneal_and_exp_lr", chain(COSINE, tenth), tenth_row),
    ]
    return [
        table(
            "test_compound_step_and_multistep_lr", chain(STEP, MULTI), 0.05, [0.05 * x for x in times(STEP_ROW, MULTI_ROW)][:10]
        ),
        *both("test_compound_step_and_exp_lr", chain(STEP, EXPONENTIAL), times(STEP_ROW[:10], EXPONENTIAL_ROW)),
        *both("test_compound_exp_and_multistep_lr", chain(MULTI, EXPONENTIAL), times(MULTI_ROW[:10], EXPONENTIAL_ROW)),
        *both("test_compound_exp_and_linearlr", chain(linear, EXPONENTIAL), times(linear_row(0.4, 0.9, 4), EXPONENTIAL_ROW)),
        *both("test_compound_step_and_constantlr", chain(STEP, constant), times(STEP_ROW[:10], constant_row)),
        *both("test_compound_linearlr_and_multistep_lr", chain(MULTI, rise), times(MULTI_ROW[:10], rise_row)),
        *(
            table(name, spec, base, times([cosine(base, 10, t) for t in range(10)], row))
            for name, spec, row in cosines
            for base in BASES
        ),
    ]


PLATEAU1 = child("ReduceLROnPlateau", threshold_mode="abs", mode="min", threshold=0.01, patience=5, cooldown=5)
PLATEAU2 = child("ReduceLROnPlateau", patience=5, cooldown=0, threshold_mode="abs", mode="min", threshold=0.1)
PLATEAU3 = child("ReduceLROnPlateau", mode="max", patience=5, cooldown=5, threshold_mode="abs")
PLATEAU4 = child("ReduceLROnPlateau", mode="max", patience=3, threshold_mode="rel", threshold=0.1)
ROW2 = [0.5] * 6 + [0.05] * 7 + [0.005] * 7 + [0.0005] * 2
ROW3 = [0.5] * 8 + [0.05] * 11 + [0.005] * 3
METRICS1 = [10 - i * 0.0167 for i in range(10)]
METRICS2 = [10 - i * 0.0165 for i in range(22)]
METRICS3 = [-0.8] * 2 + [-0.234] * 20
METRICS4 = [1.5 * 1.025**i for i in range(20)]
METRICS5 = [1.5 * 1.005**i for i in range(20)]


def plateaus() -> list[Record]:
    best = {"mode": "max", "threshold_mode": "rel", "threshold": 0.1, "patience": 5, "cooldown": 5}
    twice = [0.5] * 6 + [0.05] * 11 + [0.005] * 3
    rows: list[tuple[Record, list[float], list[float]]] = [
        (PLATEAU1, METRICS1, [0.5] * 10),
        (PLATEAU2, METRICS2, ROW2),
        (PLATEAU3, METRICS3, ROW3),
        (PLATEAU4, METRICS4, [0.5] * 20),
        (child("ReduceLROnPlateau", **best), METRICS5, twice),
        (
            child("ReduceLROnPlateau", mode="min", threshold_mode="rel", threshold=0.1),
            [1.5 * 0.85**i for i in range(20)],
            [0.5] * 20,
        ),
        (child("ReduceLROnPlateau", **{**best, "mode": "min"}), [1.0] * 7 + [0.6] + [0.5] * 12, twice),
        (child("ReduceLROnPlateau", **best, min_lr=0.4), METRICS5, [0.5] * 6 + [0.4] * 14),
        (child("ReduceLROnPlateau", **best, min_lr=0.3), METRICS5, [0.5] * 6 + [0.3] * 14),
    ]
    numbers = [1, 2, 3, 4, 5, 6, 7, 8, 8]
    return [
        table(f"test_reduce_lr_on_plateau{number}", spec, 0.5, row, metrics=metrics)
        for number, (spec, metrics, row) in zip(numbers, rows, strict=True)
    ]


def compound_plateaus() -> list[Record]:
    """Row e is the plateau's after metric e times the other's factor at step e + 1."""
    rise = child("LinearLR", start_factor=0.4, total_iters=4)
    decay = child("ExponentialLR", gamma=0.1)
    later = child("MultiStepLR", milestones=[3, 8, 12], gamma=0.1)
    rows: list[tuple[Record, Record, float, list[float], list[float], list[float]]] = [
        (PLATEAU1, STEP, 0.5, METRICS1, [0.5] * 10, STEP_ROW),
        (PLATEAU2, later, 0.5, METRICS2, ROW2, [1.0] * 3 + [0.1] * 5 + [0.01] * 4 + [0.001] * 11),
        (PLATEAU3, decay, 0.5, METRICS3, ROW3, [0.1**t for t in range(23)]),
        (PLATEAU4, COSINE, 0.05, METRICS4[:10], [0.05] * 10, [cosine(0.05, 10, t) / 0.05 for t in range(11)]),
        (PLATEAU2, rise, 0.5, METRICS2, ROW2, linear_row(0.4, 1.0, 4, 23)),
    ]
    return [
        table(
            f"test_compound_reduce_lr_on_plateau{number}",
            chain(spec, other),
            base,
            times(row, factors[1:]),
            metrics=metrics,
            asserted=False,
        )
        for number, (spec, other, base, metrics, row, factors) in enumerate(rows, start=1)
    ]


# Of one cycle: how far above the base rate, and how far below the largest momentum, in quarters, thirds and so on.
TRIANGULAR = [0.0, 0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25, 0.0, 0.25, 0.5]
TRIANGULAR2 = [*TRIANGULAR[:8], *(x / 2 for x in TRIANGULAR[:8]), *(x / 4 for x in TRIANGULAR[:6])]
UP4_DOWN6 = [0.0, 0.25, 0.5, 0.75, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0.0]
UP2_DOWN6 = [0.0, 0.5, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
EXP_RANGE = [0.9**t * x for t, x in enumerate([*TRIANGULAR[:8], *TRIANGULAR[:5]])]
EXP_RANGE_DOWN = [0.9**t * x for t, x in enumerate([*UP2_DOWN6, *UP2_DOWN6[:5]])]


def cyclic(name: str, heights: list[float], groups: list[tuple[int, int]], **arguments: Any) -> list[Record]:
    """The rate rises from `low` to `high` as the momentum falls from `high` to `low`."""
    return [
        table(
            name,
            child("CyclicLR", base_lr=low, max_lr=high, base_momentum=low, max_momentum=high, **arguments),
            low,
            [low + (high - low) * x for x in heights],
            momenta=[high - (high - low) * x for x in heights],
        )
        for low, high in groups
    ]


def cycles() -> list[Record]:
    twice = [*UP2_DOWN6, *(x / 2 for x in UP2_DOWN6), *(x / 4 for x in UP2_DOWN6)]
    up_down = "step_size_up_down"
    return [
        *cyclic("test_cycle_lr_triangular_mode", TRIANGULAR, [(1, 5), (2, 6)], step_size_up=4, mode="triangular"),
        table(
            "test_cycle_lr_triangular_mode_one_lr_no_momentum, with_momentumless_optimizer",
            child("CyclicLR", base_lr=1, max_lr=5, step_size_up=4, cycle_momentum=False, mode="triangular"),
            1.0,
            [1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 3.0, 2.0, 1.0, 2.0, 3.0],
        ),
        *cyclic("test_cycle_lr_triangular2_mode", TRIANGULAR2, [(1, 5), (3, 7)], step_size_up=4, mode="triangular2"),
        *cyclic("test_cycle_lr_exp_range_mode", EXP_RANGE, [(1, 5), (5, 12)], step_size_up=4, mode="exp_range", gamma=0.9),
        *cyclic(f"test_cycle_lr_triangular_mode_{up_down}", UP4_DOWN6, [(1, 5)], step_size_up=4, step_size_down=6),
        *cyclic(
            f"test_cycle_lr_triangular2_mode_{up_down}",
            twice,
            [(1, 5), (3, 7)],
            step_size_up=2,
            step_size_down=6,
            mode="triangular2",
        ),
        *cyclic(
            f"test_cycle_lr_exp_range_mode_{up_down}",
            EXP_RANGE_DOWN,
            [(1, 5)],
            step_size_up=2,
            step_size_down=6,
            mode="exp_range",
            gamma=0.9,
        ),
    ]


def one_cycles() -> list[Record]:
    def fall(start: float, end: float) -> list[float]:
        return [end + (start - end) / 2.0 * (math.cos(math.pi * k / 7.0) + 1) for k in range(1, 8)]

    momenta = {"base_momentum": 1, "max_momentum": 22}
    spec = child("OneCycleLR", max_lr=25, final_div_factor=2, total_steps=10, anneal_strategy="linear", **momenta)
    phases = child(
        "OneCycleLR",
        max_lr=25,
        div_factor=25,
        total_steps=10,
        anneal_strategy="linear",
        pct_start=0.4,
        final_div_factor=4,
        three_phase=True,
        **momenta,
    )
    rows: list[tuple[str, Record, list[float], list[float]]] = [
        (
            "test_onecycle_lr_linear_annealing, cycle_lr_with_adam",
            spec,
            [1, 13, 25, 21.5, 18, 14.5, 11, 7.5, 4, 0.5],
            [22, 11.5, 1, 4, 7, 10, 13, 16, 19, 22],
        ),
        (
            "test_onecycle_lr_linear_annealing_three_phases",
            phases,
            [1, 9, 17, 25, 17, 9, 1, 0.75, 0.5, 0.25],
            [22, 15, 8, 1, 8, 15, 22, 22, 22, 22],
        ),
        (
            "test_onecycle_lr_cosine_annealing, legacy_state_dict",
            child("OneCycleLR", max_lr=25, final_div_factor=2, total_steps=10, **momenta),
            [1, 13, 25, *fall(25, 0.5)],
            [22, 11.5, 1, *fall(1, 22)],
        ),
    ]
    return [table(name, spec, 25.0, rates, momenta=momenta) for name, spec, rates, momenta in rows]


def restarts(ratio: int, moments: list[float]) -> list[float]:
    """1 at every restart, 0 at the end of a cycle: the lengths by repeated multiplication."""
    factors = []
    for t in moments:
        start, length = 0.0, 10
        while t >= start + length:
            start, length = start + length, length * ratio
        factors.append((1 + math.cos(math.pi * (t - start) / length)) / 2)
    return factors


def warm_restarts() -> list[Record]:
    tenths = [k / 10 for k in range(300)]
    jumps: dict[int, list[float]] = {
        1: [0, 1, 2, 3, 4, 5, 12, 27, 3, 4, 5, 6, 13],
        2: [0, 1, 2, 3, 4, 5, 25, 32, 33, 34, 80, 81, 3],
        3: [0, 0.1, 0.2, 0.3, 1.3, 2.3, 17.5, 18.5, 19.5, 29.5, 30.5, 31.5, 50],
    }
    sets: list[tuple[str, int, Any, bool]] = [
        *(("test_CosineAnnealingWarmRestarts_lr1", ratio, 100, False) for ratio in (1, 2, 4)),
        *(("test_CosineAnnealingWarmRestarts_lr2", ratio, tenths, True) for ratio in (1, 2, 4)),
        *(("test_CosineAnnealingWarmRestarts_lr3", ratio, jumps[ratio], True) for ratio in (1, 2, 3)),
    ]
    return [
        table(
            name,
            child("CosineAnnealingWarmRestarts", T_0=10, T_mult=ratio, eta_min=ETA),
            base,
            [
                ETA + (base - ETA) * factor
                for factor in restarts(ratio, list(range(steps)) if isinstance(steps, int) else steps)
            ],
            steps,
            **({"fractional": True} if fractional else {}),
        )
        for name, ratio, steps, fractional in sets
        for base in BASES
    ]


def averaging() -> list[Record]:
    """SWALR after another scheduler.

    The tests step the other one until step 5 and SWALR from then on, so that its step 1 is step 6. In a SequentialLR its
    step 0, which keeps the rate, is a step of its own: with milestone 6, step 6 repeats step 5 and is left out.
    """
    steps = [*range(6), *range(7, 16)]
    decay = child("MultiplicativeLR", lr_lambda="0.9")

    def after(strategy: str, epochs: int, swa_lr: float, base: float, coefficient: Callable[[float], float]) -> Record:
        before = [base * 0.9**t for t in range(6)]
        left = [coefficient(k / epochs) if k < epochs else 0.0 for k in range(1, 10)]
        expected = before + [before[-1] * c + swa_lr * (1 - c) for c in left]
        spec = child("SWALR", swa_lr=swa_lr, anneal_epochs=epochs, anneal_strategy=strategy)
        name = {"cos": "cosine", "linear": "linear"}[strategy]
        return table(f"test_swalr_{name}_anneal_after_multiplicative", sequence([6], decay, spec), base, expected, steps)

    none = child("SWALR", swa_lr=0.01, anneal_epochs=1)
    return [
        *(table("test_swalr_no_anneal", none, base, [base] * 6 + [0.01] * 4, [0] * 6 + [1, 2, 3, 4]) for base in BASES),
        *(after("cos", 5, 0.01, base, lambda p: (1 + math.cos(math.pi * p)) / 2) for base in BASES),
        *(after("linear", 4, swa_lr, base, lambda p: 1 - p) for swa_lr, base in zip((0.01, 0.02), BASES, strict=True)),
    ]


def tables() -> list[Record]:
    parts = (plain, sequential, chained, products, plateaus, compound_plateaus, cycles, one_cycles, warm_restarts, averaging)
    return [record for part in parts for record in part()]


def verify(records: list[Record]) -> int:
    """Prints the tables that PyTorch itself does not give; how many they are."""
    from originals import expanded, run

    wrong = 0
    for record in records:
        steps = expanded(record.get("steps", []))
        whole = {**record, "steps": max(steps, default=0) + 1} if not record.get("fractional") else record
        result = run(whole)
        for key, name in (("expected", "rates"), ("momenta", "momenta")):
            if key not in record:
                continue
            theirs = result[name] if "metrics" in record or record.get("fractional") else [result[name][t] for t in steps]
            worst = max(abs(a - b) for a, b in zip(record[key], theirs, strict=True))
            if result["error"] or worst > TOLERANCE:
                wrong += 1
                print(f"{record['name']} ({name}, base rate {record['base_lr']}): off by {worst:.3g} {result['error'] or ''}")
    print(f"{len(records)} tables, {wrong} differ from PyTorch")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verify", action="store_true", help="compare with PyTorch, write nothing")
    records = tables()
    if parser.parse_args().verify:
        return int(verify(records) > 0)
    lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in records)
    (HERE / "tables.json").write_text(f'{{\n"tolerance": {TOLERANCE},\n"records": [\n{lines}\n]\n}}\n', encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
