"""Receptive fields of whole networks, and what brute force takes for a single unit.

    OMP_NUM_THREADS=1 python -m benchmarks.receptive_field [--rounds 5]

One thread. Analysis and the whole table are timed together, as seconds on the clock and of the
processor; the median of the rounds. Brute force is one backward pass in float64, for one unit;
resnet152 takes it at 320 pixels, since 1,600 would not fit into memory.
"""

import argparse
import statistics
import time

import torch
from torchvision import models

from cifarlab.receptive_field import analyze, brute_force

CASES = [("vgg16", "features", 320, 320), ("resnet152", "layer4", 1600, 320)]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds
    torch.set_num_threads(1)
    for name, layer, size, brute_size in CASES:
        network = getattr(models, name)()
        clock, processor = [], []
        for _ in range(rounds):
            started = time.perf_counter(), time.process_time()
            analysis = analyze(network, (size, size))
            table = analysis.table()
            clock.append(time.perf_counter() - started[0])
            processor.append(time.process_time() - started[1])
        print(
            f"{name} at {size} pixels: {statistics.median(clock):.3f} s "
            f"({statistics.median(processor):.3f} s of the processor), {len(table)} rows"
        )
        height, width = analyze(network, (brute_size, brute_size))[layer].units
        started = time.perf_counter(), time.process_time()
        brute_force.by_gradient(
            network, (brute_size, brute_size), (height // 2, width // 2), layer=layer
        )
        clock, processor = time.perf_counter() - started[0], time.process_time() - started[1]
        print(
            f"  brute force at {brute_size} pixels, one unit: {clock:.1f} s "
            f"({processor:.1f} s of the processor)"
        )


if __name__ == "__main__":
    main()
