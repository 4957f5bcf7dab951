"""Pixels in: find CIFAR-10, verify it, split it, augment it, batch it.

Lesson: Meet CIFAR-10.
"""

import os
import random
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

# Albumentations asks its server for news when imported, unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np
import platformdirs
import torch
from albumentations.pytorch import ToTensorV2
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity
from torchvision.transforms import v2

from cifarlab import _arguments as arguments
from cifarlab._files import own_name, remove_abandoned

# OpenCV would share out each small picture among all cores, in each worker anew. Here and not in
# the workers: in a fork of a process whose threads have begun, this call would never end.
cv2.setNumThreads(1)

# Of the 50,000 training images, over all pixels, per channel, in [0, 1].
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
MEAN_COLOUR = tuple(255 * mean for mean in MEAN)  # in pixels' 0 to 255
# Copied from project to project as "the" standard deviation; it is the mean over images of each
# image's own (as torch computes it, divided by n - 1), and so leaves out how much the images
# differ from one another.
PER_IMAGE_STD = (0.2023, 0.1994, 0.2010)


@dataclass(frozen=True)
class Split:
    """Images and their labels, in memory.

    `images` (N, H, W, 3) uint8, `labels` (N,) int64 into `classes`; `source` says where the
    pictures come from, and stands on every plot of them.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        """Refuse what could only fail later.

        Raises: TypeError or ValueError naming the field.
        """
        arguments.shaped("labels", self.labels, np.ndarray, ("N",), "int64")
        arguments.shaped("images", self.images, np.ndarray, ("N", "H", "W", 3), "uint8")
        if len(self.images) != len(self.labels):
            raise ValueError(
                f"{len(self.images)} images and {len(self.labels)} labels; each image needs one."
            )
        if len(self.labels):
            arguments.into_classes(self.labels, len(self.classes))

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Split":
        """The images at `indices`, in that order.

        Raises: TypeError if they are no list of whole numbers, ValueError if one is not there.
        """
        try:
            array = np.asarray(indices)
        except ValueError:  # lists of different lengths
            array = np.empty((0, 0))
        if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
            raise TypeError(
                f"indices={arguments.shown(indices)}; they must be a list of whole numbers."
            )
        if len(array) and not -len(self) <= array.min() <= array.max() < len(self):
            raise ValueError(
                f"indices from {array.min()} to {array.max()}; the {len(self)} images are "
                f"0 to {len(self) - 1}."
            )
        indices = array.astype(np.int64)
        return Split(self.images[indices], self.labels[indices], self.classes, self.source)


# ---------------------------------------------------------------------------------- CIFAR-10


def flaws(folder: Path) -> list[str]:
    """What is wrong with the CIFAR-10 files in `folder`, one line a file; empty if all is well."""
    meta = (CIFAR10.meta["filename"], CIFAR10.meta["md5"])
    faults = []
    for name, md5 in [*CIFAR10.train_list, *CIFAR10.test_list, meta]:
        path = folder / CIFAR10.base_folder / name
        if not path.is_file():
            faults.append(f"{path} is missing")
        elif not check_integrity(path, md5):
            faults.append(f"{path} is damaged: its md5 is not {md5}")
    return faults


def find() -> Path:
    """The folder that holds `cifar-10-batches-py`, every file of it checked against its md5.

    Looks in the folder that the environment variable CIFARLAB_DATA names; without the variable,
    in the user's cache folder, and downloads there (170 MB) what it does not find.

    Raises: OSError naming the bad files, or saying how to get the data by hand.
    """
    variable = os.environ.get("CIFARLAB_DATA")
    folder = Path(variable) if variable else platformdirs.user_cache_path("cifarlab")
    if not variable and folder.is_dir():
        remove_abandoned(folder, "download")  # of a download that was killed
    problems = flaws(folder)
    if not problems:
        return folder
    if variable:
        raise OSError(
            f"CIFARLAB_DATA={variable} does not hold a sound CIFAR-10: {'; '.join(problems)}. "
            f"Put the files there or unset the variable to download them. {by_hand(folder)}"
        )
    download(folder)
    return folder


def by_hand(folder: Path) -> str:
    """How to get CIFAR-10 into `folder` without this program."""
    return (
        f"By hand: fetch {CIFAR10.url} (md5 {CIFAR10.tgz_md5}; `curl -C - -O` goes on where it was "
        "cut off) and unpack it, so that "
        f"{folder / CIFAR10.base_folder} holds data_batch_1 to data_batch_5, test_batch and "
        "batches.meta; or unpack it elsewhere, and let CIFARLAB_DATA name the folder around it."
    )


PATIENCE = 60.0  # seconds that a server may say nothing


@contextmanager
def impatience() -> Iterator[None]:
    """Whatever is read from a network, each part of it comes within `PATIENCE`, or fails."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE if before is None else min(before, PATIENCE))
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def download(folder: Path) -> None:
    """Fetch CIFAR-10 from its official address into `folder`, with a progress bar.

    The files take their place only when all are there, so a broken download leaves nothing.

    Raises: OSError saying what failed and how to get the data by hand.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mine = own_name("download")
        with tempfile.TemporaryDirectory(dir=folder, prefix=f"{mine}-") as temporary:
            with impatience():
                CIFAR10(temporary, download=True)
            target = folder / CIFAR10.base_folder
            if flaws(folder):  # unless another process was faster
                if target.exists():
                    target.rename(Path(temporary) / "damaged")
                (Path(temporary) / CIFAR10.base_folder).rename(target)
    # torchvision: RuntimeError for a wrong md5; HTTPException: the connection broke off.
    except (OSError, RuntimeError, HTTPException) as error:
        if flaws(folder):  # else another process was faster, and in the way
            reason = str(error).rstrip(".")
            if isinstance(error, RuntimeError):
                reason = (
                    "what came is not the archive, for its md5 is wrong; the connection broke off, "
                    "or a log-in page of the network came in its place"
                )
            raise OSError(f"CIFAR-10 could not be fetched: {reason}. {by_hand(folder)}") from error


def load() -> tuple[Split, Split]:
    """CIFAR-10: 50,000 training and 10,000 test images of 32x32 pixels in ten classes.

    Raises: OSError as `find` does.
    Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images", chapter 3.
    """
    folder = find()
    train, test = (
        Split(part.data, np.array(part.targets), tuple(part.classes), "CIFAR-10")
        for part in (CIFAR10(folder, train=True), CIFAR10(folder, train=False))
    )
    return train, test


def split_validation(train: Split, per_class: int = 500) -> tuple[Split, Split]:
    """`train` in two: what to learn from, and `per_class` images of each class to choose by.

    Always the same images: 45,000 and 5,000 of CIFAR-10. The test images stay out of it, so that
    choosing does not wear them out.

    Raises: ValueError if `per_class` is below 1 or leaves nothing of a class to learn from.
    """
    arguments.instance("train", train, Split)
    arguments.whole("per_class", per_class, 1)
    generator = np.random.RandomState(0)  # the one stream that NumPy promises never to change
    held_out = []
    for label, name in enumerate(train.classes):
        members = np.flatnonzero(train.labels == label)
        if per_class >= len(members):
            raise ValueError(
                f"per_class={per_class}, but class {name!r} has {len(members)} images; "
                f"take 1 to {len(members) - 1}."
            )
        held_out.append(generator.permutation(members)[:per_class])
    validation = np.sort(np.concatenate(held_out))
    learn = np.setdiff1d(np.arange(len(train)), validation)
    return train.take(learn), train.take(validation)


def statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel over all pixels of all images, in [0, 1].

    `images` (N, H, W, 3) uint8 -> two arrays (3,) float64. Counts how often each of the 256
    values occurs, which is exact and needs no float copy of the images.

    Raises: TypeError or ValueError if `images` are no such array, or empty.
    """
    arguments.shaped("images", images, np.ndarray, ("N", "H", "W", 3), "uint8")
    if not images.size:
        raise ValueError(f"images={arguments.shown(images)}; without pixels there is no mean.")
    values = np.arange(256) / 255
    counts = np.stack(
        [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)]
    )
    shares = counts / counts.sum(axis=1, keepdims=True)  # (3, 256)
    mean = shares @ values
    variance = shares @ values**2 - mean**2
    return mean, np.sqrt(variance)


