"""What an image costs in each network of the experiment on convolutions.

    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.convolutions [--rounds 9]

On the CPU, one thread. All networks take turns in one process and are timed in seconds of the
processor, so that what else the machine does disturbs little; a figure is the median over the
rounds, divided by the number of images. Writes
`cifarlab/records/shipped/benchmarks/convolutions.json`, which a lesson reads beside the accuracies.
"""

import argparse
import json
import time

import torch

from benchmarks import machine
from benchmarks.separable import forward
from benchmarks.step import stepper
from cifarlab.numerics import Numerics
from cifarlab_course.artefacts import arms

BATCH = (256, 32, 32)  # images, height, width


def ways(numerics: Numerics) -> dict:
    """By network and pass, a function that runs it once and gives its seconds."""
    count, height, width = BATCH
    images, labels = torch.randn(count, 3, height, width), torch.randint(10, (count,))
    found = {}
    for arm in arms.EXPERIMENTS["convolutions"].arms:
        recipe = arm.changed_recipe()
        step = stepper(recipe, numerics, images, labels, clock=time.process_time)
        found[arm.name, "training"] = step
        network = numerics.place(recipe.create_network())
        found[arm.name, "forward"] = lambda network=network: forward(numerics, network, images)
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    numerics = machine.one_thread()
    here = machine.fields(numerics)  # before our own load
    milliseconds = {}
    for (name, pass_), seconds in machine.measured(ways(numerics), rounds).items():
        milliseconds.setdefault(name, {})[pass_] = round(1000 * seconds / BATCH[0], 4)
    result = {
        **here,
        "rounds": rounds,
        "images": "{} of {}x{}".format(*BATCH),
        "milliseconds_per_image": milliseconds,
    }
    machine.save("convolutions", result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
