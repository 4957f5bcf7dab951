"""A network that learns in a moment, how it computes in the tests, and disks that refuse."""

import os
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import nn

from cifarlab import model
from cifarlab.numerics import Numerics
from cifarlab.schema import Epoch, Record, Score

FP32 = Numerics("cpu", "fp32", "channels_last")


class Tiny(nn.Sequential):
    """960 numbers, with batch norm, dropout and every kind of convolution but the dilated."""

    def __init__(self, *, dropout: float = 0.2) -> None:
        super().__init__(
            nn.AvgPool2d(4),  # (N, 3, 8, 8)
            model.ConvBlock(3, 8, dropout=dropout, padding_mode="replicate"),
            model.DepthwiseSeparableConv(8, 32, dropout=dropout),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(32, 10, 1, bias=False),
            nn.Flatten(),
        )


def unsettled(network: nn.Module) -> nn.Module:
    """`network` in eval mode, its batch norms as if they had learned: far from 0 and 1."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, std=0.5)
            nn.init.uniform_(part.running_var, 0.3, 3)
            if part.affine:
                nn.init.uniform_(part.weight, -1.5, 1.5)
                nn.init.normal_(part.bias, std=0.5)
    return network.eval()


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file may grow beyond `room` bytes: the system itself refuses, as on a full disk."""
    resource = pytest.importorskip("resource")  # not on Windows
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only(folder: Path) -> Iterator[Callable[[], None]]:
    """Work in `folder`; a call of what this gives makes it one that nobody here may write to.

    Name its files without a path: the administrator, whom no mode stops, is somebody else then,
    and may not even pass through the folders above.
    """
    nobody = 65_534
    try:
        mode, user = folder.stat().st_mode, os.geteuid()
    except AttributeError:
        pytest.skip("Windows has no such modes")

    def lock() -> None:
        folder.chmod(0o555)
        if user == 0:
            os.seteuid(nobody)

    with chdir(folder):
        try:
            yield lock
        finally:
            os.seteuid(user)
            folder.chmod(mode)


def tiny_record(*accuracies: float, **changes) -> Record:
    """The record of a run whose epochs reached `accuracies`, in training and held out alike."""
    scores = [Score(1.0, accuracy) for accuracy in accuracies]
    fields = {
        "recipe": SimpleNamespace(name="tiny", network="tiny", epochs=len(accuracies)),
        "seed": 0,
        "data": "CIFAR-10: 50000 images, scored on 10000",
        "commit": "c" * 40,
        "versions": {"python": "3.11.7", "torch": "2.14.1"},
        "processor": "a processor",
        "threads": 2,
        "precision": "fp32",
        "memory_format": "NCHW",
        "load": 1.5,
        "seconds": {"training": 600.0, "evaluation": 6.0},
        "parameters": 960,
        "multiply_adds": 1234,
        "test_accuracy": accuracies[-1] if accuracies else None,
        "history": [
            Epoch(number, 0.1, score, score, 60.0, 1.0, 1.5)
            for number, score in enumerate(scores, start=1)
        ],
    }
    return Record(**fields | changes)