# ------------------------------------------------------------------------------ augmentation


def flip() -> A.BasicTransform:
    """Mirror left and right, in half of the draws.

    Lesson: Augmentations.
    """
    return A.HorizontalFlip(p=0.5)


def affine(
    *,
    translate: int = 2,
    scale: float = 0.1,
    rotate: float = 15,
    shear: float = 5,
    p: float = 0.5,
) -> A.BasicTransform:
    """Move by up to `translate` pixels, zoom by 1 +- `scale`, turn and shear by degrees.

    Every number is drawn evenly from its range; what comes in over the border is mirrored. `p` is
    the share of the draws that it acts in.

    Raises: TypeError or ValueError if an argument is out of its range.
    Lesson: Augmentations.
    """
    arguments.whole("translate", translate, 0, 10_000)
    for name, value, high in [
        ("scale", scale, 0.99),
        ("rotate", rotate, 180),
        ("shear", shear, 89),
    ]:
        arguments.number(name, value, 0, high)
    arguments.number("p", p, 0, 1)
    return A.Affine(
        translate_px=(-translate, translate),
        scale=(1 - scale, 1 + scale),
        keep_ratio=True,
        rotate=(-rotate, rotate),
        shear=(-shear, shear),
        border_mode=cv2.BORDER_REFLECT_101,
        p=p,
    )


