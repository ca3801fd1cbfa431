"""The corner cases, by hand: what a rule about boundaries can get wrong.

Where PyTorch raises, the trace ends and the record says so under "raises". Cases that it gets wrong in a way that its
documentation does not promise (nested sequences) say under "promised" what it does promise.
"""

import math
from itertools import product
from typing import Any

from draws import Record

NAN, INF = math.nan, math.inf
PHASES = {"div_factor": 10.0, "final_div_factor": 100.0, "base_momentum": 0.8, "max_momentum": 0.9}


def case(name: str, steps: Any, base_lr: float = 0.1, note: str = "", **arguments: Any) -> Record:
    record = {"class": name, "base_lr": base_lr, "arguments": arguments, "steps": steps}
    return record | ({"note": note} if note else {})


def child(name: str, **arguments: Any) -> Record:
    return {"class": name, "arguments": arguments}


def sequence(schedulers: list[Record], milestones: list[int], steps: int = 24, base_lr: float = 1.0, note: str = "") -> Record:
    return case("SequentialLR", steps, base_lr, note, schedulers=schedulers, milestones=milestones)


def chain(schedulers: list[Record], steps: int = 24, base_lr: float = 1.0, note: str = "") -> Record:
    return case("ChainedScheduler", steps, base_lr, note, schedulers=schedulers)


def nested(schedulers: list[Record], milestones: list[int]) -> Record:
    return child("SequentialLR", schedulers=schedulers, milestones=milestones)


def chained(*schedulers: Record) -> Record:
    return child("ChainedScheduler", schedulers=list(schedulers))


def plateau(metrics: list[float], base_lr: float = 0.5, note: str = "", **arguments: Any) -> Record:
    record = {"class": "ReduceLROnPlateau", "base_lr": base_lr, "arguments": arguments, "metrics": metrics}
    return record | ({"note": note} if note else {})


LINEAR = child("LinearLR", start_factor=0.1, end_factor=0.4, total_iters=3)
CONSTANT = child("ConstantLR", factor=0.25, total_iters=4)
EXPONENTIAL = child("ExponentialLR", gamma=0.5)
STEP = child("StepLR", step_size=2, gamma=0.1)
MULTI = child("MultiStepLR", milestones=[2, 5], gamma=0.5)
COSINE = child("CosineAnnealingLR", T_max=4)
COSINE_ABOVE = child("CosineAnnealingLR", T_max=6, eta_min=0.01)
POLYNOMIAL = child("PolynomialLR", total_iters=5, power=2.0)
LAMBDA = child("LambdaLR", lr_lambda="0.9**t")
MULTIPLICATIVE = child("MultiplicativeLR", lr_lambda="0.9")
GROWING = child("MultiplicativeLR", lr_lambda="(1+t)/(2+t)")
RESTARTS = child("CosineAnnealingWarmRestarts", T_0=3, T_mult=2)
SWA = child("SWALR", swa_lr=0.05, anneal_epochs=4)
# The same rate as SWA, because PyTorch keeps it in the optimizer's group, where a second SWALR overwrites it for both.
SWA_LINEAR = child("SWALR", swa_lr=0.05, anneal_epochs=3, anneal_strategy="linear")
CYCLIC = child("CyclicLR", base_lr=0.5, max_lr=2.0, step_size_up=3, step_size_down=2)
CYCLIC_FIRST = child("CyclicLR", base_lr=1.0, max_lr=2.0, step_size_up=3, step_size_down=2)
ONE_CYCLE = child("OneCycleLR", max_lr=8.0, total_steps=10, div_factor=8.0)  # starts at 1, the base rate of these cases

LEAVES = [LINEAR, CONSTANT, EXPONENTIAL, STEP, MULTI, COSINE, COSINE_ABOVE, POLYNOMIAL, LAMBDA, RESTARTS]

TOTALS = [
    case("ConstantLR", 8, factor=0.25, total_iters=0, note="0 iterations: the factor stays for ever"),
    case("ConstantLR", 8, factor=0.25, total_iters=1),
    case("ConstantLR", 8, factor=1.0, total_iters=3),
    case("ConstantLR", 8, factor=0.0, total_iters=3, note="PyTorch divides by 0 at step 3"),
    case("ConstantLR", 8),
    case("LinearLR", 8, start_factor=0.25, total_iters=0, note="0 iterations: the start stays for ever"),
    case("LinearLR", 8, start_factor=0.25, total_iters=1),
    case("LinearLR", 12, start_factor=1.0, end_factor=0.0, total_iters=7),
    case("LinearLR", 8, start_factor=0.5, end_factor=0.5, total_iters=3),
    case("LinearLR", 8),
    case("PolynomialLR", 8, total_iters=0, power=2.0, note="0 iterations: the base rate stays for ever"),
    case("PolynomialLR", 8, total_iters=1, power=2.0),
    case("PolynomialLR", 8, total_iters=4, power=0.0, note="0 ** 0 is 1"),
    case("PolynomialLR", 8),
]

