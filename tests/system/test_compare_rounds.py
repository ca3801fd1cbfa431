"""`lrsched.lab.compare` in rounds: kept in a folder, shared by devices and processes, and too large for memory."""

import signal
import socket
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import said, started
from test_compare import compare as compared
from test_compare import descend

import lrsched as ls

ROUNDS = 2 * 3 * 8 // 2
SCHEDULES = {"constant": ls.Constant(1.0), "cosine": ls.Cosine(1.0, 0.0, 9)}
trained = []


def start(folder, devices=1, *process):
    return started("comparing.py", folder, *process, devices=devices)


def test_killed_in_the_middle_it_ends_with_the_same_numbers_as_whole_on_eight_devices_and_in_two_processes(tmp_path):
    folders = [tmp_path / name for name in ("whole", "mesh", "killed", "both")]
    for folder in folders:
        folder.mkdir()
    whole, mesh, process = start(folders[0]), start(folders[1], 8), start(folders[2])
    deadline = time.monotonic() + 200
    while len(list(folders[2].glob("round-*.npz"))) < 3:
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = {path: path.stat().st_mtime_ns for path in folders[2].glob("round-*.npz")}
    assert 3 <= len(kept) < ROUNDS
    devices, *numbers = said(whole).split()
    assert (devices, len(numbers)) == ("1", 3)
    assert said(start(folders[2])).split() == ["1", *numbers]
    assert len(list(folders[2].glob("round-*.npz"))) == ROUNDS
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # they were not made again
    assert said(mesh).split() == ["8", *numbers]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [start(folders[3] if first else tmp_path / "unused", 4, int(not first), port) for first in (True, False)]
    assert [said(one).splitlines()[-1].split() for one in both] == [["8", *numbers]] * 2
    assert len(list(folders[3].glob("round-*.npz"))) == ROUNDS / 8
    assert not (tmp_path / "unused").exists()


def train(schedule, key):
    jax.debug.callback(lambda x: trained.append(float(x)), schedule(0))
    found = descend(schedule, key)
    return {**found, "test": found["test"].astype(jnp.bfloat16)}


def compare(train=train, schedules=SCHEDULES, **options):
    return compared(train, schedules, **{"peaks": [0.1, 0.3], "batch_size": 4, **options})


def metrics(found):
    return {name: (values.dtype, values.tobytes()) for name, values in found.metrics.items()}


def test_only_what_a_disk_lost_or_changed_is_trained_again(tmp_path):
    def again():
        trained.clear()
        found = metrics(compare(folder=tmp_path / "new" / "folder"))
        jax.effects_barrier()
        return found, len(trained)

    first = metrics(compare())
    assert [again(), again()] == [(first, 12), (first, 0)]
    one, two, three = sorted(tmp_path.rglob("round-*.npz"))
    content = bytearray(one.read_bytes())
    content[content.index(b"loss.npy") + 60] ^= 1  # a bit of its compressed numbers
    one.write_bytes(content)
    two.write_bytes(two.read_bytes()[:100])
    assert again() == (first, 8)
    three.unlink()
    np.savez(three, another=1)
    assert again() == (first, 4)


def test_a_folder_grows_by_seeds_peaks_and_schedules(tmp_path):
    def trains(**options):
        trained.clear()
        found = compare(folder=tmp_path, batch_size=1, **options)
        jax.effects_barrier()
        return found, len(trained)

    constant = {"constant": ls.Constant(1.0)}
    first, count = trains(schedules=constant)
    assert (count, trains(schedules=constant, seeds=4)[1], trains(schedules=constant, peaks=[0.3, 0.2])[1]) == (6, 2, 3)
    found, count = trains(schedules={"line": lambda t: 1.0 / (1.0 + t), **constant})
    assert count == 6
    np.testing.assert_array_equal(found.metrics["loss"][2:], first.metrics["loss"])
    assert trains(schedules={"line": lambda t: 1.0 / (2.0 + t) * 2.0, **constant})[1] == 6  # another function, another schedule
    assert trains(schedules=constant, seed=1)[1] == 6


def clocked(pace):
    @ls.node
    class Paced(ls.Clock):
        monitor = "value"

        def init(self):
            return jnp.zeros((), jnp.int32)

        def tick(self, state, steps, observations):  # noqa: ARG002 - the signature of a clock
            return state + pace * ("value" in observations)

        def read(self, state):
            return state

    return SCHEDULES | {"own": ls.Exponential(1.0, 0.9).on(Paced())}


def shifted(by):
    return lambda schedule, key: {**(found := descend(schedule, key)), "loss": found["loss"] + by}


def named(name):
    return lambda schedule, key: {**(found := descend(schedule, key)), name: 2.0 * found["loss"]}


OTHERS = {  # options of two comparisons
    "train": ({}, {"train": descend}),
    "number": ({"train": shifted(1.0)}, {"train": shifted(1.0 + 2.0**-23)}),
    "data": ({"train": shifted(np.ones(30))}, {"train": shifted(np.arange(30.0))}),
    "name of a metric": ({"train": named("double")}, {"train": named("doubled")}),
    "code of a clock": ({"train": descend, "schedules": clocked(1)}, {"train": descend, "schedules": clocked(2)}),
}


INLINE = "jax_use_simplified_jaxpr_constants"  # of newer JAX: data stands in the program, not beside it


@pytest.mark.parametrize("inline", [False, True] if INLINE in jax.config.values else [False])
@pytest.mark.parametrize("other", OTHERS)
def test_another_program_makes_its_own_runs(tmp_path, request, other, inline):
    first, second = OTHERS[other]
    if inline:
        request.addfinalizer(lambda before=jax.config.values[INLINE]: jax.config.update(INLINE, before))
        jax.config.update(INLINE, True)
    compare(folder=tmp_path, **first)
    assert metrics(compare(folder=tmp_path, **second)) == metrics(compare(**second))


def test_what_calls_back_into_python_is_not_kept(tmp_path):
    def calls(schedule, key):
        found = descend(schedule, key)
        return {**found, "test": jax.pure_callback(lambda x: x, found["test"], found["test"], vmap_method="sequential")}

    with pytest.raises(ValueError, match=r"expected train\(schedule, key\) in JAX alone, got a pure_callback: whether its"):
        compare(calls, folder=tmp_path)


def test_more_runs_than_fit_are_refused_with_a_number_to_try():
    def large(schedule, key):
        x = jax.random.normal(key, (1 << 45,))
        return -jnp.sum(x[None] * schedule(0), axis=1)

    with pytest.raises(MemoryError, match=r"expected 12 runs at a time to fit in memory, got an error\. Hint: batch_size=6,"):
        compare(large, batch_size=None)
    with pytest.raises(MemoryError, match="Hint: a smaller model"):
        compare(large, batch_size=1)
