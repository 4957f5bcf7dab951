"""Draw the augmentation gallery: what augmentations made of five pictures, and what they drew.

    course gallery

Writes two files beside `cifarlab/figures/augmentation-gallery.js`: one sheet with all pictures, and
the numbers behind each. They stand in the repository, as the book is built without Albumentations;
a test draws them anew and compares. The pictures are renderings: enlarged or augmented, and lossy.
"""

import json
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import torch
from PIL import Image

from cifarlab import data, figures, model
from cifarlab._files import replacing
from cifarlab.receptive_field import analyze

SHEET = figures.FOLDER / "augmentation-gallery.webp"
NUMBERS = figures.FOLDER / "augmentation-gallery.json"

PICTURES = (7, 45, 106, 213, 18)  # among the training images: a horse, an automobile, ...
LAYERS = ("conv0", "conv1", "conv2", "conv3", "conv4")  # of the running example
SIDE = 32  # pixels of a picture
BEFORE = 64  # pixels of an enlarged one; these stand in the sheet's first row
COLUMNS = 20  # of the sheet, below its first row
QUALITY = 75  # of WebP, 0 to 100
# Chosen so that in eight draws of a pipeline each step acts in some, and in some not.
SEED = 50


def part(name: str):
    """A step that draws one number of `data.affine` and acts always."""
    still = {"translate": 0, "scale": 0, "rotate": 0, "shear": 0}
    return lambda strength: [data.affine(**{**still, name: strength}, p=1)]


# Of each: the strengths, in the units of `cifarlab.data`; the draws of each; the steps of one.
# A pipeline has no strength, and more draws, for each of its steps acts only in some.
TRANSFORMS = {
    "all": ((None,), 8, lambda _: data.AUGMENTATIONS["all"]()),
    "original": ((None,), 8, lambda _: data.AUGMENTATIONS["original"]()),
    "flip": ((None,), 4, lambda _: [data.flip()]),
    "translate": ((2, 4, 8), 4, part("translate")),
    "rotate": ((15, 45, 180), 4, part("rotate")),
    "scale": ((0.1, 0.3, 0.5), 4, part("scale")),
    "shear": ((5, 15, 30), 4, part("shear")),
    "crop": ((2, 4, 8), 4, lambda margin: [data.crop(margin=margin)]),
    "cutout": ((8, 16, 24), 4, lambda size: [data.cutout(size, p=1)]),
}


def draw(images: np.ndarray) -> tuple[list[dict], list[np.ndarray]]:
    """Every draw, and what it made of each of `images` (N, 32, 32, 3) uint8: (N, 32, 32, 3) each.

    Draw i of a transform begins with the same random numbers at every strength and for every
    picture, so that one can compare.
    """
    draws, results = [], []
    for name, (strengths, count, steps) in TRANSFORMS.items():
        for strength in strengths:
            pipeline = A.Compose(steps(strength), strict=True, save_applied_params=True)
            for number in range(count):
                augmented = []
                for image in images:
                    data.reseed(pipeline, SEED, number)
                    augmented.append(pipeline(image=image))
                facts = told(augmented[0]["applied_transforms"])
                draws.append({"transform": name, "strength": strength, **facts})
                results.append(np.stack([picture["image"] for picture in augmented]))
    return draws, results


def told(applied: list[tuple[str, dict]]) -> dict:
    """The numbers that the steps drew, and what follows from them; steps that did nothing are out.

    `matrix` (2, 3) takes a pixel (x, y, 1) of the picture to its place in the new one; `hole` is
    [left, top, right, bottom] in pixels, the last two not included.

    Raises: ValueError for a step that this function does not know.
    """
    matrix = np.eye(3)
    drawn: dict[str, Any] = {}
    for step, values in applied:
        if step == "HorizontalFlip":
            drawn["flip"] = True
            matrix = np.array([[-1, 0, SIDE - 1], [0, 1, 0], [0, 0, 1]]) @ matrix
        elif step == "Affine":
            drawn |= parts(values)
            matrix = values["matrix"] @ matrix
        elif step == "Pad":
            margin = values["pad_left"]
        elif step == "RandomCrop":
            left, top = (corner - margin for corner in values["crop_coords"][:2])
            drawn["crop"] = [left, top]
            matrix = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]]) @ matrix
        elif step == "CoarseDropout":
            drawn["hole"] = values["holes"][0].tolist()
        else:
            raise ValueError(f"the gallery has no words for {step}; add them to `told`.")
    drawn = {name: value for name, value in drawn.items() if np.any(value)}
    return {**drawn, "matrix": (matrix[:2].round(4) + 0.0).tolist()}