def crop(size: int = 32, margin: int = 4) -> A.BasicTransform:
    """A window of `size` pixels from the image, widened by `margin` mirrored pixels a side.

    Raises: TypeError or ValueError if an argument is out of its range.
    Lesson: Augmentations.
    """
    arguments.whole("size", size, 1, 10_000)
    arguments.whole("margin", margin, 0, 10_000)
    return A.Sequential(
        [A.Pad(margin, border_mode=cv2.BORDER_REFLECT_101), A.RandomCrop(size, size)], p=1
    )


def cutout(size: int = 16, fill: Sequence[float] = MEAN_COLOUR, p: float = 0.5) -> A.BasicTransform:
    """One square hole of `size` pixels, wholly inside the image, filled with `fill` (0 to 255).

    Raises: TypeError or ValueError if an argument is out of its range.
    Source: DeVries and Taylor 2017, arXiv:1708.04552; their hole may hang over the border.
    Lesson: What augmentation buys.
    """
    arguments.whole("size", size, 1, 10_000)
    fill = arguments.three("fill", fill, 0, 255)
    arguments.number("p", p, 0, 1)
    return A.CoarseDropout(
        num_holes_range=(1, 1),
        hole_height_range=(size, size),
        hole_width_range=(size, size),
        fill=tuple(round(value) for value in fill),
        p=p,
    )


