"""What stands beside every figure: the machine, the versions, how busy it was, and when."""

import os
from datetime import UTC, datetime

from cifarlab import engine, records


def fields(numbers: engine.Numerics) -> dict:
    """For a file that lessons read."""
    where = records.provenance(numbers)
    del where["commit"]  # a benchmark speaks of a machine, not of our code
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "load": round(os.getloadavg()[0], 1),
        **where,
    }


def line(numbers: engine.Numerics) -> str:
    """For the terminal."""
    here = fields(numbers)
    return (
        f"{here['date']}, {here['processor']}, {here['threads']} threads, "
        f"torch {here['versions']['torch']}, {numbers.precision}, {numbers.memory_format}, "
        f"load {here['load']}"
    )
