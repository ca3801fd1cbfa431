"""Names that people bring from other frameworks: an error says how the same is written here."""

# The calls are wrong on purpose.
# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false

import importlib
import inspect
import re

import numpy as np
import optax
import pytest
from helpers import refused

import lrsched as ls
from lrsched.algebra import foreign
from lrsched.dialects import keras, timm, torch, transformers
from lrsched.dialects import optax as optax_dialect

COSINE = ls.Cosine(0.1, 0.0, 100)

# The call, and the words of its error.
NAMES = [
    (lambda: ls.Cosine(0.1, T_max=100), "Cosine(T_max=...): expected start, end, steps. Hint: write steps for T_max."),
    (lambda: ls.multi_step(gamma=0.1), "multi_step(gamma=...): expected start, milestones, factor. Hint: write factor for"),
    (lambda: ls.Plateau(paitence=3), "Hint: write patience for paitence."),
    (lambda: ls.Linear(0.1, 0.0, 9, last_epoch=-1), "Hint: a schedule has no counter: schedule(t) is the value of update t"),
    (lambda: ls.Linear(0.1, 0.0, 9, colour="red"), "Linear(colour=...): expected start, end, steps."),
    (lambda: COSINE.clip(min=0.1), "clip(min=...): expected low, high. Hint: write low for min."),
    (lambda: COSINE.delay(transition_begin=3), "delay(transition_begin=...): expected steps. Hint: schedule.delay(steps) or"),
    (lambda: ls.scale_by_learning_rate(learning_rate=0.1), "Hint: write schedule for learning_rate."),
    (lambda: keras.ExponentialDecay(lr=0.1, decay_steps=9), "Hint: write initial_learning_rate for lr."),
    (lambda: ls.warmup_cosine(0.1, warmup_epochs=1, steps=9), "Hint: warmup_steps=warmup_epochs * steps_per_epoch."),
    (lambda: ls.reduce_on_plateau(min_lr=1e-5), "Hint: min_scale=min_lr / rate."),
    (lambda: ls.multi_step(0.1, boundaries_and_scales={9: 0.1}), "Hint: lrsched.dialects.optax.piecewise_constant_schedule"),
    (lambda: ls.clocks.replay(COSINE, metrics=[1.0]), "Hint: write observations for metrics."),
    (lambda: ls.Geometric(0.1, 9), "Geometric(...): expected start, end, steps, got only start, end. Hint: add steps=<value>."),
    (lambda: ls.wsd(0.1, steps=99), "got only peak, steps. Hint: add warmup_steps=<value>, decay_steps=<value>."),
    (lambda: torch.ExponentialLR(0.1, 0.9, -1), "expected base_lr, gamma, got too many positional arguments."),
    (lambda: COSINE.reverse(9), "reverse(...): expected no arguments, got too many positional arguments."),
    (lambda: ls.warmup_cosine(0.1, 9), "warmup_steps, steps, got only peak, warmup_steps. Hint: add steps=<value>."),
    (lambda: ls.Cosine(), "got none. Hint: add start=<value>, end=<value>, steps=<value>."),
    (lambda: COSINE.take(), "take(...): expected steps, got none. Hint: add steps=<value>."),
    (lambda: ls.minimum(COSINE), "minimum(...): expected a, b, got only a. Hint: add b=<value>."),
    (lambda: torch.OneCycleLR(0.1, max_lr=0.2), "got multiple values for argument 'max_lr'."),
    (lambda: torch.StepLR(optimizer=0.1, step_size=30), "Hint: base_lr=<its learning rate>."),
    (lambda: keras.CosineDecay(optimizer=0.1), "Hint: initial_learning_rate=<its learning rate>."),
    (lambda: ls.wsd(0.1, 9, 99, decay=9), "Hint: write decay_steps for decay."),
    (lambda: ls.warmup_cosine(0.1, 9, length=99), "Hint: write steps for length."),
    (lambda: ls.wsd(0.1, 9, stable_steps=9), "Hint: steps=warmup_steps + stable_steps + decay_steps."),
    (lambda: ls.one_cycle(0.1, 9, max_momentum=0.9), "Hint: a momentum is a schedule of its own, such as one_cycle(low,"),
    (lambda: ls.one_cycle(0.1, 9, end=0.0), "Hint: final_div_factor=peak / div_factor / end."),
    (lambda: ls.Cosine(0.1, stop=0.0, steps=9), "Hint: write end for stop."),
    (lambda: ls.Cosine(0.1, 0.0, 9, restart=True), "Hint: schedule.repeat()."),
    (lambda: ls.Cosine(0.1, 0.0, step=9), "Hint: write steps for step."),
    (lambda: ls.reduce_on_plateau(lr=0.1), "Hint: lr * reduce_on_plateau(...)."),
    (lambda: ls.clocks.tick(ls.reduce_on_plateau(), value=1.0), "got only schedule, value. Hint: add state=<value>."),
    (lambda: ls.restore(optax.sgd(0.1), {}), "expected the state of an optimizer. Hint: optimizer.init(params) makes one."),
    (lambda: ls.restore({}), "restore(...): expected template, loaded, got only template."),
    (lambda: ls.lab.range_test(abs, {}, [], num_iter=9), "Hint: write steps for num_iter."),
    (lambda: ls.lab.range_test(abs, {}, [], start_lr=9), "Hint: write start for start_lr."),
    (lambda: ls.lab.range_test(abs, {}, [], end_lr=9), "Hint: write stop for end_lr."),
    (lambda: ls.lab.range_test(abs, {}, [], max_lr=9), "Hint: stop=max_lr."),
    (lambda: ls.lab.compare(abs, {}, lrs=[0.1]), "Hint: write peaks for lrs."),
    (lambda: ls.plot(COSINE, axes=None), "Hint: write ax for axes."),
    (lambda: ls.plot(COSINE, yscale="log"), "Hint: log=True."),
    (lambda: ls.plot(COSINE, xlabel="t"), "Hint: plot(schedule).set(title=..., ylabel=...), since it returns matplotlib Axes."),
    (lambda: ls.scheduled(optax.adamw)(0.1, beta2=COSINE), "Hint: write b2 for beta2."),
    (lambda: torch.StepLR(optax.sgd(0.1), 30), "Hint: the rate of the optimizer, in the place of the optimizer."),
    (lambda: torch.CyclicLR(optax.sgd(0.1), 0.1, 1.0), "Hint: its rates are arguments, so that there is no optimizer."),
]
ATTRIBUTES = [
    (lambda: COSINE.step(), "'Cosine' object has no attribute 'step'. Hint: a schedule has no counter: schedule(t) is"),
    (lambda: COSINE.get_last_lr(), "Hint: schedule(t) is the value of update t, and learning_rate(state) what the last update"),
    (lambda: torch.ReduceLROnPlateau(0.1).state_dict(), "Hint: a schedule has no state; describe(schedule)"),
    (lambda: ls.reduce_on_plateau().init({}), "in optax.chain, scale_by_learning_rate(schedule), after an optimizer with"),
    (lambda: ls.ReduceLROnPlateau, "lrsched.dialects.keras.ReduceLROnPlateau or lrsched.dialects.torch.ReduceLROnPlateau."),
    (lambda: COSINE.strech(2), "'Cosine' object has no attribute 'strech'. Hint: schedule.stretch."),
    (lambda: COSINE.lenght, "Hint: schedule.length."),
    (lambda: COSINE.maximum(0.1), "Hint: maximum(schedule, other)."),
    (lambda: ls.warmup_cosine(0.1, 9, 99).peak, "Hint: warmup_cosine(...) made it, and its arguments are not kept: call it"),
    (lambda: ls.reduce_on_plateau().factor, "call it again with factor=<value>."),
    (lambda: ls.repeat, "module 'lrsched' has no attribute 'repeat'. Hint: schedule.repeat(...)."),
    (lambda: ls.set_learning_rate, "Hint: replace_schedule(state, schedule), if it has live=True."),
    (lambda: ls.one_cycle(0.1, 9).momentum, "Hint: a momentum is a schedule of its own, such as one_cycle(low,"),
    (lambda: ls.lab.lr_find, "module 'lrsched.lab' has no attribute 'lr_find'. Hint: lrsched.lab.range_test."),
    (lambda: ls.Step, "Hint: step_decay(start, every, factor), or Piecewise(steps, values); Steps() is a clock."),
    (lambda: ls.step(0.1, 9), "Hint: step_decay(start, every, factor), or Piecewise(steps, values); Steps() is a clock."),
    (lambda: ls.clocks.Plateau(), "module 'lrsched.clocks' has no attribute 'Plateau'. Hint: lrsched.Plateau."),
    (lambda: ls.clocks.reduce_on_plateau(), "no attribute 'reduce_on_plateau'. Hint: lrsched.reduce_on_plateau."),
    (lambda: ls.clocks.observe, "Hint: lrsched.observe."),
    (lambda: ls.clocks.replays, "Hint: lrsched.clocks.replay."),
    (lambda: ls.from_string, "Hint: parse(text)."),
    (lambda: torch.StepLR(0.1, 30).stretch(9).composed, "Hint: expanded(schedule)."),
    (
        lambda: COSINE.astype(float),
        "Hint: scheduled(optax.adamw)(b2=schedule), where optax itself expects a number and not a schedule.",
    ),
    (lambda: COSINE.stop_, "'Cosine' object has no attribute 'stop_'"),
    (lambda: ls.cosine, "module 'lrsched' has no attribute 'cosine'. Hint: lrsched.Cosine."),
    (lambda: ls.WSD, "Hint: lrsched.wsd."),
    (lambda: ls.get_lr, "Hint: schedule(t) is the value of update t, and learning_rate(state)"),
    (lambda: ls.StepLR(0.1, 30), "Hint: lrsched.dialects.torch.StepLR."),
    (lambda: ls.LearningRateSchedule, "Hint: Schedule, and Function(f) of a function f."),
    (lambda: ls.Trapezoid, "Hint: wsd(peak, warmup_steps, steps, decay_steps)."),
    (lambda: torch.CosineAnealingWarmRestart, "Hint: lrsched.dialects.torch.CosineAnnealingWarmRestarts."),
    (lambda: optax_dialect.warmup_cosine, "Hint: lrsched.dialects.optax.warmup_cosine_decay_schedule."),
    (lambda: ls.qwertyuiop, "module 'lrsched' has no attribute 'qwertyuiop'"),
]
test_an_argument_of_others_is_a_type_error_with_ours = refused(NAMES, TypeError, literal=True)
test_a_name_of_others_is_an_attribute_error_with_ours = refused(ATTRIBUTES, AttributeError, literal=True)


