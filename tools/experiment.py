"""Run an experiment: the same training, but for one thing, with several seeds.

    python tools/experiment.py convolutions              run what is missing, then sum up
    python tools/experiment.py convolutions --print      only show the commands that are missing
    python tools/experiment.py convolutions --collect    only sum up what there is

A command is one run and needs no other, so that `xargs`, a Slurm array or a CI matrix can spread
them over machines: put the folders that come back under `runs/experiments/`, and collect. The
summary, `cifarlab/records/experiments/NAME.json`, ships with the package, for the lessons read it.
"""

import argparse
import functools
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import scipy.stats
from torch import nn

from cifarlab import cli, data, engine, receptive_field, recipes, records
from cifarlab.files import replacing

RUNS = Path("runs") / "experiments"
CORRECTED = {"std": data.STD, "augmentation": "original-mean-fill", "weight_decay": 5e-4}


@dataclass(frozen=True)
class Arm:
    """One of the things compared: a recipe, what is changed in it, and the seeds to run."""

    name: str
    recipe: str
    changes: dict = field(default_factory=dict)
    seeds: Sequence[int] = range(3)

    def folder(self, runs: Path, seed: int) -> Path:
        """Where a run of it lies."""
        return runs / f"{self.name.replace(',', '').replace(' ', '-')}-seed{seed}"


@dataclass(frozen=True)
class Experiment:
    """A question, and the arms whose comparison answers it."""

    question: str
    arms: list[Arm]


def late(kind: str, width: int, count: int) -> dict:
    """The change that makes `fast` the network of the experiment on convolutions."""
    options = {"widths": [32, width], "early": ["dense"] * 2, "late": [kind] * count}
    return {"network_options": options}


EXPERIMENTS = {
    "spread": Experiment(
        "How much does one run differ from the next, when only the seed does?",
        [Arm("fast", "fast", seeds=range(10))],
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
            Arm(f"{name}, {epochs} epochs", "fast", {"augmentation": name, "epochs": epochs})
            for epochs, augmentations in [
                (8, ["none", "flip", "affine", "cutout-8", "cutout", "all"]),
                (40, ["none", "flip", "all"]),
            ]
            for name in augmentations
        ],
    ),
    "corrected": Experiment(
        "What do the mistakes of 2023 cost?",
        [Arm("corrected", "baseline", CORRECTED, seeds=[0])],
    ),
}


def commands(experiment: Experiment, runs: Path, options: list[str]) -> Iterator[list[str]]:
    """The `cifarlab` commands of the runs that are not finished yet."""
    for arm in experiment.arms:
        for seed in arm.seeds:
            out = arm.folder(runs, seed)
            if finished(out):
                continue
            changes = [
                f"--change={name}={value if isinstance(value, str) else json.dumps(value)}"
                for name, value in arm.changes.items()
            ]
            resume = ["--resume"] * (out / "checkpoint.pt").exists()
            seed_and_out = ["--seed", str(seed), "--out", str(out)]
            yield ["train", arm.recipe, *changes, *seed_and_out, *resume, *options]


def run(command: list[str]) -> int:
    """Exit status of a `cifarlab` command, in a process of its own."""
    return subprocess.run([sys.executable, "-m", "cifarlab.cli", *command]).returncode


def finished(out: Path) -> bool:
    """Does a folder hold a whole run, weights included?"""
    return (out / "record.safetensors").exists() and records.load(out).finished


def summary(experiment: Experiment, runs: Path) -> dict:
    """All that the lessons read of the runs in `runs`, arm by arm.

    Raises: ValueError if an arm has no finished run, or one that was not made as it says.
    """
    arms = [summed_up(arm, runs) for arm in experiment.arms]
    return {"question": experiment.question, "arms": arms}


