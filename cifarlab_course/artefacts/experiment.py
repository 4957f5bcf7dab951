"""Run an experiment: the same training, but for one thing, with several seeds.

    course experiment convolutions              run what is missing, then sum up
    course experiment convolutions --print      only show the commands that are missing
    course experiment convolutions --collect    only sum up what there is

A command is one run and needs no other, so that `xargs`, a Slurm array or a CI matrix can spread
them over machines: put the folders that come back under `runs/experiments/`, and collect. Where a
Dask scheduler runs, `--scheduler` hands them to its workers (`artefacts/spread.py`). The summary,
`cifarlab/records/shipped/experiments/NAME.json`, ships with the package, for the lessons read it.
What it holds counts as run: to run it anew, move the summary away.
"""

import functools
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from torch import nn

from cifarlab import data, engine, model, numerics, receptive_field, recipes, records, runs
from cifarlab._files import replacing
from cifarlab.cli import describe
from cifarlab.schema import Epoch

RUNS = Path("runs") / "experiments"
CONSTANT = {"peak_learning_rate": 0.1, "start_divisor": 1.0, "end_divisor": 1.0}
LEVEL = {"start_divisor": 1.0, "end_divisor": 1.0, "remeasure_norms": True}
# How the rate runs, and by what the recipe's own peak rates are divided.
SCHEDULES: dict[str, tuple[dict[str, Any], list[float]]] = {
    "one cycle": ({}, [0.5, 1, 2]),
    "cosine": ({"anneal": "cos", "warmup_share": 0.0, "start_divisor": 1.0}, [0.5, 1, 2]),
    "steps": ({"anneal": "steps"}, [1, 2, 4]),
    "constant": (LEVEL, [2.5, 5, 10, 20]),
    "constant, averaged weights": ({**LEVEL, "ema_decay": 0.99}, [1.25, 2.5, 5, 10]),
}
AVERAGED = {"ema_decay": 0.99, "start_divisor": 10.0, "end_divisor": 1.0}
UNSMOOTHED = {"label_smoothing": 0.0}
FLIPS = {"augmentation": "flip"}
SGD = {"muon_peak_learning_rate": 0.0}
EARLY = (["separable"] * 4, "dilated separable")
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

    def folder(self, parent: Path, seed: int) -> Path:
        """Where a run of it lies."""
        return parent / f"{self.name.replace(',', '').replace(' ', '-')}-seed{seed}"


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


def small(width: int, late: list[str], second: str = "separable", epochs: int = 2) -> dict:
    """The changes that make `fast` a design of the capstone: thin early on, `width` later."""
    options = {"widths": [16, width], "early": ["dense", second], "late": late}
    return {"epochs": epochs, "network_options": options}