class RandAugment(A.ImageOnlyTransform):
    """Two changes drawn from torchvision's fourteen, all with one strength, 0 to 30.

    Its random numbers come from the pipeline's, as those of every other step.

    Source: Cubuk et al. 2020, "RandAugment", arXiv:1909.13719. Lesson: Augmentations.
    """

    def __init__(self, magnitude: int = 9, p: float = 1) -> None:
        arguments.whole("magnitude", magnitude, 0, 30)
        super().__init__(p=p)
        self.policy = v2.RandAugment(num_ops=2, magnitude=magnitude)

    def get_params(self) -> dict[str, int]:
        """What torch's generator starts from, for one picture."""
        return {"seed": self.py_random.getrandbits(32)}

    def apply(self, img: np.ndarray, seed: int, **_) -> np.ndarray:
        """The picture (H, W, 3) uint8, changed twice."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            changed = self.policy(torch.from_numpy(img).permute(2, 0, 1))
        return changed.permute(1, 2, 0).contiguous().numpy()


def _original(fill: Sequence[float]) -> list[A.BasicTransform]:
    """The steps of the 2023 project, with the `fill` of its cutout."""
    return [flip(), affine(translate=2, scale=0.1, rotate=45, shear=0), cutout(fill=fill)]


# The 2023 project gave the fill as (0.4914, 0.4822, 0.4465) for images of 0 to 255: black.
AUGMENTATIONS = {
    "none": lambda: [],
    "flip": lambda: [flip()],
    "affine": lambda: [affine()],
    "crop": lambda: [crop()],
    "cutout": lambda: [cutout()],
    "cutout-8": lambda: [cutout(8)],
    # For short training: the windows move the picture, need no border, and take less computing.
    "flip-crop": lambda: [flip(), A.RandomCrop(28, 28)],
    "all": lambda: [flip(), affine(), crop(), cutout()],
    "policy": lambda: [flip(), crop(), RandAugment()],
    "original": lambda: _original(fill=(0, 0, 0)),
    "original-mean-fill": lambda: _original(fill=MEAN_COLOUR),
}


class Pipeline(A.Compose):
    """Steps for one image, (H, W, 3) uint8; without a check they make black of white floats."""

    def __call__(self, *positional, image: np.ndarray | None = None, **others) -> dict:
        """What the steps make of `image`.

        Raises: TypeError or ValueError if it is no such array.
        """
        if isinstance(image, np.ndarray) and image.dtype != np.uint8:
            raise ValueError(
                f"image={arguments.shown(image)}; it must be uint8, 0 to 255. One of 0 to 1 "
                "becomes that by (255 * image).round().astype(np.uint8)."
            )
        arguments.shaped("image", image, np.ndarray, ("H", "W", 3), "uint8")
        return super().__call__(*positional, image=image, **others)


def pipeline(
    augmentation: str = "none",
    *,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
) -> Pipeline:
    """The named augmentation, then normalisation: (H, W, 3) uint8 in, (3, H, W) float32 out.

    `mean` and `std` are per channel, of pixels in [0, 1]. Call it as `pipeline(...)(image=image)
    ["image"]`, or hand it to `batches`.

    Raises: ValueError if there is no augmentation of that name, TypeError or ValueError if `mean`
    or `std` are not three numbers of their range.
    Lesson: Augmentations.
    """
    arguments.one_of("augmentation", augmentation, AUGMENTATIONS)
    mean, std = arguments.three("mean", mean, 0, 1), arguments.three("std", std, 1e-6, 1)
    steps = [*AUGMENTATIONS[augmentation](), A.Normalize(mean, std), ToTensorV2()]
    return Pipeline(steps, strict=True)  # strict: a misspelt argument is an error


def denormalize(
    images: Tensor, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
) -> np.ndarray:
    """Back to pixels for a plot: (N, 3, H, W) normalised -> (N, H, W, 3) uint8.

    Raises: TypeError or ValueError if an argument is not of its shape and range.
    """
    arguments.shaped("images", images, Tensor, ("N", 3, "H", "W"), "float32")
    means = torch.tensor(arguments.three("mean", mean, 0, 1)).view(3, 1, 1)
    deviations = torch.tensor(arguments.three("std", std, 1e-6, 1)).view(3, 1, 1)
    pixels = ((images * deviations + means) * 255).round().clamp(0, 255)
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).numpy()


# ----------------------------------------------------------------------------------- batches


def reseed(transform: A.Compose, *numbers: int) -> None:
    """Start the random numbers of `transform` anew: equal `numbers`, 0 or more, equal images.

    All steps share one stream. `Compose.set_random_seed` would give each step a stream of its own
    from one seed, so that in the next image either all steps act or none.

    Raises: TypeError or ValueError if one of `numbers` is no whole number of 0 or more.
    Lesson: Augmentations.
    """
    for number in numbers:
        arguments.whole("numbers", number, 0)
    entropy = np.random.SeedSequence(numbers)
    transform.set_random_state(
        np.random.default_rng(entropy), random.Random(int(entropy.generate_state(1)[0]))
    )


class OneByOne(Dataset):
    """Picture by picture, as most programs have it; nothing gives its workers numbers of their own.

    Here to show what then goes wrong; `batches` makes what the course trains with. It lies in a
    file because a worker on macOS or Windows can't load what a notebook defines.

    Lesson: Augmentations.
    """

    def __init__(self, images: np.ndarray, transform: A.Compose) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> np.ndarray:
        return self.transform(image=self.images[number])["image"]


def shuffled(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch meets `count` images: (count,) int64."""
    return np.random.default_rng([seed, epoch]).permutation(count)


class EpochBatches(Dataset):
    """One pass over a split, cut into batches; batch i is the same whichever worker makes it.

    The random numbers of a batch follow from (seed, epoch, i) alone. Without that, the workers
    of a DataLoader all repeat one stream of augmentations: each is a copy of one pipeline.
    """

    def __init__(
        self,
        split: Split,
        transform: A.Compose,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        epoch: int,
    ) -> None:
        self.split, self.transform, self.batch_size = split, transform, batch_size
        self.seed, self.epoch = seed, epoch
        count = len(split)
        self.order = shuffled(count, seed, epoch) if shuffle else np.arange(count)

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch_size)  # rounded up: the last may be smaller

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        if number >= len(self):
            raise IndexError(f"batch {number} of {len(self)}")
        reseed(self.transform, self.seed, self.epoch, number)
        indices = self.order[number * self.batch_size : (number + 1) * self.batch_size]
        images = [self.transform(image=self.split.images[index])["image"] for index in indices]
        if not isinstance(images[0], Tensor):
            kind = f"{type(images[0]).__module__}.{type(images[0]).__name__}"
            raise TypeError(f"transform gives {kind}; end it with ToTensorV2 as `pipeline` does.")
        return torch.stack(images), torch.from_numpy(self.split.labels[indices])


