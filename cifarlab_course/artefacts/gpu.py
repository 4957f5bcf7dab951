"""What to do with a GPU for as long as one can be had: in order, and on from where it was cut off.

    course gpu --out .                 all of it, into this clone
    course gpu --out there --time 540  for nine minutes, into a folder that is laid out like a clone
    course gpu --out there --rehearse  on a CPU: one lesson, synthetic images, small networks

First the lessons under strict nbval, in each mode of the GPU. Then the teacher that the experiment
`teacher` takes. Then that experiment's runs, side by side. The same command goes on: what is done
is not done again, a report has a row for each check, and a training a checkpoint for each epoch.
"""

import math
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import torch

from cifarlab.data import MOST_WORKERS
from cifarlab_course.artefacts import experiment
from cifarlab_course.artefacts.arms import EXPERIMENTS, Arm, Experiment
from cifarlab_course.artefacts.run import Setting

LEAST = 60  # seconds that a check needs, or an epoch and what comes before it
# What to train: an experiment, and the folder of its runs. One after the other; for the second
# takes the first for its teacher, and has to say where that lies.
TEACHER = Experiment("Who teaches?", [Arm("teacher", "teacher", seeds=[0])], "validation")
STEPS = [(TEACHER, Path("runs")), (EXPERIMENTS["teacher"], experiment.RUNS / "teacher")]
SMALL = {"network_options": {"widths": [8, 16]}, "epochs": 2, "batch_size": 128}


def lane(cores: int, rehearse: bool) -> list[str]:
    """The command of the strict lane; it knows itself what it has checked."""
    which = ["--mode", "GPU", "--jobs", str(cores)]
    if rehearse:
        which = ["--mode", "CPU, one thread", "--only", "02-convolution-arithmetic"]
    return ["course", "validate", "--out", "validation", "--resume", *which]


def lacking(step: Experiment, folder: Path, cores: int, rehearse: bool) -> list[list[str]]:
    """The commands of the runs that aren't finished; they share the cores for their pictures."""
    setting = Setting("synthetic", "cpu", "fp32") if rehearse else Setting(device="cuda")
    if rehearse:
        arms = [replace(arm, changes=arm.changes | SMALL, seeds=[0]) for arm in step.arms]
        step = replace(step, arms=arms)
    runs = list(experiment.missing(step, folder, {"arms": []}, setting))
    workers = 0 if rehearse or not runs else cores // len(runs)
    return [replace(run, setting=replace(setting, workers=workers)).command() for run in runs]


def side_by_side(commands: Sequence[list[str]], deadline: float) -> bool:
    """Run commands of ours at once, until the deadline at the latest; did all of them succeed?"""
    if commands and deadline - time.monotonic() < LEAST:
        return False
    modules = {"course": "cifarlab_course.cli", "cifarlab": "cifarlab.cli"}
    started = []
    try:
        for name, *options in commands:
            print(shlex.join([name, *options]), flush=True)
            started.append(subprocess.Popen([sys.executable, "-m", modules[name], *options]))
        for process in started:
            process.wait(deadline - time.monotonic())
    except subprocess.TimeoutExpired:
        print("the time is over", flush=True)
    finally:
        for process in started:
            process.terminate()  # does nothing to one that has ended
            process.wait()
    return all(process.returncode == 0 for process in started)


def use(out: Path, seconds: float = math.inf, *, rehearse: bool = False) -> bool:
    """Do all that is not yet done, in so many seconds, into the folder `out`; is all done now?

    Raises: ValueError if there is no GPU, and this is no rehearsal.
    """
    if not rehearse and not torch.cuda.is_available():
        raise ValueError("torch finds no GPU here; --rehearse does without.")
    deadline = time.monotonic() + seconds
    # All but two, which the trainings themselves take; a training takes so many workers at most.
    cores = min(max(1, (os.cpu_count() or 1) - 2), MOST_WORKERS)
    if data_folder := os.environ.get("CIFARLAB_DATA"):
        os.environ["CIFARLAB_DATA"] = os.path.abspath(data_folder)
    out = out / "rehearsal" if rehearse else out  # nobody must take its teacher for a real one
    out.mkdir(parents=True, exist_ok=True)
    with chdir(out):
        done = side_by_side([lane(cores, rehearse)], deadline)
        for step, folder in STEPS:
            done &= side_by_side(lacking(step, folder, cores, rehearse), deadline)
    return done