DECAYS = [
    case("LambdaLR", 70, lr_lambda="t//30", note="0 at first"),
    case("LambdaLR", 8, lr_lambda="one"),
    case("MultiplicativeLR", 8, lr_lambda="one"),
    case("MultiplicativeLR", 5000 + 1, lr_lambda="1+1/(2+t)**2") | {"steps": [0, 1, 2, 3, 100, 1000, 4999, 5000]},
    case("StepLR", 12, step_size=1, gamma=0.5),
    case("StepLR", 12, step_size=3, gamma=0.0),
    case("StepLR", 12, step_size=3, gamma=1.0),
    case("StepLR", 12, step_size=3, gamma=-0.5),
    case("StepLR", [0, 999, 1000, 1001, 1999, 2000, 2999, 3000], step_size=1000, gamma=0.5),
    case("MultiStepLR", 12, milestones=[0, 3], gamma=0.5, note="milestone 0 fires at step 0"),
    case("MultiStepLR", 12, milestones=[0, 0, 3], gamma=0.5),
    case("MultiStepLR", 12, milestones=[3, 3, 6, 3], gamma=0.5, note="duplicates count, and the order does not matter"),
    case("MultiStepLR", 12, milestones=[], gamma=0.5),
    case("MultiStepLR", 12, milestones=[1, 2, 3]),
    case("ExponentialLR", 8, gamma=0.0),
    case("ExponentialLR", 8, gamma=1.0),
    case("ExponentialLR", 8, gamma=-0.5),
]

COSINES = [
    case("CosineAnnealingLR", 20, base_lr=1.0, T_max=4, note="rises again: period 2 T_max"),
    case("CosineAnnealingLR", 9, T_max=1),
    case("CosineAnnealingLR", 9, T_max=2, eta_min=0.1, note="eta_min is the base rate"),
    case("CosineAnnealingLR", 9, T_max=2, eta_min=0.3, note="eta_min above the base rate"),
    case("CosineAnnealingLR", [0, 1, 2, 399, 400, 401, 402, 799, 800, 801, 1199, 1200, 1201, 2000], T_max=400),
    *(case("CosineAnnealingWarmRestarts", 130, T_0=first, T_mult=ratio) for first, ratio in [(1, 1), (1, 2), (1, 3), (2, 5)]),
    case("CosineAnnealingWarmRestarts", 32, T_0=10, T_mult=1, eta_min=0.01),
]


def fractions(first: int, ratio: int, times: list[float]) -> Record:
    return case("CosineAnnealingWarmRestarts", times, T_0=first, T_mult=ratio, eta_min=1e-3) | {"fractional": True}


COSINES += [
    fractions(4, 1, [k / 8 for k in range(72)]),
    fractions(2, 2, [k / 4 for k in range(60)]),
    fractions(3, 2, [0.5, 2.875, 3.0, 0.0, 8.875, 9.0, 9.125, 20.875, 21.0, 21.125, 1.5]),
    fractions(10, 3, [0.0, 9.5, 10.0, 10.5, 39.5, 40.0, 40.5, 129.5, 130.0, 130.5]),
]


def cyclic(steps: Any = 24, note: str = "", **arguments: Any) -> Record:
    """The tolerance is relative to the largest rate."""
    arguments = {"base_lr": 0.1, "max_lr": 0.4, **arguments}
    record = {"class": "CyclicLR", "base_lr": arguments["max_lr"], "arguments": arguments, "steps": steps}
    return record | ({"note": note} if note else {})