def test_the_table_names_what_there_is():
    texts = foreign.NAMES.values()
    for called in re.findall(r"(?<![\w.])(\w+)\(", " ".join(texts)):
        assert called in ("schedule", "print", "list") or hasattr(ls, called) or hasattr(ls.clocks, called), called
    for method in re.findall(r"schedule\.(\w+)\(", " ".join(texts)):
        assert hasattr(COSINE, method), method
    for path in re.findall(r"lrsched\.([\w.]+)\.(\w+)", " ".join(texts)):
        assert hasattr(importlib.import_module(f"lrsched.{path[0]}"), path[1]), path
    assert not [name for name in foreign.NAMES if hasattr(COSINE, name) and hasattr(ls, name)]
    functions = [f for module in (ls, ls.lab, keras, optax_dialect, timm, torch, transformers) for f in vars(module).values()]
    functions = [f for f in [*functions, optax.adamw] if inspect.isfunction(f) or inspect.isclass(f)]
    parameters = {name for f in functions for name in inspect.signature(f).parameters}
    written = {one.partition("=")[0] for ours in foreign.FORMULAS.values() for one in ours.split("; ")}
    assert written <= parameters
    assert not [group for group in foreign.ALIKE if not parameters & {*group.split()}]


def test_every_function_of_a_schedule_names_its_arguments():
    for name, function in (vars(ls) | vars(ls.clocks)).items():
        parameters = inspect.signature(function).parameters if inspect.isfunction(function) else {}
        if len(parameters) > 1 and {"schedule", "schedules"} & {*parameters} and "named" not in parameters:
            with pytest.raises(TypeError, match=rf"^{name}\(colour=\.\.\.\): expected "):
                function(colour="red")


