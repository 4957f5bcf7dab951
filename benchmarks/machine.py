"""What benchmarks share: taking turns, saving, and what stands beside every figure.

That is the machine, the versions, how busy it was, and when.
"""

import json
import os
import statistics
from datetime import UTC, datetime

import torch

from cifarlab import records
from cifarlab._files import replacing
from cifarlab.numerics import Numerics, fastest, keep_freed_memory


def one_thread() -> Numerics:
    """The CPU's own way of computing, on one thread, for seconds of the processor."""
    torch.set_num_threads(1)
    keep_freed_memory()
    return fastest(device="cpu")


def measured(ways: dict, rounds: int) -> dict:
    """Median seconds of each of `ways`, which take turns; the first round only warms up."""
    seconds = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, run in ways.items():
            taken = run()
            if number:
                seconds[way].append(taken)
    return {way: statistics.median(values) for way, values in seconds.items()}


def save(name: str, found: dict) -> None:
    """Write what was found where lessons read it."""
    with replacing(records.BENCHMARKS / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def fields(numerics: Numerics) -> dict:
    """For a file that lessons read."""
    where = vars(records.provenance(numerics))
    del where["commit"]  # a benchmark speaks of a machine, not of our code
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "load": round(os.getloadavg()[0], 1),
        **where,
    }


def line(numerics: Numerics) -> str:
    """For the terminal."""
    here = fields(numerics)
    return (
        f"{here['date']}, {here['processor']}, {here['threads']} threads, "
        f"torch {here['versions']['torch']}, {numerics.precision}, {numerics.memory_format}, "
        f"load {here['load']}"
    )
