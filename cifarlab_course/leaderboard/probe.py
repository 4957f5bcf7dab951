"""Build an entry's network, and say what it is and what it answers; it is never given a label.

`check` sends this text into the sandbox, where the entry's code runs in the same process and can
tamper with all that is said here. It imports none of its neighbours.
"""

import base64
import importlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load
from torch import nn

from cifarlab import challenge, model

BATCH = 40  # images: while a network is watched, every map of theirs stays in memory


def build(source: str, name: str, options: dict, weights: str) -> nn.Module:
    """The network called `name`, which `source` may have to make known, with its weights.

    Raises: whatever the source raises, or PyTorch where the weights are another network's.
    """
    if source:
        Path("network.py").write_text(source, encoding="utf-8")
        importlib.invalidate_caches()
        importlib.import_module("network")
    network = model.create(name, **options)
    if not isinstance(network, nn.Module):
        raise TypeError(f"{name!r} makes a {type(network).__name__}, not a torch.nn.Module")
    network.load_state_dict(load(base64.b64decode(weights)))
    return network.float().eval()


def facts(network: nn.Module) -> list:
    """The rules that it breaks; if there is none, its parameters and multiply-adds."""
    if broken := challenge.violations(network):
        return [broken, 0, 0]
    seen = challenge.watched(network, torch.rand(1, 3, 32, 32))
    return [broken, seen.parameters, seen.multiply_adds]


def answers(
    network: nn.Module,
    pixels: str,
    shape: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    watched: int,
) -> list:
    """Its scores for images, and its parameters and multiply-adds while it gives those of a batch.

    `pixels` are the images' bytes in base 64, of `shape` (N, H, W, 3); `watched` is the number of
    that batch.
    """
    images = torch.frombuffer(bytearray(base64.b64decode(pixels)), dtype=torch.uint8).view(shape)
    centre, spread = (torch.tensor(each).view(1, 3, 1, 1) for each in (mean, std))
    scores, parameters, multiply_adds = [], 0, 0
    for number, batch in enumerate(images.split(BATCH)):
        inputs = (batch.permute(0, 3, 1, 2).float() / 255 - centre) / spread
        if number == watched:
            given, parameters, multiply_adds = challenge.watched(network, inputs)
        else:
            with torch.no_grad():
                given = network(inputs)
        scores.append(given)
    return [torch.cat(scores), parameters, multiply_adds]
