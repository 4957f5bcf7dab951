"""How sure are trained networks of what they know, and of what they can't know?

    python -m benchmarks.confidence [--runs runs/experiments/confidence]

On the CPU. Three shipped networks are scored on the test images, for of the shipped runs' training
images none was set aside. The runs of the experiment `confidence` are scored on the 5,000 images
that none of them learned from; half of those choose a temperature, and the other half shows what it
does. Then each network looks at pictures of which no class is right. Writes
`cifarlab/records/shipped/benchmarks/confidence.json`.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from benchmarks import machine
from cifarlab import data, diagnostics, engine, records
from cifarlab.numerics import Numerics
from cifarlab.recipes import Recipe
from cifarlab_course.artefacts import experiment
from cifarlab_course.artefacts.arms import EXPERIMENTS
from cifarlab_course.artefacts.run import images

SHIPPED = ["baseline-seed0", "fast-seed0", "accurate-seed0"]
BINS = 15  # as in Guo et al. (2017)
STRANGE = 1000  # pictures of each kind


def strange(known: data.Split) -> dict[str, np.ndarray]:
    """Pictures (N, 32, 32, 3) uint8 without a right answer, or with one that is hard to see."""
    generator, images = np.random.default_rng(0), known.images[:STRANGE]
    pixels = images.reshape(len(images), -1, 3)
    colours = generator.integers(0, 256, (len(images), 1, 1, 3), dtype=np.uint8)
    blurred = gaussian_blur(torch.from_numpy(images).movedim(-1, 1), 25, 4.0)
    return {
        "noise": generator.integers(0, 256, images.shape, dtype=np.uint8),
        # `permuted` shuffles red, green and blue each by itself; `permutation` whole pixels.
        "shuffled colours": generator.permuted(pixels, axis=1).reshape(images.shape),
        "shuffled pixels": np.stack([generator.permutation(each) for each in pixels]).reshape(
            images.shape
        ),
        "one colour": np.broadcast_to(colours, images.shape).copy(),
        "drawn shapes": data.synthetic(STRANGE, seed=0).images,
        "blurred": blurred.movedim(1, -1).numpy(),
        "a tenth of the light": images // 10,
    }


def predicted(
    network: nn.Module, recipe: Recipe, split: data.Split, numerics: Numerics
) -> tuple[Tensor, Tensor]:
    """Log-probabilities (N, 10) and labels (N,) of images as they are, not augmented."""
    plain = data.pipeline(mean=recipe.mean, std=recipe.std)
    return engine.predict(network, data.batches(split, plain, 250), numerics)


def of_the_known(log_probabilities: Tensor, labels: Tensor) -> dict:
    """Accuracy, confidence and calibration, before and after the best temperature."""
    odd = torch.arange(len(labels)) % 2 == 1
    temperature = diagnostics.best_temperature(log_probabilities[odd], labels[odd])
    confidence = log_probabilities.double().exp().amax(dim=1)
    lucky = diagnostics.lucky_errors(log_probabilities, BINS)
    rest, its_labels = log_probabilities[~odd], labels[~odd]
    cooled = (rest / temperature).log_softmax(dim=1)
    return {
        "images": len(labels),
        "accuracy": engine.score(log_probabilities, labels).accuracy,
        "confidence": 100 * confidence.mean().item(),
        "error": 100 * diagnostics.calibration(log_probabilities, labels, BINS).error,
        "error_by_luck": 100 * lucky.mean().item(),
        "error_by_luck_at_most": 100 * lucky.quantile(0.95).item(),
        "temperature": temperature,
        "error_of_the_rest": 100 * diagnostics.calibration(rest, its_labels, BINS).error,
        "error_of_the_rest_at_it": 100 * diagnostics.calibration(cooled, its_labels, BINS).error,
    }


def of_the_strange(known: Tensor, unknown: Tensor, classes: Sequence[str]) -> dict:
    """How sure the network is, how well that tells the two apart, and what it says most often."""
    guesses = unknown.argmax(dim=1)
    said = torch.bincount(guesses, minlength=unknown.shape[1])
    return {
        "confidence": 100 * unknown.double().exp().amax(dim=1).mean().item(),
        "auroc": diagnostics.auroc(known.amax(dim=1), unknown.amax(dim=1)),
        "said_most": classes[said.argmax()],
        "share": 100 * said.max().item() / len(guesses),
    }


def examined(run: Path | str, numerics: Numerics) -> dict:
    """What a network says of both."""
    record, network = records.load(run), numerics.place(records.load_network(run))
    _, held_out = images(record.data.startswith(data.SYNTHETIC), record.scored_on)
    known, labels = predicted(network, record.recipe, held_out, numerics)
    kinds = {}
    for kind, pictures in strange(held_out).items():
        split = data.Split(pictures, np.zeros(len(pictures), np.int64), held_out.classes, kind)
        unknown, _ = predicted(network, record.recipe, split, numerics)
        kinds[kind] = of_the_strange(known, unknown, held_out.classes)
    return {"scored_on": record.scored_on, **of_the_known(known, labels), "strange": kinds}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=experiment.RUNS / "confidence")
    folder = parser.parse_args().runs
    numerics = machine.one_thread()
    torch.manual_seed(0)  # the luck of a calibration error is drawn
    shipped, arms = {}, {}
    for name in SHIPPED:
        shipped[name] = examined(name, numerics)
        print(name, json.dumps(shipped[name]), flush=True)
    before = records.benchmark("confidence")["arms"]
    for arm in EXPERIMENTS["confidence"].arms:
        found = before.get(arm.name, {})  # of runs whose folders may be gone
        for seed in arm.seeds:
            if experiment.finished(run := arm.folder(folder, seed)):
                found[str(seed)] = examined(run, numerics)
                print(arm.name, seed, json.dumps(found[str(seed)]), flush=True)
        if found:
            arms[arm.name] = found
    machine.save(
        "confidence",
        {
            **machine.fields(numerics),
            "bins": BINS,
            "strange": STRANGE,
            "shipped": shipped,
            "arms": arms,
        },
    )


if __name__ == "__main__":
    main()