CYCLES = [
    *(
        cyclic(step_size_up=up, step_size_down=down, mode=mode, gamma=0.9)
        for mode, (up, down) in product(("triangular", "triangular2", "exp_range"), [(4, None), (2, 6), (5, 0)])
    ),
    *(
        cyclic(step_size_up=3, step_size_down=4, scale_fn=name, scale_mode=mode)
        for name, mode in product(("1/(1+t)", "half"), ("cycle", "iterations"))
    ),
    cyclic(step_size_up=4, cycle_momentum=False, note="the momentum stays the optimizer's own"),
    cyclic(step_size_up=1, mode="triangular2"),
    cyclic(step_size_up=4, base_lr=0.0),
    cyclic(step_size_up=4, base_lr=0.4, max_lr=0.1, base_momentum=0.9, max_momentum=0.8, note="upside down") | {"base_lr": 0.4},
    cyclic([0, 1, 1999, 2000, 2001, 3999, 4000, 4001, 6000, 12345], note="the default lengths"),
]


def one_cycle(total: int, steps: int | None = None, note: str = "", **arguments: Any) -> Record:
    arguments = {"max_lr": 1.0, "total_steps": total, **PHASES, **arguments}
    record = {"class": "OneCycleLR", "base_lr": 1.0, "arguments": arguments, "steps": steps or total}
    return record | ({"note": note} if note else {})


ONE_CYCLES = [
    *(
        one_cycle(20, anneal_strategy=strategy, three_phase=phases, pct_start=start)
        for strategy, phases, start in product(("cos", "linear"), (False, True), (0.3, 0.33))
    ),
    one_cycle(10, pct_start=0.0, note="no rise: falls as from step -1 on"),
    one_cycle(10, pct_start=0.0, three_phase=True, note="only the last phase, as from step -2 on"),
    one_cycle(10, pct_start=1.0, note="no fall"),
    one_cycle(10, pct_start=1.0, three_phase=True),
    one_cycle(10, pct_start=0.5, three_phase=True, note="the last phase has one step"),
    one_cycle(10, pct_start=0.55, three_phase=True, note="the last phase has none"),
    one_cycle(10, pct_start=0.8, three_phase=True, note="the second phase is cut off"),
    one_cycle(10, pct_start=0.15, note="the peak is between two steps"),
    one_cycle(10, pct_start=0.05, note="the rise ends before step 0"),
    one_cycle(10, pct_start=0.1, note="pct_start * total_steps is 1: PyTorch divides by 0"),
    one_cycle(1),
    one_cycle(2),
    one_cycle(3),
    one_cycle(10, div_factor=1.0, final_div_factor=1.0, note="the rise is flat"),
    one_cycle(10, cycle_momentum=False, note="the momentum stays the optimizer's own"),
    {
        "class": "OneCycleLR",
        "base_lr": 0.01,
        "arguments": {"max_lr": 0.01, "epochs": 3, "steps_per_epoch": 7},
        "steps": 21,
    },
    {"class": "OneCycleLR", "base_lr": 0.01, "arguments": {"max_lr": 0.01, "total_steps": 100}, "steps": 100},
]

SWAS = [
    case("SWALR", 8, swa_lr=0.02, anneal_epochs=0, note="swa_lr at once"),
    case("SWALR", 8, swa_lr=0.02, anneal_epochs=1),
    case("SWALR", 8, swa_lr=0.0, anneal_epochs=4),
    case("SWALR", 8, swa_lr=0.1, anneal_epochs=4, note="swa_lr is the base rate"),
    case("SWALR", 16, swa_lr=0.3),
]