def parts(values: dict) -> dict:
    """What an affine step drew: its matrix is translation · shear · rotation · scale.

    Rotation and shear in degrees, translation in pixels, and scale as the change of the factor.
    """
    matrix, angle = values["matrix"], np.deg2rad(values["rotate"])
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, sine], [-sine, cosine]])  # counter-clockwise, as y points down
    shear = matrix[:2, :2] @ np.linalg.inv(rotation * values["scale"]["x"])
    middle = np.array([(SIDE - 1) / 2, (SIDE - 1) / 2, 1])
    return {
        "translate": (matrix @ middle - middle)[:2].round().astype(int).tolist(),
        "shear": np.rad2deg(np.arctan([shear[0, 1], shear[1, 0]])).round(1).tolist(),
        "rotate": round(values["rotate"], 1),
        "scale": round(values["scale"]["x"] - 1, 2),
    }


def fields() -> dict[str, int]:
    """How many pixels a unit of each layer sees along an axis; its field has no holes."""
    with torch.device("meta"):
        network = model.create("skipnet")
    analysis = analyze(network, (SIDE, SIDE))
    return {layer: analysis[layer].size[0] for layer in LAYERS}


def sheet(images: np.ndarray, results: list[np.ndarray]) -> np.ndarray:
    """All pictures on one: a row of `images`, enlarged, then each draw of each, image by image."""
    tiles = np.stack(results, axis=1).reshape(-1, SIDE, SIDE, 3)
    rows = -(-len(tiles) // COLUMNS)
    canvas = np.zeros((BEFORE + rows * SIDE, COLUMNS * SIDE, 3), np.uint8)
    larger = images.repeat(BEFORE // SIDE, axis=1).repeat(BEFORE // SIDE, axis=2)
    for number, tile in enumerate(larger):
        canvas[:BEFORE, number * BEFORE : (number + 1) * BEFORE] = tile
    for number, tile in enumerate(tiles):
        y, x = BEFORE + number // COLUMNS * SIDE, number % COLUMNS * SIDE
        canvas[y : y + SIDE, x : x + SIDE] = tile
    return canvas


def gallery(train: data.Split) -> tuple[dict, np.ndarray]:
    """The numbers and the sheet, (H, W, 3) uint8, from the training images of CIFAR-10."""
    chosen = train.take(PICTURES)
    draws, results = draw(chosen.images)
    pixels = sheet(chosen.images, results)
    numbers = {
        "made by": "course gallery",
        "source": "Pictures: CIFAR-10 (Krizhevsky 2009), enlarged or augmented, and compressed.",
        "pictures": [chosen.classes[label] for label in chosen.labels],
        "fields": fields(),
        "sheet": {
            "width": pixels.shape[1],
            "height": pixels.shape[0],
            "columns": COLUMNS,
            "side": SIDE,
            "before": BEFORE,
        },
        "draws": draws,
    }
    return numbers, pixels


def text(numbers: dict) -> str:
    """JSON with one line a draw, so that a change can be read."""
    head = json.dumps({**numbers, "draws": []}, indent=1)
    lines = ",\n".join(f"  {json.dumps(draw)}" for draw in numbers["draws"])
    return head.replace('"draws": []', f'"draws": [\n{lines}\n ]') + "\n"


def write() -> list[Path]:
    """Draw and write; the files."""
    train, _ = data.load()
    numbers, pixels = gallery(train)
    with replacing(SHEET) as temporary:
        Image.fromarray(pixels).save(temporary, "webp", quality=QUALITY, method=6)
    with replacing(NUMBERS) as temporary:
        temporary.write_text(text(numbers), encoding="utf-8")
    return [SHEET, NUMBERS]
