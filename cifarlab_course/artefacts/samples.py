"""Make the sample pictures of the page "Live predictions".

    course samples

One test image of each class, in the classes' order, side by side: enlarged and lossy, so that the
repository shows pictures of CIFAR-10, but holds no file of it.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from cifarlab import data, figures
from cifarlab._files import replacing

OUT = figures.FOLDER / "live-samples.webp"
# Not the first ones of their classes: on some of those there is a part of a person.
CHOSEN = (10, 9, 65, 53, 36, 24, 4, 13, 1, 14)
SIDE = 128  # pixels of one


def sheet(images: np.ndarray) -> Image.Image:
    """The `images` (N, 32, 32, 3) uint8 in a row, each `SIDE` pixels wide."""
    row = Image.new("RGB", (SIDE * len(images), SIDE))
    for place, image in enumerate(images):
        enlarged = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        row.paste(enlarged, (SIDE * place, 0))
    return row


def write(path: Path = OUT) -> Path:
    """Write the samples to `path`."""
    _, test = data.load()
    with replacing(path) as temporary:
        sheet(test.images[list(CHOSEN)]).save(temporary, "WEBP", quality=80, method=6)
    return path
