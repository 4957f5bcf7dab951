"""A run that was killed, at whatever moment, goes on as if nothing had been."""

import dataclasses
import itertools
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from cifarlab import cli, data, recipes, records

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="needs a process that starts as a copy"
)

MOMENTS = ["in a step", "half of a file", "before a rename", "after a rename"]


@pytest.fixture
def recipe(tiny, monkeypatch):
    """All that has a state: dropout, augmentation, momentum, a moving rate and an average."""
    everything = dataclasses.replace(
        tiny, epochs=4, ema_decay=0.9, augmentation="all", weight_decay=1e-3, test_every_epoch=True
    )
    monkeypatch.setitem(recipes.RECIPES, "tiny", everything)
    synthetic = data.synthetic
    monkeypatch.setattr(data, "synthetic", lambda count, seed: synthetic(count // 25, seed))


def train(out):
    """Begin the run in the folder `out`, or go on with it: the command as a user gives it."""
    command = ["train", "tiny", "--data", "synthetic", "--device", "cpu", "--precision", "fp32"]
    resume = ["--resume"] if (out / "checkpoint.pt").exists() else []
    assert cli.main([*command, "--out", str(out), *resume]) == 0


def die_at(moment, number):
    """Let this process kill itself when it comes to `moment` for the `number`th time."""
    come = itertools.count(1)
    step, replace, write_bytes, write_text = (
        torch.optim.SGD.step,
        os.replace,
        Path.write_bytes,
        Path.write_text,
    )

    def at(this):
        if this == moment and next(come) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepping(*arguments):
        step(*arguments)  # the weights have moved, the schedule has not
        at("in a step")

    def replacing(*arguments):
        at("before a rename")
        replace(*arguments)
        at("after a rename")

    def half(write):
        def writing(path, content, **options):
            write(path, content[: len(content) // 2], **options)
            at("half of a file")
            write(path, content, **options)

        return writing

    torch.optim.SGD.step, os.replace = stepping, replacing
    Path.write_bytes, Path.write_text = half(write_bytes), half(write_text)


def is_killed(out, *, moment=None, number=0, seconds=None):
    """Train in a process of its own; did it die, at the moment or after `seconds`, or end well?"""

    def work():
        if moment:
            die_at(moment, number)
        train(out)
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def untimed(record):
    """What two runs of one recipe must agree in."""
    epochs = [
        dataclasses.replace(epoch, seconds=0, evaluation_seconds=0, load=0)
        for epoch in record.history
    ]
    return epochs, record.test_accuracy, record.best_epoch_on_test, record.recipe, record.data


def assert_same_run(run, whole):
    """Files, record and every bit of the weights, in the checkpoint too."""
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoint.pt",
        "record.json",
        "record.safetensors",
    ]
    assert untimed(records.load(run)) == untimed(records.load(whole))
    weights = "record.safetensors"
    assert (run / weights).read_bytes() == (whole / weights).read_bytes()
    ours, theirs = (
        torch.load(folder / "checkpoint.pt", weights_only=True)["state"] for folder in (run, whole)
    )
    for part in ("network", "average"):
        for name, tensor in ours[part].items():
            assert torch.equal(tensor, theirs[part][name]), f"{part}: {name}"


@pytest.mark.slow
def test_a_run_killed_in_every_narrow_place_ends_as_the_uninterrupted_one(recipe, tmp_path):
    """Five kills; counted in steps and files, they hit the moments that a clock would miss."""
    train(tmp_path / "whole")
    chance = random.Random(0)
    run = tmp_path / "run"
    # First after an epoch of 5 steps and before the second, or there is nothing to resume.
    assert is_killed(run, moment="in a step", number=chance.randint(6, 9))
    for moment in chance.sample(MOMENTS, 4):
        assert is_killed(run, moment=moment, number=1), moment
    train(run)
    assert_same_run(run, tmp_path / "whole")


@pytest.mark.long
def test_runs_killed_50_times_anywhere_end_as_the_uninterrupted_one(recipe, tmp_path):
    """Half of the kills are counted in steps and files, half come by the clock."""
    started = time.monotonic()
    train(tmp_path / "whole")
    length = time.monotonic() - started
    chance = random.Random(1)
    kills = 0
    for run in (tmp_path / f"run{number}" for number in itertools.count()):
        finished = False
        while not finished:
            moment = (
                {"seconds": chance.uniform(0, length)}
                if kills % 2
                else {"moment": chance.choice(MOMENTS), "number": chance.randint(1, 8)}
            )
            finished = not is_killed(run, **moment)
            kills += not finished
        assert_same_run(run, tmp_path / "whole")
        if kills >= 50:
            break