def scheduled(schedule: str, divisor: float) -> Arm:
    """A short `fast` with another schedule, its peak rates (Muon's and the others') divided."""
    changes, recipe = {"epochs": 4, **SCHEDULES[schedule][0]}, recipes.get("fast")
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
            Arm("no label smoothing", "fast", UNSMOOTHED),
            Arm("no windows, only flips", "fast", FLIPS),
            Arm("averaged weights, a rate that ends at a tenth", "fast", AVERAGED),
        ],
    ),
    "schedule-rates": Experiment(
        "Which rate does each schedule do best with, in four epochs?",
        [
            scheduled(schedule, divisor)
            for schedule, (_, divisors) in SCHEDULES.items()
            for divisor in divisors
        ],
        scored_on="validation",
    ),
    "confidence": Experiment(
        "What makes `fast` modest about what it knows, and sure of noise?",
        [
            Arm("smoothing 0.1", "fast"),
            Arm("smoothing 0.05", "fast", {"label_smoothing": 0.05}),
            Arm("no smoothing", "fast", UNSMOOTHED),
            Arm("no smoothing, only flips", "fast", {**UNSMOOTHED, **FLIPS}),
            Arm("no smoothing, no Muon", "fast", {**UNSMOOTHED, **SGD}),
        ],
        scored_on="validation",  # so that no test image is needed to choose a temperature
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
    "capstone": Experiment(
        "Which of two designs learns more in two epochs: three decisions?",
        [
            Arm("draft", "fast", small(56, ["dense", "dilated"]), range(2)),
            Arm("separable", "fast", small(104, ["separable", "dilated separable"] * 2), range(2)),
            Arm("dilated early", "fast", small(104, *EARLY), range(2)),
            Arm("narrower", "fast", small(72, *EARLY), range(2)),
        ],
        scored_on="validation",
    ),
    "capstone-tested": Experiment(
        "How well does the design of the capstone do, once it is chosen?",
        [Arm("chosen", "fast", small(104, *EARLY, epochs=4), range(1))],
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
    "mixing": Experiment(
        "What do mixup, CutMix and a policy buy, in a short training and in a longer one?",
        # Beside the arms of "augmentation", which have the same epochs, images and seeds.
        [
            Arm(f"{name}, {epochs} epochs", "fast", {**changes, "epochs": epochs, **SGD})
            for epochs in (8, 40)
            for name, changes in [
                ("flip and mixup", {**FLIPS, "mixing": "mixup"}),
                ("flip and CutMix", {**FLIPS, "mixing": "cutmix"}),
                ("policy", {"augmentation": "policy"}),
            ]
        ],
    ),
    "sizes": Experiment(
        "What does each augmentation buy where there are few images, or many?",
        # As many images are met as in the 8 epochs of "augmentation", whose arms have all 50,000.
        [
            Arm(
                f"{name}, {count:,} images",
                "fast",
                {"augmentation": name, "images": count, "epochs": 400_000 // count, **SGD},
            )
            for count in (1_000, 5_000, 20_000)
            for name in ("none", "flip", "all")
        ],
    ),
    "curves": Experiment(
        "How do two networks come to their scores, with all augmentations and with none?",
        [
            Arm(
                f"{name}, 5,000 images",
                "fast",
                {"augmentation": name, "images": 5_000, "epochs": 80, **SGD},
            )
            for name in ("none", "all")
        ],
        scored_on="validation",  # which is scored after every epoch
    ),
    "corrected": Experiment(
        "What do the mistakes of 2023 cost?",
        [
            Arm("as in 2023", "baseline"),
            Arm("corrected", "baseline", CORRECTED, seeds=[0]),
        ],
    ),
}


@dataclass(frozen=True)
class Setting:
    """What a run is made on and with, beside what its arm says: options of `cifarlab train`."""

    data: str = "cifar10"
    device: str | None = None
    precision: str | None = None
    workers: int = 0

    def options(self) -> list[str]:
        """As the command line takes them: those that differ from what it would take anyway."""
        changed = {
            name: value for name, value in vars(self).items() if value != getattr(Setting, name)
        }
        return [word for name, value in changed.items() for word in (f"--{name}", str(value))]


@dataclass(frozen=True)
class Run:
    """A run that an experiment lacks: of one arm, with one seed, into the folder `out`."""

    arm: Arm
    seed: int
    out: Path
    scored_on: str
    setting: Setting

    @property
    def begun(self) -> bool:
        """Has its folder a checkpoint to go on from?"""
        return (self.out / "checkpoint.pt").exists()

    def command(self) -> list[str]:
        """The command that makes it, here or on another machine."""
        changes = [
            f"--change={name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in self.arm.changes.items()
        ]
        seed_and_out = ["--seed", str(self.seed), "--out", str(self.out)]
        validation = ["--validation"] * (self.scored_on == "validation")
        resume = ["--resume"] * self.begun
        how = [*validation, *resume, *self.setting.options()]
        return ["cifarlab", "train", self.arm.recipe, *changes, *seed_and_out, *how]

    def train(self) -> Iterator[Epoch]:
        """Do what the command would; yield what each epoch did."""
        chosen = numerics.fastest(self.setting.device, self.setting.precision)
        return runs.train(
            self.arm.changed_recipe(),
            self.out,
            *images(self.setting.data == "synthetic", self.scored_on),
            seed=self.seed,
            scored_on=self.scored_on,
            resume=self.begun,
            workers=self.setting.workers,
            numerics=chosen,
        )


def missing(experiment: Experiment, folder: Path, summed: dict, setting: Setting) -> Iterator[Run]:
    """The runs that are neither finished in `folder` nor in `summed`."""
    for arm in experiment.arms:
        by_seed = known_runs(arm, summed)
        for seed in arm.seeds:
            out = arm.folder(folder, seed)
            if seed not in by_seed and not finished(out):
                yield Run(arm, seed, out, experiment.scored_on, setting)


def finished(out: Path) -> bool:
    """Does a folder hold a whole run, weights included?"""
    return (out / "record.safetensors").exists() and records.load(out).finished


def known_runs(arm: Arm, summed: dict) -> dict[int, dict]:
    """What the summary `summed` holds of an arm as it now is, by seed."""
    recipe = arm.changed_recipe()
    return {
        run["seed"]: run
        for entry in summed["arms"]
        if entry["name"] == arm.name and recipes.Recipe(**entry["recipe"]) == recipe
        for run in entry["runs"]
    }


def summary(experiment: Experiment, folder: Path, summed: dict) -> dict:
    """All that the lessons read: what `summed` holds, and the runs in `folder`, arm by arm.

    Raises: ValueError if no run is finished, one was not made as its arm says, or not all learned
    from the same images.
    """
    arms = [
        summed_up(arm, folder, known_runs(arm, summed), experiment.scored_on)
        for arm in experiment.arms
    ]
    if not any(arms):
        first = experiment.arms[0]
        raise ValueError(f"no run is finished; the first would be {first.folder(folder, 0)}.")
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


def summed_up(arm: Arm, folder: Path, by_seed: dict[int, dict], scored_on: str) -> dict | None:
    """The runs of one arm, and what they say together; None if there is none."""
    for seed in arm.seeds:
        if seed not in by_seed and finished(arm.folder(folder, seed)):
            by_seed[seed] = one_run(arm, arm.folder(folder, seed), scored_on)
    if not by_seed:
        return None
    recipe = arm.changed_recipe()
    network = recipe.create_network()
    finished_runs = [by_seed[seed] for seed in sorted(by_seed)]
    accuracies = [run[f"{scored_on}_accuracy"] for run in finished_runs]
    return {
        "name": arm.name,
        "recipe": asdict(recipe),
        "parameters": model.count_parameters(network),
        "multiply_adds": model.count_multiply_adds(network),
        **view(network),
        "mean": float(np.mean(accuracies)),
        "interval": interval(accuracies),
        "next_run": interval(accuracies, of_next=True),
        "runs": finished_runs,
    }


def one_run(arm: Arm, folder: Path, scored_on: str) -> dict:
    """What a summary keeps of a run."""
    record = records.load(folder)
    if record.recipe != arm.changed_recipe() or record.scored_on != scored_on:
        raise ValueError(f"{folder} was made another way; move it away, and run it again.")
    facts = asdict(record)
    for same_in_all in ("recipe", "parameters", "multiply_adds", "scored_on"):
        del facts[same_in_all]
    return {**facts, "train_accuracy": whole_training_set(record, folder)}


def view(network: nn.Module) -> dict:
    """How far a unit in the middle of the last map sees, in pixels, and how much of it, 0 to 1."""
    last = receptive_field.analyze(network, (32, 32)).last_map
    assert last, "all networks here end with a map"
    return {"receptive_field": last.size[0], "coverage": last.coverage(*last.centre)}


def whole_training_set(record: records.Record, run: Path) -> float:
    """Accuracy on all images that a run learned from, as they are, not augmented."""
    train, _ = images(record.data.startswith(data.SYNTHETIC), record.scored_on)
    train = runs.learned_from(record.recipe, train)
    plain = data.pipeline(mean=record.recipe.mean, std=record.recipe.std)
    return engine.evaluate(records.load_network(run), data.batches(train, plain, 1000)).accuracy


@functools.cache  # read and checked once, however many runs learn from them
def images(synthetic: bool, scored_on: str) -> tuple[data.Split, data.Split]:
    """What the runs of an experiment learn from, and what they are scored on."""
    return runs.splits(synthetic=synthetic, validation=scored_on == "validation")


def interval(values: list[float], *, of_next: bool = False) -> list[float] | None:
    """Ends of the 95 % interval of the mean, or of the next value; None of a single value.

    Student's t, for values that vary normally about their mean.
    """
    if len(values) < 2:
        return None
    width = scipy.stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1)
    width *= np.sqrt(1 / len(values) + of_next)
    return [float(np.mean(values) - width), float(np.mean(values) + width)]


def conduct(
    name: str,
    folder: Path,
    setting: Setting = Setting(),
    *,
    only: str = "",
    scheduler: str = "",
    gpu_share: float = 0.0,
) -> None:
    """Make the runs that are missing in `folder`, in one `setting`, and sum up.

    `only` "print" shows their commands, "collect" sums up. `scheduler` and `gpu_share` say who
    else makes them: see `spread.train`.

    Raises: ValueError if there is no such experiment, or nothing to sum up. And what `runs.train`
    or `spread.train` raises; then the same call goes on from there.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"no experiment is called {name!r}; there are: {', '.join(EXPERIMENTS)}.")
    experiment, folder = EXPERIMENTS[name], folder / name
    target = records.EXPERIMENTS / f"{name}.json"
    summed = records.experiment(name) if target.exists() else {"arms": []}
    lacking = [] if only == "collect" else list(missing(experiment, folder, summed, setting))
    if only == "print":
        print(*(shlex.join(run.command()) for run in lacking), sep="\n")
        return
    if scheduler:
        from cifarlab_course.artefacts import spread  # needs Dask, which few have

        spread.train(lacking, folder, scheduler, gpu_share)
    else:
        for run in engine.progress(lacking, name):
            print(shlex.join(run.command()), flush=True)
            for epoch in run.train():
                print(describe(epoch, run.arm.changed_recipe().epochs), flush=True)
    summed = summary(experiment, folder, summed)
    with replacing(target) as temporary:
        temporary.write_text(json.dumps(summed, indent=1) + "\n", encoding="utf-8")
    planned = sum(len(arm.seeds) for arm in experiment.arms)
    done = sum(len(arm["runs"]) for arm in summed["arms"])
    print(f"{target.name} sums up {done} of {planned} runs.")