def test_protocols_that_ask_for_attributes_go_on_as_ever():
    assert not any(hasattr(COSINE, name) for name in ("step", "update", "init", "__jax_array__", "_repr_html_"))
    assert getattr(COSINE, "get_lr", None) is None
    assert not hasattr(ls, "cosine")
    assert list(inspect.signature(ls.Cosine).parameters) == ["start", "end", "steps"]
    with pytest.raises(TypeError, match="expected a batch"):
        list(COSINE)


def test_an_error_in_a_property_is_shown_as_it_is():
    @ls.node
    class Broken(ls.Schedule):
        @property
        def length(self):
            return self.nothing

    with pytest.raises(AttributeError, match="'Broken' object has no attribute 'nothing'"):
        _ = Broken().length


# Rates by group as lists, as in PyTorch, and batches: the functions for optax take one number or one schedule.
LISTS = [
    lambda: torch.OneCycleLR([1e-3, 1e-4], 10),
    lambda: torch.LambdaLR([1e-3, 1e-4], np.sqrt),
    lambda: torch.ReduceLROnPlateau(0.1, min_lr=[1e-3, 1e-4]),
    lambda: optax_dialect.constant_schedule([0.1, 0.2]),
    lambda: optax_dialect.cosine_decay_schedule(init_value=(0.1, 0.2), decay_steps=100),
    lambda: transformers.get_scheduler("constant", [0.1, 0.2]),
    lambda: timm.CosineLRScheduler([0.1, 0.2], 100),
    lambda: keras.ReduceLROnPlateau([0.1, 0.2]),
]
BATCH = ls.Linear([1e-3, 1e-4], 0.0, 10)
TAKE_ONE = (ls.scale_by_learning_rate, ls.scheduled(optax.adamw), optax_dialect.as_stateful, lambda s: ls.layerwise(s, 0.9, {}))
GROUPS = [
    *((call, r"expected one number. Hint: .*optax.partition.*stack") for call in LISTS),
    (lambda: torch.LambdaLR(0.1, [np.sqrt, np.sqrt]), r"LambdaLR\(lr_lambda=.*optax.partition"),
    *((lambda make=make: make(BATCH), r"one schedule, got a batch of shape \(2,\).*optax.partition") for make in TAKE_ONE),
    *(
        (lambda x=x: ls.scheduled(optax.adamw)(x), rf"scheduled\(adamw\)\(learning_rate={says}.*\).*optax.partition")
        for x, says in (([1e-3, 1e-4], r"\[0.001, 0.0001\]"), (np.full(3, 0.1), "array"))
    ),
]
test_rates_by_group_are_refused = refused(GROUPS)


def test_a_batch_is_written_with_arrays_or_stack():
    onecycle = optax_dialect.linear_onecycle_schedule
    for make in (lambda x: torch.StepLR(x, 30), torch.ReduceLROnPlateau, lambda x: onecycle(400 * x, x)):
        batch = make(np.array([0.1, 0.2]))
        assert batch == ls.stack([make(0.1), make(0.2)])
        assert ls.parse(repr(batch)) == ls.from_dict(ls.to_dict(batch)) == batch
    assert optax_dialect.linear_schedule(np.array([0.1, 0.2]), 0.0, 100) == ls.Linear([0.1, 0.2], 0.0, 100)
    assert timm.MultiStepLRScheduler(0.1, [30, 80]) == ls.multi_step(0.1, [29, 79], 1.0)  # a list is no batch there
