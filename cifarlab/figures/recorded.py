"""What figures show of the records that ship with the package: runs, and times of layers.

Read without PyTorch, as the book is built without it.
"""

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RECORDS = Path(__file__).parent.parent / "records" / "shipped"
ORIGINAL = "original-2023"


def runs(chosen: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The runs called `chosen`; without it, all that ship with the package, that of 2023 last.

    Each has a `name`, the `group` of runs of one recipe, its `recipe`, its `setting` (seed, commit,
    machine, ...) and its `history`: `epochs`, and as many values of each measure, to five digits,
    None where an epoch has none.

    Raises: ValueError if none is chosen, or one that there is not.
    """
    if chosen is not None and (not chosen or not set(chosen) <= set(names())):
        raise ValueError(f"runs is {chosen!r}; it is one or more of: {', '.join(names())}.")
    records = [json.loads(path.read_text("utf-8")) for path in sorted(RECORDS.glob("*.json"))]
    found = [*map(run, records), original(records)]
    return [each for each in found if chosen is None or each["name"] in chosen]


def names() -> list[str]:
    """Of the runs, in their order."""
    return [*sorted(path.stem for path in RECORDS.glob("*.json")), ORIGINAL]


def run(record: dict) -> dict[str, Any]:
    """What the browser shows of one record."""
    group, recipe = named(record["recipe"])
    return {
        "name": f"{group}-seed{record['seed']}",
        "group": group,
        "recipe": recipe,
        "setting": {
            "seed": record["seed"],
            "commit": record["commit"],
            "data": record["data"],
            "scored on": record["scored_on"],
            "epochs run": len(record["history"]),
            "parameters": record["parameters"],
            "multiply-adds": record["multiply_adds"],
            "processor": over_time(record, "processor"),
            "threads": over_time(record, "threads"),
            "precision": over_time(record, "precision"),
            "memory format": record["memory_format"],
            "versions": ", ".join(f"{name} {each}" for name, each in record["versions"].items()),
            "minutes of training": round(record["seconds"]["training"] / 60, 1),
            "load": record["load"] and round(record["load"], 1),
        },
        "history": history(record["history"]),
    }


def over_time(record: dict, field: str) -> str:
    """What a field of a record says; where the run was carried to other machines, in turn."""
    sessions = [*record.get("earlier_sessions", []), record]
    return "; then ".join(dict.fromkeys(str(session[field]) for session in sessions))


def named(recipe: dict) -> tuple[str, dict]:
    """A recipe's name, and the rest of it."""
    rest = dict(recipe)
    return rest.pop("name"), rest


def history(epochs: list[dict]) -> dict[str, list]:
    """A record's epochs, measure by measure."""
    measures = {"learning_rate": [epoch["learning_rate"] for epoch in epochs]}
    for part in ("train", "held_out"):
        for value in ("loss", "accuracy"):
            scores = [epoch[part] for epoch in epochs]
            measures[f"{part}_{value}"] = [score and score[value] for score in scores]
    rounded = {
        name: [value if value is None else float(f"{value:.5g}") for value in values]
        for name, values in measures.items()
    }
    return {"epochs": [epoch["number"] for epoch in epochs], **rounded}


def original(records: list[dict]) -> dict[str, Any]:
    """The run of 2023, which logged accuracies; its recipe is the one that `baseline` repeats."""
    with (RECORDS / f"{ORIGINAL}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    recipes = dict(named(record["recipe"]) for record in records)
    return {
        "name": ORIGINAL,
        "group": ORIGINAL,
        "recipe": recipes.get("baseline", {}),
        "setting": {"scored on": "test", "epochs run": len(rows)},
        "history": {
            "epochs": [int(row["epoch"]) for row in rows],
            "train_accuracy": [float(row["train_accuracy"]) for row in rows],
            "held_out_accuracy": [float(row["test_accuracy"]) for row in rows],
        },
    }


# ------------------------------------------------------------------------------------- times


def times() -> dict[str, dict]:
    """What was measured of dense, dilated and separable 3x3 convolutions.

    `dilation`: milliseconds of a dense convolution, by dilation. `separable`: how many times as
    long the dense block takes as the separable one, by channels. Both with what they hold for.
    """
    plain, blocks = (
        json.loads((RECORDS / "benchmarks" / f"{name}.json").read_text("utf-8"))
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


def machine(benchmark: dict) -> str:
    """Where and how a benchmark ran, in words."""
    threads = benchmark["threads"]
    return (
        f"{benchmark['processor']}; {threads} thread{'s' if threads > 1 else ''}, "
        f"{benchmark['precision']}, {benchmark['memory_format']}, "
        f"torch {benchmark['versions']['torch']}; load {benchmark['load']} at the start; seconds "
        f"of the processor, median of {benchmark['rounds']} rounds"
    )
