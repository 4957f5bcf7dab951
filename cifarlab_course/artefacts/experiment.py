"""Run an experiment: the same training, but for one thing, with several seeds.

    course experiment convolutions              run what is missing, then sum up
    course experiment convolutions --print      only show the commands that are missing
    course experiment convolutions --collect    only sum up what there is

A command is one run and needs no other, so that `xargs`, a Slurm array or a CI matrix can spread
them over machines: put the folders that come back under `runs/experiments/`, and collect. The
summary, `cifarlab/records/shipped/experiments/NAME.json`, ships with the package, for the lessons
read it. What it holds counts as run: to run it anew, move the summary away.
"""

import functools
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from torch import nn

import cifarlab.runs
from cifarlab import data, engine, model, receptive_field, recipes, records
from cifarlab._files import replacing

RUNS = Path("runs") / "experiments"
CONSTANT = {"peak_learning_rate": 0.1, "start_divisor": 1.0, "end_divisor": 1.0}
LEVEL = {"start_divisor": 1.0, "end_divisor": 1.0, "remeasure_norms": True}
# How the rate runs, and by what the recipe's own peak rates are divided.
SCHEDULES: dict[str, tuple[dict[str, Any], list[float]]] = {
    "one cycle": ({}, [0.5, 1, 2]),
    "cosine": ({"anneal": "cos", "warmup_share": 0.0, "start_divisor": 1.0}, [1, 2, 4]),
    "steps": ({"anneal": "steps"}, [1, 2, 4]),
    "constant": (LEVEL, [2.5, 5, 10, 20]),
    "constant, averaged weights": ({**LEVEL, "ema_decay": 0.99}, [2.5, 5, 10, 20]),
}
AVERAGED = {"ema_decay": 0.99, "start_divisor": 10.0, "end_divisor": 1.0}
SGD = {"muon_peak_learning_rate": 0.0}
CORRECTED = {"std": data.STD, "augmentation": "original-mean-fill", "weight_decay": 5e-4}


@dataclass(frozen=True)
class Arm:
    """One of the things compared: a recipe, what is changed in it, and the seeds to run."""

    name: str
    recipe: str
    changes: dict = field(default_factory=dict)
    seeds: Sequence[int] = range(3)

    def changed_recipe(self) -> recipes.Recipe:
        """The recipe with its changes."""
        return recipes.get(self.recipe, **self.changes)

    def folder(self, runs: Path, seed: int) -> Path:
        """Where a run of it lies."""
        return runs / f"{self.name.replace(',', '').replace(' ', '-')}-seed{seed}"


@dataclass(frozen=True)
class Experiment:
    """A question, and the arms whose comparison answers it."""

    question: str
    arms: list[Arm]
    scored_on: str = "test"  # or "validation": to choose by


def late(kind: str, width: int, count: int) -> dict:
    """The changes that make `fast` an arm of the experiment on convolutions."""
    options = {"widths": [32, width], "early": ["dense"] * 2, "late": [kind] * count}
    return {"network_options": options, "epochs": 10, **SGD}


def scheduled(schedule: str, divisor: float) -> Arm:
    """`fast` with another schedule, its peak rates (Muon's and the others') divided."""
    changes, recipe = SCHEDULES[schedule][0], recipes.get("fast")
    names = ("peak_learning_rate", "muon_peak_learning_rate")
    peaks = {name: getattr(recipe, name) / divisor for name in names}
    name = f"{schedule}, peak {peaks['peak_learning_rate']:g}"
    return Arm(name, "fast", {**changes, **peaks}, seeds=[0])