MOST_WORKERS = 64  # each is a process with its own copy of the libraries


def batches(
    split: Split,
    transform: A.Compose | None = None,
    batch_size: int = 128,
    *,
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    workers: int = 0,
) -> DataLoader:
    """Batches of one epoch: images (B, 3, H, W) float32 and labels (B,) int64; the last is shorter.

    Equal `seed` and `epoch` give equal batches, with any number of `workers` (processes that
    prepare images while the network computes). Without `transform`, images are normalised only.

    Raises: TypeError or ValueError if an argument is out of its range; TypeError with the first
    batch if `transform` makes no tensors.
    """
    arguments.instance("split", split, Split)
    arguments.instance("transform", transform, A.Compose | None)
    arguments.whole("batch_size", batch_size, 1)
    arguments.instance("shuffle", shuffle, bool)
    arguments.whole("seed", seed, 0)
    arguments.whole("epoch", epoch, 0)
    arguments.whole("workers", workers, 0, MOST_WORKERS)
    epoch_batches = EpochBatches(
        split,
        pipeline() if transform is None else transform,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        epoch=epoch,
    )
    return DataLoader(
        epoch_batches,
        batch_size=None,  # `EpochBatches` gives whole batches
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
    )


# --------------------------------------------------------------------------------- synthetic

SHAPES = {
    # Name: is the point (y, x), in radii from the centre, inside the shape?
    "disc": lambda y, x: np.hypot(y, x) < 1,
    "ring": lambda y, x: abs(np.hypot(y, x) - 0.8) < 0.2,
    "square": lambda y, x: np.maximum(abs(y), abs(x)) < 0.9,
    "frame": lambda y, x: abs(np.maximum(abs(y), abs(x)) - 0.75) < 0.2,
    "diamond": lambda y, x: abs(y) + abs(x) < 1.1,
    "plus": lambda y, x: (np.minimum(abs(y), abs(x)) < 0.3) & (np.maximum(abs(y), abs(x)) < 1),
    "cross": lambda y, x: (abs(abs(y) - abs(x)) < 0.4) & (np.maximum(abs(y), abs(x)) < 1),
    "triangle": lambda y, x: (abs(x) < (y + 1) / 2) & (y < 0.9),
    "stripes": lambda y, x: (np.sin(7 * y) > 0) & (np.hypot(y, x) < 1.2),
    "checks": lambda y, x: (np.sin(7 * y) * np.sin(7 * x) > 0) & (np.hypot(y, x) < 1.2),
}


SYNTHETIC = "synthetic shapes, not CIFAR-10"  # the source of such a split


def synthetic(count: int = 1000, seed: int = 0) -> Split:
    """A small stand-in that is not CIFAR-10: ten shapes, drawn anywhere in any two colours.

    (count, 32, 32, 3) uint8, classes in turn. A network can really learn it, so that tests and a
    first look need no download.

    Raises: TypeError or ValueError if `count` is not 1 to 1,000,000 or `seed` below 0.
    """
    arguments.whole("count", count, 1, 1_000_000)
    arguments.whole("seed", seed, 0)
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % len(SHAPES)
    shapes = list(SHAPES.values())
    rows, columns = np.mgrid[:32, :32]
    images = np.empty((count, 32, 32, 3), np.uint8)
    for image, label in zip(images, labels, strict=True):
        radius = generator.uniform(7, 12)
        top, left = generator.uniform(11, 20, size=2)
        inside = shapes[label]((rows - top) / radius, (columns - left) / radius)
        paper, ink = generator.uniform(0, 255, size=(2, 3))
        while abs(paper - ink).max() < 90:  # a shape that nobody can see teaches nothing
            ink = generator.uniform(0, 255, size=3)
        clean = np.where(inside[..., None], ink, paper)
        image[:] = (clean + generator.normal(0, 12, size=clean.shape)).clip(0, 255)
    return Split(images, labels, tuple(SHAPES), SYNTHETIC)