GUIDE = [child("LinearLR", start_factor=0.1, end_factor=0.4, total_iters=3), child("ExponentialLR", gamma=0.5)]
SEQUENCES = [
    sequence(GUIDE, [3], 10, note="the guide's: the second starts again from the base rate"),
    *(sequence([CONSTANT, leaf], [3]) for leaf in LEAVES),
    *(sequence([leaf, EXPONENTIAL], [5]) for leaf in [*LEAVES, SWA]),
    sequence([CONSTANT, MULTIPLICATIVE], [3], note="goes on from the incoming rate, and applies λ(0)"),
    sequence([MULTIPLICATIVE, CONSTANT], [3]),
    sequence([CONSTANT, MULTIPLICATIVE, GROWING], [3, 6]),
    sequence([GROWING, MULTIPLICATIVE, COSINE], [3, 4]),
    sequence([EXPONENTIAL, SWA], [3], note="anneals from the incoming rate"),
    sequence([EXPONENTIAL, SWA, SWA_LINEAR], [3, 5]),
    sequence([SWA, SWA_LINEAR, MULTIPLICATIVE], [2, 9]),
    sequence([MULTIPLICATIVE, child("SWALR", swa_lr=0.05, anneal_epochs=0)], [3]),
    sequence([LINEAR, CYCLIC], [4]),
    sequence([CYCLIC_FIRST, EXPONENTIAL], [7]),
    sequence([CYCLIC_FIRST, MULTIPLICATIVE], [7]),
    sequence([LINEAR, ONE_CYCLE], [4], 14),
    sequence([ONE_CYCLE, EXPONENTIAL], [10], note="the first sets the base rate: max_lr / div_factor"),
    sequence([ONE_CYCLE, MULTIPLICATIVE], [6]),
    sequence([LINEAR, COSINE, EXPONENTIAL], [3, 4], note="a second phase of one step"),
    sequence([LINEAR, COSINE, EXPONENTIAL], [3, 3], note="a second phase of none"),
    sequence([LINEAR, COSINE, EXPONENTIAL], [1, 2]),
    sequence([LINEAR, EXPONENTIAL], [0], note="milestone 0: the first never runs"),
    sequence([LINEAR, COSINE, EXPONENTIAL], [0, 5]),
    sequence([LINEAR, MULTIPLICATIVE], [0], note="at step 0, λ(0) is not applied"),
    sequence([LINEAR, child("MultiStepLR", milestones=[0, 2], gamma=0.5)], [4]),
    sequence([LINEAR], []),
    sequence([EXPONENTIAL, child("ConstantLR", factor=0.25, total_iters=0)], [3], note="later, 0 iterations are the base rate"),
    sequence([child("ConstantLR", factor=0.25, total_iters=0), EXPONENTIAL], [3]),
    sequence([child("LinearLR", start_factor=0.25, total_iters=0), EXPONENTIAL], [3]),
    sequence([child("PolynomialLR", total_iters=0), EXPONENTIAL], [3]),
    sequence([EXPONENTIAL, child("LinearLR", start_factor=0.25, total_iters=0)], [3], note="PyTorch divides by 0 at step 3"),
    sequence([EXPONENTIAL, child("PolynomialLR", total_iters=0)], [3], note="PyTorch divides by 0 at step 3"),
    # Nested. A first child that is a sequence is one step ahead; as the first child of a sequence, the parts of either kind
    # make a full step where they should make their initial one; a later child that is one raises.
    *(sequence([nested([leaf, EXPONENTIAL], [4]), CONSTANT], [9]) for leaf in LEAVES),
    sequence([nested([LINEAR, EXPONENTIAL], [1]), CONSTANT], [9]),
    sequence([nested([nested([LINEAR, COSINE], [3]), EXPONENTIAL], [6]), CONSTANT], [9]),
    sequence([LINEAR, nested([COSINE, EXPONENTIAL], [4])], [3]),
    sequence([LINEAR, chained(CONSTANT, EXPONENTIAL)], [3]),
    *(sequence([chained(leaf, CONSTANT), EXPONENTIAL], [6]) for leaf in LEAVES),
    *(sequence([chained(leaf, CONSTANT), EXPONENTIAL], [6]) for leaf in (MULTIPLICATIVE, SWA)),
]

PAIRS = [
    [CONSTANT, EXPONENTIAL],
    [LINEAR, STEP],
    [STEP, MULTI],
    [LINEAR, CONSTANT, EXPONENTIAL],
    [POLYNOMIAL, STEP],
    [MULTIPLICATIVE, GROWING],
    [COSINE, STEP],
    [STEP, COSINE],
    [COSINE_ABOVE, EXPONENTIAL],
    [EXPONENTIAL, COSINE_ABOVE],
    [COSINE, COSINE_ABOVE],
    [COSINE, POLYNOMIAL],
    [LINEAR, COSINE],
    [STEP, LAMBDA],
    [LAMBDA, STEP],
    [LAMBDA, EXPONENTIAL, CONSTANT],
    [EXPONENTIAL, RESTARTS],
    [RESTARTS, EXPONENTIAL],
    [RESTARTS, CONSTANT],
    [EXPONENTIAL, SWA],
    [SWA, EXPONENTIAL],
    [SWA, SWA_LINEAR],
    [LINEAR, child("SWALR", swa_lr=0.05, anneal_epochs=0)],
    [STEP, CYCLIC],
    [CONSTANT, CYCLIC],
    [CYCLIC_FIRST, STEP],
    [STEP, ONE_CYCLE],
    [ONE_CYCLE, CONSTANT],
    [child("ConstantLR", factor=0.25, total_iters=0), EXPONENTIAL],
    [child("LinearLR", start_factor=0.25, total_iters=0), child("PolynomialLR", total_iters=0)],
    [child("CosineAnnealingLR", T_max=1), STEP],
    [STEP],
]
CHAINS = [
    *(chain(pair, 10 if ONE_CYCLE in pair else 24) for pair in PAIRS),  # past its last step PyTorch's OneCycleLR raises
    chain([chained(LINEAR, STEP), EXPONENTIAL]),
    chain([EXPONENTIAL, chained(COSINE, chained(STEP, CONSTANT))]),
    chain([nested([LINEAR, EXPONENTIAL], [4]), STEP], note="the start of its second child wipes what was chained"),
    chain([STEP, nested([LINEAR, EXPONENTIAL], [4])]),
    chain([CONSTANT, nested([LINEAR, EXPONENTIAL], [4])], note="constructing the sequence wipes the factor of the first"),
    chain([nested([LINEAR, EXPONENTIAL], [4]), CONSTANT]),
    chain([nested([CONSTANT, MULTIPLICATIVE], [4]), STEP]),
]