EXPERIMENTS = {
    "spread": Experiment(
        "How much does one run differ from the next, when only the seed does?",
        [Arm("fast", "fast", seeds=range(10))],
    ),
    "tricks": Experiment(
        "What does each part of `fast` give?",
        [
            Arm("no Muon, SGD for all weights", "fast", SGD),
            Arm("no one-cycle, a constant rate of 0.1", "fast", CONSTANT),
            Arm("no faster biases of batch norms", "fast", {"norm_bias_factor": 1.0}),
            Arm("no weight decay", "fast", {"weight_decay": 0.0}),
            Arm("no Nesterov momentum", "fast", {"nesterov": False}),
            Arm("no label smoothing", "fast", {"label_smoothing": 0.0}),
            Arm("no windows, only flips", "fast", {"augmentation": "flip"}),
            Arm("averaged weights, a rate that ends at a tenth", "fast", AVERAGED),
        ],
    ),
    "schedule-rates": Experiment(
        "Which rate does each schedule do best with?",
        [
            scheduled(schedule, divisor)
            for schedule, (_, divisors) in SCHEDULES.items()
            for divisor in divisors
        ],
        scored_on="validation",
    ),
    "convolutions": Experiment(
        "What do dilation and separation each change, at equal parameters or an equal field?",
        [
            # Two layers each, as wide as about 150,000 parameters allow.
            Arm("equal parameters, dense", "fast", late("dense", 75, 2)),
            Arm("equal parameters, dilated", "fast", late("dilated", 75, 2)),
            Arm("equal parameters, separable", "fast", late("separable", 181, 2)),
            Arm("equal parameters, both", "fast", late("dilated separable", 181, 2)),
            # As many layers as a field of 48 pixels takes, all of one width.
            Arm("equal field, dense", "fast", late("dense", 64, 4)),
            Arm("equal field, dilated", "fast", late("dilated", 64, 2)),
            Arm("equal field, separable", "fast", late("separable", 64, 4)),
            Arm("equal field, both", "fast", late("dilated separable", 64, 2)),
        ],
    ),
    "augmentation": Experiment(
        "What does each augmentation buy, in a short training and in a longer one?",
        [
            Arm(f"{name}, {epochs} epochs", "fast", {"augmentation": name, "epochs": epochs, **SGD})
            for epochs, augmentations in [
                (8, ["none", "flip", "affine", "cutout-8", "cutout", "all"]),
                (40, ["none", "flip", "all"]),
            ]
            for name in augmentations
        ],
    ),
    "corrected": Experiment(
        "What do the mistakes of 2023 cost?",
        [
            Arm("as in 2023", "baseline"),
            Arm("corrected", "baseline", CORRECTED, seeds=[0]),
        ],
    ),
}


def commands(
    experiment: Experiment, runs: Path, summed: dict, options: list[str]
) -> Iterator[list[str]]:
    """The `cifarlab` commands of the runs that are neither finished nor in `summed`."""
    for arm in experiment.arms:
        known = known_runs(arm, summed)
        for seed in arm.seeds:
            out = arm.folder(runs, seed)
            if seed in known or finished(out):
                continue
            changes = [
                f"--change={name}={value if isinstance(value, str) else json.dumps(value)}"
                for name, value in arm.changes.items()
            ]
            validation = ["--validation"] * (experiment.scored_on == "validation")
            resume = ["--resume"] * (out / "checkpoint.pt").exists()
            seed_and_out = ["--seed", str(seed), "--out", str(out)]
            yield ["train", arm.recipe, *changes, *seed_and_out, *validation, *resume, *options]


def run(command: list[str]) -> int:
    """Exit status of a `cifarlab` command, in a process of its own."""
    return subprocess.run([sys.executable, "-m", "cifarlab.cli", *command]).returncode


def finished(out: Path) -> bool:
    """Does a folder hold a whole run, weights included?"""
    return (out / "record.safetensors").exists() and records.load(out).finished


def known_runs(arm: Arm, summed: dict) -> dict[int, dict]:
    """What the summary `summed` holds of an arm as it now is, by seed."""
    recipe = arm.changed_recipe()
    return {
        run["seed"]: run
        for each in summed["arms"]
        if each["name"] == arm.name and recipes.Recipe(**each["recipe"]) == recipe
        for run in each["runs"]
    }


def summary(experiment: Experiment, runs: Path, summed: dict) -> dict:
    """All that the lessons read: what `summed` holds, and the runs in `runs`, arm by arm.

    Raises: ValueError if no run is finished, one was not made as its arm says, or not all learned
    from the same images.
    """
    arms = [
        summed_up(arm, runs, known_runs(arm, summed), experiment.scored_on)
        for arm in experiment.arms
    ]
    if not any(arms):
        first = experiment.arms[0]
        raise ValueError(f"no run is finished; the first would be {first.folder(runs, 0)}.")
    learned_from = {run["data"] for arm in arms if arm for run in arm["runs"]}
    if len(learned_from) > 1:
        raise ValueError(
            f"runs of different images can't be summed up together: {'; '.join(learned_from)}. "
            "Move those away that were made with --data synthetic."
        )
    return {
        "question": experiment.question,
        "scored_on": experiment.scored_on,
        "arms": [arm for arm in arms if arm],
    }


