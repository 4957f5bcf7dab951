"""Receptive fields of whole networks, and what brute force takes for a single unit.

    OMP_NUM_THREADS=1 python -m benchmarks.receptive_field [--rounds 5]
    OMP_NUM_THREADS=1 python -m benchmarks.receptive_field --against FOLDER [--libraries FOLDER]

One thread. Analysis and the whole table are timed together, as seconds on the clock and of the
processor; the median of the rounds. Brute force is one backward pass in float64, for one unit;
resnet152 takes it at 320 pixels, since 1,600 would not fit into memory.

`--against` compares with another version of the package `cifarlab`, which lies in that folder, in
turn, in seconds of the processor; with `--libraries` also on 40 networks of timm that both answer
(benchmarks/networks.txt says how to fill that folder). To have an older version:

    mkdir FOLDER && git archive COMMIT cifarlab | tar x -C FOLDER
"""

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn
from torchvision import models

from benchmarks import networks
from cifarlab.receptive_field import analyze, brute_force

CASES = [("vgg16", "features", 320, 320), ("resnet152", "layer4", 1600, 320)]
SAMPLE = 40  # networks of timm


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--against", help="folder of another version of the package")
    options.add_argument("--libraries", help="folder of timm")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    if chosen.against:
        compare(version_in(chosen.against), chosen.rounds, chosen.libraries)
    else:
        measure(chosen.rounds)


def measure(rounds: int) -> None:
    """Our own version, and brute force."""
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


# ------------------------------------------------------------------ in turn with another version


def version_in(folder: str) -> Callable:
    """`analyze` of the package in `folder`, which has its own modules from there."""

    def put_aside() -> dict:
        own = [name for name in sys.modules if name.partition(".")[0] == "cifarlab"]
        return {name: sys.modules.pop(name) for name in own}

    ours = put_aside()
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("cifarlab.receptive_field").analyze
    finally:
        sys.path.remove(folder)
        put_aside()
        sys.modules.update(ours)


def compare(other: Callable, rounds: int, libraries: str | None) -> None:
    """Our version and the `other` on the same networks."""
    for name, _, size, _ in CASES:
        theirs, ours = in_turn(getattr(models, name)(), (3, size, size), other, rounds)
        print(f"{name} at {size} pixels: {theirs:.3f} s, now {ours:.3f} s, {ours / theirs:.2f}")
    if libraries is None:
        return
    sys.path.append(libraries)  # behind our own packages
    pairs: list[tuple[float, float]] = []
    with networks.unset_weights():
        makers = [*networks.LIBRARIES["timm"]()]
        for _, make in makers[:: len(makers) // (2 * SAMPLE)]:  # about half of them both answer
            network, shape = make()
            try:
                pairs.append(in_turn(network, shape, other, rounds))
            except ValueError:
                continue
            if len(pairs) == SAMPLE:
                break
    theirs, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(new / old for old, new in pairs)
    print(
        f"{len(pairs)} of timm, median: {theirs:.3f} s, now {ours:.3f} s; of the ratios {ratio:.2f}"
    )


def in_turn(
    network: nn.Module, shape: networks.Shape, other: Callable, rounds: int
) -> tuple[float, float]:
    """Seconds of the processor that the other version takes, and ours."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for times, version in zip(taken, (other, analyze), strict=True):
            started = time.process_time()
            version(network, shape[1:], channels=shape[0]).table()
            times.append(time.process_time() - started)
    theirs, ours = map(statistics.median, taken)
    return theirs, ours


if __name__ == "__main__":
    main()
