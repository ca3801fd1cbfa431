"""`lrsched.lab.compare` in rounds: kept in a folder and gone on with, shared by eight devices, and too large for the memory."""

import json
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import said, started

import lrsched as ls
from lrsched import lab
from lrsched.lab.comparing import memory
from lrsched.lab.comparing.rounds import Program
from lrsched.lab.comparing.store import Store

ROUNDS = 2 * 3 * 8 // 2
SCHEDULES = {"constant": ls.Constant(1.0), "cosine": ls.Cosine(1.0, 0.0, 9)}
trained = []


def start(folder, *arguments, devices=1):
    return started("comparing.py", folder, *arguments, devices=devices)


def finished(process):
    return said(process).split()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return finished(start(tmp_path_factory.mktemp("whole")))


def test_killed_in_the_middle_it_goes_on_and_ends_with_the_same_numbers(tmp_path, whole):
    process = start(tmp_path)
    deadline = time.monotonic() + 200
    while len(list(tmp_path.glob("round-*.npz"))) < 3:
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("round-*.npz")}
    assert 3 <= len(kept) < ROUNDS
    assert finished(start(tmp_path)) == whole
    assert len(list(tmp_path.glob("round-*.npz"))) == ROUNDS
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # they were not made again


def test_eight_devices_give_the_numbers_of_one(tmp_path, whole):
    devices, *found = finished(start(tmp_path, "mesh", devices=8))
    assert (whole[0], devices) == ("1", "8")
    assert found == whole[1:]


def train(schedule, key):
    jax.debug.callback(lambda x: trained.append(float(x)), schedule(0))

    def step(x, i):
        x = x - schedule(i) * x
        return x, x**2

    _, losses = jax.lax.scan(step, jax.random.normal(key), jnp.arange(10))
    return {"loss": losses, "validation": -losses, "test": -losses[-1].astype(jnp.bfloat16)}


def compare(train=train, schedules=SCHEDULES, **options):
    return lab.compare(
        train, schedules, **{"peaks": [0.1, 0.3], "seeds": 3, "batch_size": 4, "show_progress": False, **options}
    )


def metrics(found):
    return {name: (values.dtype, values.tobytes()) for name, values in found.metrics.items()}


def test_what_is_finished_is_not_trained_again(tmp_path):
    trained.clear()
    first = compare(folder=tmp_path / "new" / "folder")
    jax.effects_barrier()
    assert len(trained) == 12
    again = compare(folder=tmp_path / "new" / "folder")
    jax.effects_barrier()
    assert len(trained) == 12
    assert metrics(first) == metrics(again) == metrics(compare())


def test_what_a_disk_lost_is_trained_again(tmp_path):
    first = compare(folder=tmp_path)
    one, two, three = sorted(tmp_path.glob("round-*.npz"))
    one.write_bytes(one.read_bytes()[:100])
    two.write_bytes(b"")
    three.unlink()
    jax.effects_barrier()
    trained.clear()
    assert metrics(compare(folder=tmp_path)) == metrics(first)
    jax.effects_barrier()
    assert len(trained) == 12
    assert metrics(compare(folder=tmp_path)) == metrics(first)


def other(schedule, key):
    return {name: 2.0 * value for name, value in train(schedule, key).items() if name != "test"} | {"test": jnp.zeros(())}


def test_any_flipped_bit_costs_a_round_at_most(tmp_path):
    first = compare(folder=tmp_path)
    path = sorted(tmp_path.glob("round-*.npz"))[0]
    whole = path.read_bytes()
    flips = np.random.default_rng(0).integers(8 * len(whole), size=300)
    kept = 0
    for flip in flips.tolist():
        content = bytearray(whole)
        content[flip // 8] ^= 1 << flip % 8
        path.write_bytes(content)
        kept += len(Store(tmp_path, json.loads((tmp_path / "rounds.json").read_text())).finished()) == 12
    assert kept < 300
    path.write_bytes(whole[:-20])
    assert metrics(compare(folder=tmp_path)) == metrics(first)


def test_a_description_that_cannot_be_read_is_explained(tmp_path):
    (tmp_path / "rounds.json").write_text("")
    with pytest.raises(ValueError, match=r"has a rounds.json that cannot be read: .*Delete the folder"):
        compare(folder=tmp_path)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"seeds": 4}, "seeds = 3 there, 4 here"),
        ({"peaks": [0.1, 0.4]}, r"peaks = \[0.1, 0.3\] there, \[0.1, 0.4\] here"),
        ({"seed": 7}, "seed = 0 there, 7 here"),
        ({"train": other}, "train, or the data that it closes over, is another"),
        ({"schedules": {**SCHEDULES, "more": ls.Time()}}, r"schedules \['constant', 'cosine'\] there, .*'more'\] here"),
        (
            {"schedules": {**SCHEDULES, "cosine": ls.Cosine(1.0, 0.0, 8)}},
            r"schedules 'cosine': Cosine\(1.0, 0.0, 9\) there, Cosine\(1.0, 0.0, 8\) here",
        ),
    ],
)
def test_a_folder_of_another_comparison_is_refused(tmp_path, options, what):
    compare(folder=tmp_path)
    with pytest.raises(ValueError, match=rf"(?s)compare\(folder=.*\): expected the runs of this .*: {what}.*\nHint: give"):
        compare(folder=tmp_path, **options)


def test_more_runs_than_fit_are_refused_with_a_number_that_fits(monkeypatch):
    def large(schedule, key):
        x = jax.random.normal(key, (1 << 18,))
        _, losses = jax.lax.scan(lambda x, i: (x - schedule(i) * x, (x**2).mean()), x, jnp.arange(3))
        return {"loss": losses, "validation": -losses, "test": -losses[-1]}

    monkeypatch.setattr(memory, "available", lambda _: 10 << 20)
    with pytest.raises(
        MemoryError, match=r"12 runs at a time need .* GiB, and 0.00977 GiB are free; try batch_size=\d"
    ) as error:
        compare(large, batch_size=None)
    fitting = int(str(error.value).split("batch_size=")[-1].split(",")[0])
    assert 1 <= fitting < 12
    assert compare(large, batch_size=fitting).seeds == 3
    monkeypatch.setattr(memory, "available", lambda _: 1 << 20)
    with pytest.raises(MemoryError, match=r"one run of train\(schedule, key\) is too large"):
        compare(large, batch_size=1)


def test_what_xla_says_of_memory_is_explained():
    def exhausted(_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")

    program = Program(lambda i: {"loss": i + 1}, lambda runs: (runs,), 6, None)
    program._program = exhausted
    with pytest.raises(MemoryError, match=r"6 runs at a time need more memory than there is; try batch_size=3"):
        program(np.arange(6))


def test_a_mesh_is_a_mesh():
    with pytest.raises(TypeError, match=r"compare\(mesh=\.\.\.\) must be a mesh, such as jax.make_mesh\(.*\), got 8"):
        compare(mesh=8)


def test_there_is_memory_and_a_program_needs_some():
    assert (memory.available(jax.devices("cpu")[0]) or 1 << 40) > 1 << 20
    program = jax.jit(lambda x: x @ x.T).lower(np.zeros((512, 512), np.float32)).compile()
    assert memory.needed(program) >= 2 << 20
