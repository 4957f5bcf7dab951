"""Which learning rate does a finder recommend for `fast`, and how does the loss look on the way?

    python -m benchmarks.finder

300 steps of the recipe's batches, by plain SGD as the finder does, the rate from 1e-4 to 10; three
seeds. On the training images but the last tenth, on the CPU. Writes
`cifarlab/records/shipped/benchmarks/finder.json`, which the practice page of lesson 9 tells of; the
experiment `finder` trains at the rate that comes out.
"""

import json
import math

import torch

from benchmarks import machine
from cifarlab import engine, recipes, runs
from cifarlab.numerics import fastest

STEPS, LOWEST, HIGHEST = 300, 1e-4, 10.0


def main() -> None:
    """Sweep, print and write."""
    recipe, numerics = recipes.get("fast"), fastest(device="cpu")
    here = machine.fields(numerics)
    train, _ = runs.splits(validation=True)
    sweeps = []
    for seed in range(3):
        torch.manual_seed(seed)
        sweep = engine.find_learning_rate(
            recipe.create_network(),
            recipe,
            train,
            lowest=LOWEST,
            highest=HIGHEST,
            steps=STEPS,
            smoothing=0.9,
            seed=seed,
            numerics=numerics,
        )
        at_lowest = sweep.learning_rates[sweep.losses.index(min(sweep.losses))]
        sweeps.append(
            {
                "seed": seed,
                "learning_rates": sweep.learning_rates,
                "losses": [round(loss, 4) for loss in sweep.losses],
                "rate_at_lowest_loss": at_lowest,
                "recommended": at_lowest / 10,
            }
        )
        print(seed, f"lowest loss {min(sweep.losses):.3f} at {at_lowest:.3g}", flush=True)
    result = {**here, "batch": recipe.batch_size, "ignorance": math.log(10), "sweeps": sweeps}
    machine.save("finder", result)
    print(json.dumps([sweep["recommended"] for sweep in sweeps]))


if __name__ == "__main__":
    main()
