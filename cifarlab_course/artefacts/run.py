"""One run of an experiment: its command, or the training itself, here or on another machine."""

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cifarlab import data, numerics, runs
from cifarlab.schema import Epoch
from cifarlab_course.artefacts.arms import Arm


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


HERE = Setting()  # real images, and whatever is fastest on this machine


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


@functools.cache  # read and checked once, however many runs learn from them
def images(synthetic: bool, scored_on: str) -> tuple[data.Split, data.Split]:
    """What the runs of an experiment learn from, and what they are scored on."""
    return runs.splits(synthetic=synthetic, validation=scored_on == "validation")
