"""Sum up how sure the shipped networks are, and how right, at a row of temperatures.

    course temperatures

Writes `cifarlab/figures/temperature.json`, for the figure beside it: of the guesses of all 10,000
test images, in ten bins of confidence, how many there are, how many are right, and the sum of their
confidences. It stands in the repository, as the book is built without PyTorch; a test sums up anew
and compares.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from cifarlab import data, diagnostics, figures, records
from cifarlab._files import replacing

OUT = figures.FOLDER / "temperature.json"
NETWORKS = ("baseline", "fast", "accurate")  # recipes; of each, the record with seed 0
TEMPERATURES = [percent / 100 for percent in range(50, 201, 5)]
BINS = 10


def summed(log_probabilities: Tensor, labels: Tensor, temperature: float) -> dict:
    """Of each bin the number of `images`, of those that are `right`, and the sum of confidences.

    `loss` is the mean cross-entropy, which the best temperature makes least.
    """
    cooled = (log_probabilities / temperature).log_softmax(dim=1)
    found = diagnostics.calibration(cooled, labels, BINS)
    right = (found.counts * found.accuracy).nan_to_num().round().int()
    confidence = (found.counts * found.confidence).nan_to_num()
    return {
        "images": found.counts.tolist(),
        "right": right.tolist(),
        "confidence": [round(total, 4) for total in confidence.tolist()],
        "loss": round(F.cross_entropy(cooled, labels).item(), 5),
    }


def temperatures(test: data.Split) -> dict:
    """What the figure shows, from the test images of CIFAR-10."""
    labels = torch.from_numpy(test.labels).long()
    said = {name: records.log_probabilities(f"{name}-seed0") for name in NETWORKS}
    return {
        "made by": "course temperatures",
        "temperatures": TEMPERATURES,
        "networks": {
            name: [summed(its, labels, temperature) for temperature in TEMPERATURES]
            for name, its in said.items()
        },
    }


def text(numbers: dict) -> str:
    """JSON with one line a temperature, so that a change can be read."""
    head = json.dumps({**numbers, "networks": {}}, indent=1)
    networks = ",\n".join(
        f'  "{name}": [\n' + ",\n".join(f"   {json.dumps(row)}" for row in rows) + "\n  ]"
        for name, rows in numbers["networks"].items()
    )
    return head.replace('"networks": {}', f'"networks": {{\n{networks}\n }}') + "\n"


def write(path: Path = OUT) -> Path:
    """Sum up, and write to `path`."""
    _, test = data.load()
    with replacing(path) as temporary:
        temporary.write_text(text(temperatures(test)), encoding="utf-8")
    return path