def summed_up(arm: Arm, runs: Path) -> dict:
    """The runs of one arm."""
    recipe = recipes.get(arm.recipe, **arm.changes)
    folders = [arm.folder(runs, seed) for seed in arm.seeds]
    done = [folder for folder in folders if finished(folder)]
    found = [records.load(folder) for folder in done]
    if not found:
        raise ValueError(f"no run of {arm.name!r} is finished; its first would be {folders[0]}.")
    for record, folder in zip(found, done, strict=True):
        if record.recipe != recipe or record.scored_on != "test":
            raise ValueError(f"{folder} was made another way; move it away, and run it again.")
    accuracies = [record.test_accuracy for record in found]
    return {
        "name": arm.name,
        "recipe": asdict(recipe),
        "parameters": found[0].parameters,
        "multiply_adds": found[0].multiply_adds,
        **view(records.load_network(done[0])),
        "seeds": [record.seed for record in found],
        "test_accuracy": accuracies,
        "mean": float(np.mean(accuracies)),
        "interval": interval(accuracies),
        "next_run": interval(accuracies, of_next=True),
        "train_accuracy": [whole_training_set(*run) for run in zip(found, done, strict=True)],
        "train_accuracy_while_learning": [record.history[-1].train.accuracy for record in found],
        "history": [asdict(record)["history"] for record in found],
        "seconds": [record.seconds["training"] for record in found],
        "load": [record.load for record in found],
        "data": found[0].data,
        "commits": sorted({record.commit for record in found}),
        "versions": found[0].versions,
        "processors": sorted({record.processor for record in found}),
        "precision": sorted({record.precision for record in found}),
    }


def view(network: nn.Module) -> dict:
    """How far a unit in the middle of the last map sees, in pixels, and how much of it, 0 to 1."""
    last = receptive_field.analyze(network, (32, 32)).last_map
    middle = last.units[0] // 2, last.units[1] // 2
    return {"receptive_field": last.size[0], "coverage": last.coverage(*middle)}


def whole_training_set(record: records.Record, run: Path) -> float:
    """Accuracy on all images that a run learned from, as they are, not augmented."""
    train = training_images(record.data.startswith(data.SYNTHETIC))
    plain = data.pipeline(mean=record.recipe.mean, std=record.recipe.std)
    return engine.evaluate(records.load_network(run), data.batches(train, plain, 1000)).accuracy


@functools.cache  # read and checked once, however many runs learned from them
def training_images(synthetic: bool) -> data.Split:
    """What the runs of an experiment learned from."""
    return cli.splits(synthetic, validation=False)[0]


def interval(values: list[float], *, of_next: bool = False) -> list[float] | None:
    """Ends of the 95 % interval of the mean, or of the next value; None of a single value.

    Student's t, for values that vary normally about their mean.
    """
    if len(values) < 2:
        return None
    width = scipy.stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1)
    width *= np.sqrt(1 / len(values) + of_next)
    return [float(np.mean(values) - width), float(np.mean(values) + width)]


def main() -> int:
    """Do what the command line asks; exit status 1 if a run fails, 2 on bad use."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=EXPERIMENTS)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--print", action="store_true", help="only show the commands")
    only.add_argument("--collect", action="store_true", help="only sum up the finished runs")
    parser.add_argument("--runs", type=Path, default=RUNS, help=f"folder of all runs ({RUNS})")
    options, passed_on = parser.parse_known_args()
    experiment, runs = EXPERIMENTS[options.experiment], options.runs / options.experiment
    missing = [] if options.collect else list(commands(experiment, runs, passed_on))
    if options.print:
        print(*(shlex.join(["cifarlab", *command]) for command in missing), sep="\n")
        return 0
    for command in engine.progress(missing, options.experiment):
        print("cifarlab", shlex.join(command), flush=True)
        if status := run(command):
            return status
    try:
        found = summary(experiment, runs)
    except ValueError as error:
        print(f"experiment: {error}", file=sys.stderr)
        return 2
    target = records.EXPERIMENTS / f"{options.experiment}.json"
    with replacing(target) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    asked = sum(len(arm.seeds) for arm in experiment.arms)
    done = sum(len(arm["seeds"]) for arm in found["arms"])
    print(f"{target.name} sums up {done} of {asked} runs.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