FLAT = [1.0] * 14
HARD = [1.0, NAN, 0.5, INF, 0.5, 0.5, NAN, NAN, 0.25, -INF, 0.0, -1.0, INF, INF, NAN, -2.0, -2.0, -2.0, -2.0, -4.0]
WAVE = [0.0, -1.0, -1.0, -0.5, -0.25, 0.0, 0.0, 0.5, 1.0, 1.0, 0.5, 0.0, -0.5, -1.5, -1.5, -1.5, 2.0, 2.0, 2.0, 2.0]
KINDS: list[Any] = [{"mode": mode, "threshold_mode": kind} for mode, kind in product(("min", "max"), ("rel", "abs"))]
PLATEAUS = [
    plateau(FLAT, 1.0, factor=0.5, patience=2, cooldown=1),
    plateau([1.0] * 30),
    *(plateau(HARD, factor=0.5, patience=1, **kind) for kind in KINDS),
    *(plateau(WAVE, factor=0.5, patience=1, threshold=0.25, **kind) for kind in KINDS),
    *(plateau([-x for x in WAVE], factor=0.5, patience=0, cooldown=2, threshold=0.0, **kind) for kind in KINDS),
    *(plateau([-1.0] * 12, factor=0.5, patience=1, **kind, note="flat below 0") for kind in KINDS),
    *(plateau([0.0] * 12, factor=0.5, patience=1, **kind) for kind in KINDS),
    *(plateau([NAN] * 12, factor=0.5, patience=2, **kind) for kind in KINDS),
    *(plateau([sign * INF] * 8, factor=0.5, patience=2, **kind) for sign in (1, -1) for kind in KINDS),
    plateau([-1.0 + k / 32 for k in range(17)], factor=0.5, patience=2, note="rises from -1 to -0.5"),
    plateau(FLAT, factor=0.5, patience=0, min_lr=0.1),
    plateau(FLAT, factor=0.5, patience=0, min_lr=0.6, note="min_lr above the rate: never raised"),
    plateau(FLAT, factor=0.5, patience=1, cooldown=2, eps=0.1, note="eps keeps the rate, but the cooldown runs"),
    plateau(FLAT, factor=0.0, patience=1),
    plateau(FLAT, factor=0.0, patience=1, min_lr=0.2),
    plateau(FLAT, factor=-0.5, patience=1, min_lr=0.05),
    plateau(FLAT, factor=-0.5, patience=1, min_lr=-1.0, note="the rate changes its sign"),
    plateau(FLAT, 1e-7, factor=0.5, patience=0, note="the default eps stops it"),
    plateau(FLAT, factor=0.5, patience=0, cooldown=0),
    plateau(FLAT, factor=0.5, patience=0, cooldown=20),
    plateau([2.0**-k for k in range(8)], factor=0.5, patience=0, threshold=1.0, note="inf * 0: nothing is ever better"),
    plateau([2.0**-k for k in range(8)], factor=0.5, patience=0, threshold=2.0),
    plateau([2.0**k for k in range(8)], factor=0.5, patience=0, threshold=1.0, mode="max"),
    plateau([2.0**k for k in range(8)], factor=0.5, patience=0, threshold=2.0, mode="max", threshold_mode="abs"),
]

CORNERS: list[Record] = [*TOTALS, *DECAYS, *COSINES, *CYCLES, *ONE_CYCLES, *SWAS, *SEQUENCES, *CHAINS, *PLATEAUS]
