"""What the course's experiments compare: a question each, and the arms that answer it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cifarlab import data, recipes

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
FOUND = 0.15  # about a tenth of the rate with the lowest loss: `benchmarks/finder.py`
SGD = {"muon_peak_learning_rate": 0.0}
EARLY = (["separable"] * 4, "dilated separable")
TEACHER = "runs/teacher-seed0"  # of `cifarlab train teacher --validation`
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
    "quick": Experiment(
        "How far do short trainings get, with easy pictures left out and without?",
        [
            Arm("nine epochs, easy half left out", "quick", seeds=range(5)),
            Arm("six whole epochs", "quick", {"easy_left_out": 0.0, "epochs": 6}, range(5)),
        ],
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
            # As wide as lets a step take as long as that of the dense ones of 75 channels, whose
            # like with dilation take as long anyhow: `benchmarks/convolutions.py`.
            Arm("equal time, separable", "fast", late("separable", 138, 2)),
            Arm("equal time, both", "fast", late("dilated separable", 80, 2)),
            # What two kernels with one field differ in: all 25 places of it, or nine of them.
            Arm("equal field, 5x5 separable", "fast", late("separable 5x5", 64, 2)),
        ],
    ),
    "convolution-rates": Experiment(
        "Which learning rate does each kind of convolution do best with, in four epochs?",
        [
            Arm(
                f"{kind}, peak {peak}",
                "fast",
                {**late(kind, width, 2), "epochs": 4, "peak_learning_rate": peak},
                seeds=[0],
            )
            for kind, width in [
                ("dense", 75),
                ("dilated", 75),
                ("separable", 181),
                ("dilated separable", 181),
            ]
            for peak in (0.25, 0.5, 1.0)
        ],
        scored_on="validation",
    ),
    "finder": Experiment(
        "Is the rate that a finder recommends better than that of the recipe?",
        [
            Arm("the recipe, 0.5", "fast", SGD),
            Arm(f"the finder, {FOUND}", "fast", {**SGD, "peak_learning_rate": FOUND}),
        ],
        scored_on="validation",
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
    "teacher": Experiment(
        "What does a patient teacher give, next to the same training without one?",
        # A teacher's probabilities take the place of smoothed labels, so the two arms differ in
        # what the loss takes for labels, and in nothing else.
        [
            Arm("labels, 20 epochs", "accurate", {"epochs": 20}),
            Arm("teacher, 20 epochs", "accurate", {"epochs": 20, "teacher": TEACHER, **UNSMOOTHED}),
        ],
        scored_on="validation",  # which its teacher must not have seen either
    ),
    "taught": Experiment(
        "What does `accurate` give `fast` as its teacher?",
        # Beside the arms of "spread" and "tricks", which learn from labels, smoothed and plain.
        [Arm("teacher", "fast", {"teacher": "accurate-seed0", **UNSMOOTHED})],
    ),
    "patience": Experiment(
        "What does `accurate` give `fast` as its teacher, when the training is twice as long?",
        [
            Arm("labels, 20 epochs", "fast", {"epochs": 20}),
            Arm(
                "teacher, 20 epochs",
                "fast",
                {"epochs": 20, "teacher": "accurate-seed0", **UNSMOOTHED},
            ),
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
