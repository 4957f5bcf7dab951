"""One training step of the running example: the engine's way against plain fp32 NCHW.

    python -m benchmarks.step [--rounds 5]

Both ways take turns in one process, so that what else the machine does slows both; the ratio of
the medians is the figure. Beside it: images per second of each augmentation pipeline, one thread.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F

from benchmarks import machine
from cifarlab import data, engine, recipes
from cifarlab.numerics import Numerics, fastest, keep_freed_memory

PLAIN = Numerics("cpu", "fp32", "NCHW")


def stepper(
    recipe: recipes.Recipe,
    numerics: Numerics,
    images: torch.Tensor,
    labels: torch.Tensor,
    clock=time.perf_counter,
):
    """A function that takes one training step by `recipe` and gives its seconds by `clock`."""
    torch.manual_seed(0)
    network = recipe.create_network()
    numerics.place(network).train()
    optimizer, _ = engine.make_optimizer(network, recipe, steps=1000)

    def step() -> float:
        started = clock()
        loss = F.cross_entropy(numerics.compute(network, images), labels.to(numerics.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for a GPU
        return clock() - started

    return step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    numerics = fastest()
    print(machine.line(numerics))

    images, labels = torch.randn(128, 3, 32, 32), torch.randint(10, (128,))
    baseline = recipes.get("baseline")
    plain = stepper(baseline, PLAIN, images, labels)
    seconds = {"plain": [], "plain, memory kept": [], "engine": []}
    # `keep_freed_memory` can't be undone in a process, so the plain way goes first, alone.
    plain()
    seconds["plain"] = [plain() for _ in range(rounds)]
    keep_freed_memory()
    ours = stepper(baseline, numerics, images, labels)
    plain(), ours()
    for _ in range(rounds):
        seconds["plain, memory kept"].append(plain())
        seconds["engine"].append(ours())
    medians = {way: statistics.median(values) for way, values in seconds.items()}
    for way, values in seconds.items():
        spread = f"{min(values):.2f} to {max(values):.2f}"
        print(f"{way:20} {medians[way]:.2f} s a step of 128 ({spread}, {rounds} rounds)")
    print(f"ratio plain / engine: {medians['plain'] / medians['engine']:.2f}")
    print(
        f"ratio in turn, both with memory kept: "
        f"{medians['plain, memory kept'] / medians['engine']:.2f}"
    )

    split = data.synthetic(2000)
    for name in data.AUGMENTATIONS:
        transform = data.pipeline(name)
        for _ in ("warm-up", "counted"):
            started = time.perf_counter()
            for _batch in data.batches(split, transform):
                pass
        print(f"{name:10} {len(split) / (time.perf_counter() - started):8,.0f} images/s")


if __name__ == "__main__":
    main()
