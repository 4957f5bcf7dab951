"""What the JSON file of a run holds, as plain data. Needs no PyTorch: the book reads it too.

`cifarlab.records` begins records, saves them and finds those that ship with the package.
Lesson: Train under 200,000 parameters.
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SHIPPED = Path(__file__).parent / "records" / "shipped"
ORIGINAL = "original-2023"


@dataclass(frozen=True)
class Score:
    """How well a network did: `loss` in nats per image, `accuracy` in per cent."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Epoch:
    """What one epoch did. Training scores are of augmented images, taken while learning."""

    number: int  # from 1
    learning_rate: float  # of its last step
    train: Score
    held_out: Score | None  # None where it was not evaluated
    seconds: float  # training
    evaluation_seconds: float
    load: float | None  # processes that ran or waited in the last minute, this one included

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "Epoch":
        """An epoch again, from the dictionary that a checkpoint or a record keeps of it."""
        held_out = content["held_out"]
        scores = {
            "train": Score(**content["train"]),
            "held_out": Score(**held_out) if held_out else None,
        }
        return cls(**{**content, **scores})


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Which code ran, and where."""

    commit: str
    versions: dict[str, str]
    processor: str
    threads: int
    precision: str
    memory_format: str


@dataclass(frozen=True, kw_only=True)
class Session(Provenance):
    """A stretch of a run, on one machine at one commit, that ended with its epoch `epochs`."""

    epochs: int


@dataclass(frozen=True, kw_only=True)
class Record(Provenance):
    """One run: what was asked, where it ran, and how it went, epoch by epoch.

    The provenance is that of its last session; `sessions` has them all.
    """

    recipe: Any  # a `recipes.Recipe`, or as `read` has it: the same fields, unchecked
    seed: int
    data: str  # where the images came from, and how many were learned from
    load: float | None  # mean one-minute load average at the epochs' ends, this run's own included
    seconds: dict[str, float]  # "training" and "evaluation", summed over the epochs
    parameters: int
    multiply_adds: int  # per image
    test_accuracy: float | None  # per cent, after the last epoch; None until then
    best_epoch_on_test: int | None = None  # where every epoch was tested: not a fair result
    scored_on: str = "test"  # or "validation": training images set aside, to choose by
    validation_accuracy: float | None = None  # in place of `test_accuracy`
    history: list[Epoch] = field(default_factory=list)
    earlier_sessions: list[Session] = field(default_factory=list)  # of a run that was resumed
    teacher_weights: str | None = None  # SHA-256 of the file of the recipe's teacher's

    @property
    def name(self) -> str:
        """`baseline-seed0`: the recipe's name and the seed."""
        return f"{self.recipe.name}-seed{self.seed}"

    @property
    def accuracy(self) -> float | None:
        """Per cent of the images that it was `scored_on`, after the last epoch."""
        return self.test_accuracy if self.scored_on == "test" else self.validation_accuracy

    @property
    def finished(self) -> bool:
        """Did the run reach its last epoch?"""
        return len(self.history) == self.recipe.epochs

    @property
    def sessions(self) -> list[Session]:
        """The run's stretches, one after the other; a run that never stopped has one."""
        own = {fact.name: getattr(self, fact.name) for fact in fields(Provenance)}
        return [*self.earlier_sessions, Session(**own, epochs=len(self.history))]


def read(path: Path) -> Record:
    """The record in a JSON file; whether its recipe is one, `records.load` checks.

    Raises: ValueError if the file holds no record of this version; OSError if it can't be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["recipe"] = SimpleNamespace(**content["recipe"])
        content["history"] = [Epoch.read(epoch) for epoch in content["history"]]
        earlier = content.get("earlier_sessions", [])
        content["earlier_sessions"] = [Session(**session) for session in earlier]
        return Record(**content)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a record of this version: {error}") from error


def text(record: Record) -> str:
    """The content of a record's JSON file."""
    return json.dumps(asdict(record), indent=1, default=vars) + "\n"


def original() -> list[tuple[float, float]]:
    """Training and test accuracy, per cent, of the 30 epochs that the 2023 project logged.

    Its network and its recipe are `baseline`'s. It named its best epoch on the test images, the
    last one, as its result: 87.04 %.
    """
    with (SHIPPED / f"{ORIGINAL}.csv").open(newline="") as file:
        return [
            (float(row["train_accuracy"]), float(row["test_accuracy"]))
            for row in csv.DictReader(file)
        ]
