"""What an epoch costs, of each recipe; and of `fast` in other widths and with other threads.

    python -m benchmarks.epoch [--rounds 5]

Every figure is a median over rounds, in which the ways take turns in one process; an epoch is its
number of steps times one. The original's way is fp32, NCHW, and each image augmented in the main
process just before its step. Synthetic images: the pixels change nothing about the time.
"""

import argparse
import functools
import os
import time

import torch

from benchmarks import machine
from benchmarks.step import PLAIN, stepper
from cifarlab import data, model, recipes
from cifarlab.numerics import Numerics, fastest, keep_freed_memory

IMAGES = 50_000  # of CIFAR-10, in an epoch


def batches_of(recipe: recipes.Recipe, split: data.Split) -> data.EpochBatches:
    """What `recipe` learns from, augmented and of its size."""
    pipeline = data.pipeline(recipe.augmentation, mean=recipe.mean, std=recipe.std)
    return data.EpochBatches(split, pipeline, recipe.batch_size, shuffle=True, seed=0, epoch=1)


def seconds_to_prepare(batches: data.EpochBatches) -> float:
    """How long one batch takes."""
    started = time.perf_counter()
    batches[0]
    return time.perf_counter() - started


def steps(recipe: recipes.Recipe) -> int:
    """Steps of one epoch of CIFAR-10."""
    return -(-IMAGES // recipe.batch_size)


def compare_recipes(numerics: Numerics, rounds: int) -> None:
    """Print seconds per epoch and minutes per run of every recipe and of the original's way."""
    split = data.synthetic(512)
    compared = {name: recipes.get(name) for name in ("accurate", "baseline", "fast")}
    compared["fast, by SGD"] = recipes.get("fast", muon_peak_learning_rate=0.0)

    def ways_of(name: str, recipe: recipes.Recipe, numerics: Numerics) -> dict:
        batches = batches_of(recipe, split)
        return {
            (name, "data"): functools.partial(seconds_to_prepare, batches),
            (name, "step"): stepper(recipe, numerics, *batches[0]),
        }

    # `keep_freed_memory` can't be undone in a process, so the original's way goes first, alone.
    seconds = machine.measured(ways_of("original", recipes.get("baseline"), PLAIN), rounds)
    keep_freed_memory()
    ways = {}
    for name, recipe in compared.items():
        ways |= ways_of(name, recipe, numerics)
    seconds |= machine.measured(ways, rounds)
    for name, recipe in {"original": compared["baseline"], **compared}.items():
        prepared, step = seconds[name, "data"], seconds[name, "step"]
        epoch = steps(recipe) * (prepared + step)
        print(
            f"{name:12} {epoch:6.0f} s an epoch, {recipe.epochs * epoch / 60:6.1f} min in all, "
            f"{prepared / (prepared + step):.0%} of it in data"
        )


def compare_sizes(numerics: Numerics, rounds: int) -> None:
    """Print seconds per epoch of `fast` against its width, then against the number of threads."""
    images, labels = batches_of(recipes.get("fast"), data.synthetic(512))[0]
    ways, counts = {}, {}
    for widths in [(24, 56), (32, 80), (48, 112), (64, 160)]:
        recipe = recipes.get("fast", network_options={"widths": widths})
        counts[widths] = model.count_multiply_adds(recipe.create_network()) / 1e6
        ways[widths] = stepper(recipe, numerics, images, labels)
    for widths, seconds in machine.measured(ways, rounds).items():
        epoch = steps(recipes.get("fast")) * seconds
        print(f"widths {widths}: {counts[widths]:5.1f} M multiply-adds, {epoch:5.1f} s an epoch")
    step = stepper(recipes.get("fast"), numerics, images, labels)

    def with_threads(count: int):
        def run() -> float:
            torch.set_num_threads(count)
            return step()

        return run

    ways = {count: with_threads(count) for count in range(1, os.cpu_count() + 1)}
    for count, seconds in machine.measured(ways, rounds).items():
        print(f"{count} threads: {steps(recipes.get('fast')) * seconds:5.1f} s an epoch of fast")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    numerics = fastest()
    print(machine.line(numerics))
    compare_recipes(numerics, rounds)
    compare_sizes(numerics, rounds)


if __name__ == "__main__":
    main()
