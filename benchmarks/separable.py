"""How much faster is a depthwise separable block than a dense one, and how much less does it do?

    python -m benchmarks.separable [--rounds 9]

On the CPU, one thread. Both blocks of a width take turns in one process and are timed in seconds of
the processor, so that what else the machine does disturbs little; a figure is the median over the
rounds of dense / separable. Then the parts of one width, each by itself. Writes
`cifarlab/records/shipped/benchmarks/separable.json`, from which the lesson reads its tables.
"""

import argparse
import functools
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks import machine
from cifarlab import model
from cifarlab.numerics import MEMORY_FORMATS, Numerics

WIDTHS = (16, 32, 64, 128)  # channels in and out
BATCH = (32, 32, 32)  # images, height, width
WIDTH_OF_PARTS = 64


def forward(numerics: Numerics, block: nn.Module, images: torch.Tensor) -> float:
    """Seconds of one pass in evaluation mode."""
    block.eval()
    started = time.process_time()
    with torch.inference_mode():
        numerics.compute(block, images)
    return time.process_time() - started


def training(numerics: Numerics, block: nn.Module, images: torch.Tensor) -> float:
    """Seconds of one pass forward and back, to the weights and to the images."""
    block.train()
    block.zero_grad()
    images = images.detach().requires_grad_()  # a block inside a network passes gradients on
    started = time.process_time()
    numerics.compute(block, images).backward(images.detach())  # a gradient of its shape will do
    return time.process_time() - started


def ratio(pass_: Callable, numerics: Numerics, channels: int, rounds: int) -> float:
    """Median over `rounds` of the dense block's seconds over the separable one's."""
    count, height, width = BATCH
    images = torch.randn(count, channels, height, width)
    dense = numerics.place(model.ConvBlock(channels, channels))
    separable = numerics.place(model.DepthwiseSeparableConv(channels, channels))
    pairs = [
        (pass_(numerics, dense, images), pass_(numerics, separable, images))
        for _ in range(rounds + 2)
    ]
    return statistics.median(first / second for first, second in pairs[2:])  # two to warm up


def parts(numerics: Numerics, channels: int, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of what the two blocks are made of: medians over `rounds`."""
    count, height, width = BATCH
    images = torch.randn(count, channels, height, width).relu()
    images = images.to(memory_format=MEMORY_FORMATS[numerics.memory_format])
    layers = {
        "dense": nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        "depthwise": nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        "pointwise": nn.Conv2d(channels, channels, 1, bias=False),
        "batch norm": nn.BatchNorm2d(channels),
        "ReLU": nn.ReLU(),
    }
    passes, ways = (forward, training), {}
    for name, layer in layers.items():
        numerics.place(layer)
        for pass_ in passes:
            ways[name, pass_] = functools.partial(pass_, numerics, layer, images)
    seconds = machine.measured(ways, rounds)
    return {
        name: {pass_.__name__: round(1000 * seconds[name, pass_], 2) for pass_ in passes}
        for name in layers
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    numerics = machine.one_thread()
    found = {
        **machine.fields(numerics),
        "rounds": rounds,
        "images": "{} of {}x{}".format(*BATCH),
        "dense_over_separable": [
            {
                "channels": channels,
                "forward": round(ratio(forward, numerics, channels, rounds), 2),
                "training": round(ratio(training, numerics, channels, rounds), 2),
            }
            for channels in WIDTHS
        ],
        "channels_of_parts": WIDTH_OF_PARTS,
        "milliseconds": parts(numerics, WIDTH_OF_PARTS, rounds),
    }
    machine.save("separable", found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
