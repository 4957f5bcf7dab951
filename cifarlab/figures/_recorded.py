"""What figures show of the records that ship with the package: runs, and times of layers.

Read without PyTorch, as the book is built without it.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from cifarlab import schema
from cifarlab.schema import ORIGINAL, SHIPPED, Epoch, Record


def runs(called: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The runs `called` so; without it, all that ship with the package, that of 2023 last.

    Each has a `name`, the `group` of runs of one recipe, its `recipe`, its `setting` (seed, commit,
    machine, ...) and its `history`: `epochs`, and as many values of each measure, to five digits,
    None where an epoch has none.

    Raises: ValueError if none is chosen, or one that there is not.
    """
    asked = chosen(called)
    records = [schema.read(path) for path in sorted(SHIPPED.glob("*.json"))]
    shown = [*map(run, records), original(records)]
    return [each for each in shown if each["name"] in asked]


def chosen(called: Sequence[str] | None) -> list[str]:
    """The names `called`, or those of all runs.

    Raises: ValueError if none is called, or one that there is not.
    """
    known = names()
    if called is None:
        return known
    if not isinstance(called, list | tuple) or not called or any(n not in known for n in called):
        raise ValueError(f"runs is {called!r}; it is a list of one or more of: {', '.join(known)}.")
    return list(called)


def names() -> list[str]:
    """Of the runs, in their order."""
    return [*sorted(path.stem for path in SHIPPED.glob("*.json")), ORIGINAL]


def run(record: Record) -> dict[str, Any]:
    """What the browser shows of one record."""
    sessions = record.sessions
    return {
        "name": record.name,
        "group": record.recipe.name,
        "recipe": settings(record),
        "setting": {
            "seed": record.seed,
            "commit": in_turn(session.commit for session in sessions),
            "data": record.data,
            "scored on": record.scored_on,
            "epochs run": len(record.history),
            "parameters": record.parameters,
            "multiply-adds": record.multiply_adds,
            "processor": in_turn(session.processor for session in sessions),
            "threads": in_turn(session.threads for session in sessions),
            "precision": in_turn(session.precision for session in sessions),
            "memory format": in_turn(session.memory_format for session in sessions),
            "versions": in_turn(
                ", ".join(f"{name} {version}" for name, version in session.versions.items())
                for session in sessions
            ),
            "minutes of training": round(record.seconds["training"] / 60, 1),
            "load": record.load and round(record.load, 1),
        },
        "history": history(record.history),
    }


def in_turn(values: Iterable) -> str:
    """What the sessions of a run say, one after the other, each thing once."""
    return "; then ".join(dict.fromkeys(map(str, values)))


def settings(record: Record) -> dict[str, Any]:
    """All of a record's recipe but its name."""
    return {name: value for name, value in vars(record.recipe).items() if name != "name"}


def history(epochs: Sequence[Epoch]) -> dict[str, list]:
    """A record's epochs, measure by measure."""
    measures = {"learning_rate": [epoch.learning_rate for epoch in epochs]}
    for part in ("train", "held_out"):
        scores = [getattr(epoch, part) for epoch in epochs]
        measures[f"{part}_loss"] = [score and score.loss for score in scores]
        measures[f"{part}_accuracy"] = [score and score.accuracy for score in scores]
    rounded = {
        name: [value if value is None else float(f"{value:.5g}") for value in values]
        for name, values in measures.items()
    }
    return {"epochs": [epoch.number for epoch in epochs], **rounded}


def original(records: Sequence[Record]) -> dict[str, Any]:
    """The run of 2023, which logged accuracies; its recipe is the one that `baseline` repeats."""
    epochs = schema.original()
    repeated = {record.recipe.name: settings(record) for record in records}
    return {
        "name": ORIGINAL,
        "group": ORIGINAL,
        "recipe": repeated.get("baseline", {}),
        "setting": {"scored on": "test", "epochs run": len(epochs)},
        "history": {
            "epochs": list(range(1, len(epochs) + 1)),
            "train_accuracy": [train for train, _ in epochs],
            "held_out_accuracy": [test for _, test in epochs],
        },
    }


# ------------------------------------------------------------------------------------- times


def times() -> dict[str, dict]:
    """What was measured of dense, dilated and separable 3x3 convolutions.

    `dilation`: milliseconds of a dense convolution, by dilation. `separable`: how many times as
    long the dense block takes as the separable one, by channels. Both with what they hold for.
    """
    plain, blocks = (
        json.loads((SHIPPED / "benchmarks" / f"{name}.json").read_text("utf-8"))
        for name in ("dilation", "separable")
    )
    count, channels, size, _ = plain["images"]
    block_count, block_size, _ = map(int, re.findall(r"\d+", blocks["images"]))
    return {
        "dilation": {
            **{"kernel": 3, "channels": channels, "images": count, "size": size},
            "machine": machine(plain),
            "rows": [
                {"dilation": row["dilation"], "forward": row["forward_ms"], "step": row["step_ms"]}
                for row in plain["rows"]
                if row["layer"] == "dense" and row["form"] in ("plain", "dilated")
            ],
        },
        "separable": {
            **{"kernel": 3, "images": block_count, "size": block_size},
            "machine": machine(blocks),
            "rows": blocks["dense_over_separable"],
        },
    }


def ranks() -> dict[str, Any]:
    """What becomes of a network whose dense layers are cut to ranks 1 to 9, depthwise first.

    `kernels`: some that read one map, at each rank. `squares`: the share of all squared weights
    that each rank keeps. `accuracy`: per cent right, of `count` pictures.
    """
    measured = json.loads((SHIPPED / "benchmarks" / "rank.json").read_text("utf-8"))
    order = measured["orders"]["depthwise first"]
    return {
        "kernels": measured["kernels"],
        "squares": order["squares_kept"],
        "accuracy": order["accuracy"],
        "count": measured["count"],
    }


def arms() -> list[dict[str, Any]]:
    """Of the experiment with augmentations: each, trained for some `epochs`, with three seeds.

    Per cent right, a run of each seed: `logs`, of the images in training, epoch by epoch;
    `training`, of the same images afterwards, as they are; `held_out`, of those of the test.
    """
    text = (SHIPPED / "experiments" / "augmentation.json").read_text(encoding="utf-8")
    return [
        {
            "epochs": arm["recipe"]["epochs"],
            "augmentation": arm["recipe"]["augmentation"],
            "logs": [
                [round(epoch["train"]["accuracy"], 2) for epoch in run["history"]]
                for run in arm["runs"]
            ],
            "training": [run["train_accuracy"] for run in arm["runs"]],
            "held_out": [run["test_accuracy"] for run in arm["runs"]],
        }
        for arm in json.loads(text)["arms"]
    ]


def machine(benchmark: dict) -> str:
    """Where and how a benchmark ran, in words."""
    threads = benchmark["threads"]
    return (
        f"{benchmark['processor']}; {threads} thread{'s' if threads > 1 else ''}, "
        f"{benchmark['precision']}, {benchmark['memory_format']}, "
        f"torch {benchmark['versions']['torch']}; load {benchmark['load']} at the start; "
        f"processor time, median of {benchmark['rounds']} rounds"
    )