def summed_up(arm: Arm, runs: Path, known: dict[int, dict], scored_on: str) -> dict | None:
    """The runs of one arm, and what they say together; None if there is none."""
    for seed in arm.seeds:
        if seed not in known and finished(arm.folder(runs, seed)):
            known[seed] = one_run(arm, arm.folder(runs, seed), scored_on)
    if not known:
        return None
    recipe = arm.changed_recipe()
    network = recipe.create_network()
    found = [known[seed] for seed in sorted(known)]
    accuracies = [run[f"{scored_on}_accuracy"] for run in found]
    return {
        "name": arm.name,
        "recipe": asdict(recipe),
        "parameters": model.count_parameters(network),
        "multiply_adds": model.count_multiply_adds(network),
        **view(network),
        "mean": float(np.mean(accuracies)),
        "interval": interval(accuracies),
        "next_run": interval(accuracies, of_next=True),
        "runs": found,
    }


def one_run(arm: Arm, folder: Path, scored_on: str) -> dict:
    """What a summary keeps of a run."""
    record = records.load(folder)
    if record.recipe != arm.changed_recipe() or record.scored_on != scored_on:
        raise ValueError(f"{folder} was made another way; move it away, and run it again.")
    kept = asdict(record)
    for same_in_all in ("recipe", "parameters", "multiply_adds", "scored_on"):
        del kept[same_in_all]
    return {**kept, "train_accuracy": whole_training_set(record, folder)}


def view(network: nn.Module) -> dict:
    """How far a unit in the middle of the last map sees, in pixels, and how much of it, 0 to 1."""
    last = receptive_field.analyze(network, (32, 32)).last_map
    assert last, "all networks here end with a map"
    return {"receptive_field": last.size[0], "coverage": last.coverage(*last.centre)}


def whole_training_set(record: records.Record, run: Path) -> float:
    """Accuracy on all images that a run learned from, as they are, not augmented."""
    train = training_images(record.data.startswith(data.SYNTHETIC), record.scored_on)
    plain = data.pipeline(mean=record.recipe.mean, std=record.recipe.std)
    return engine.evaluate(records.load_network(run), data.batches(train, plain, 1000)).accuracy


@functools.cache  # read and checked once, however many runs learned from them
def training_images(synthetic: bool, scored_on: str) -> data.Split:
    """What the runs of an experiment learned from."""
    return cifarlab.runs.splits(synthetic=synthetic, validation=scored_on == "validation")[0]


def interval(values: list[float], *, of_next: bool = False) -> list[float] | None:
    """Ends of the 95 % interval of the mean, or of the next value; None of a single value.

    Student's t, for values that vary normally about their mean.
    """
    if len(values) < 2:
        return None
    width = scipy.stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1)
    width *= np.sqrt(1 / len(values) + of_next)
    return [float(np.mean(values) - width), float(np.mean(values) + width)]


def conduct(name: str, runs: Path, passed_on: list[str], *, only: str = "") -> int:
    """Run what is missing in a folder of `runs`, with further options, and sum up; 0, or a run's
    exit status. `only` "print" shows the commands, "collect" sums up.

    Raises: ValueError if there is no such experiment, or nothing to sum up.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"no experiment is called {name!r}; there are: {', '.join(EXPERIMENTS)}.")
    experiment, runs = EXPERIMENTS[name], runs / name
    target = records.EXPERIMENTS / f"{name}.json"
    summed = records.experiment(name) if target.exists() else {"arms": []}
    missing = [] if only == "collect" else list(commands(experiment, runs, summed, passed_on))
    if only == "print":
        print(*(shlex.join(["cifarlab", *command]) for command in missing), sep="\n")
        return 0
    for command in engine.progress(missing, name):
        print("cifarlab", shlex.join(command), flush=True)
        if status := run(command):
            return status
    found = summary(experiment, runs, summed)
    with replacing(target) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    asked = sum(len(arm.seeds) for arm in experiment.arms)
    done = sum(len(arm["runs"]) for arm in found["arms"])
    print(f"{target.name} sums up {done} of {asked} runs.")
    return 0
