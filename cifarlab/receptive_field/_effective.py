"""How much each pixel matters to a unit, measured by gradients.

Lesson: Receptive fields.
"""

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cifarlab import _arguments as arguments
from cifarlab.receptive_field._taps import AXES


@dataclass(frozen=True)
class Effective:
    """How much each pixel matters to a unit: `share` (H, W) adds up to 1.

    The Gaussian fit has its `centre` and `sigma` in pixels (y, x); `within` is the share inside
    two sigma, an ellipse; 0.865 for a true Gaussian.
    """

    share: np.ndarray = field(repr=False)
    centre: tuple[float, float]
    sigma: tuple[float, float]
    within: float


def effective(
    module: nn.Module, images: Tensor, unit: tuple[int, int], *, layer: str = ""
) -> Effective:
    """Measured field of `unit` (y, x) in what `layer` gives, by default the whole `module`.

    The magnitude of the gradient of the unit, its channels summed, over the channels and all of
    `images` (N, C, H, W). On the CPU and in float64, as float32 underflows in deep networks; in
    evaluation mode, on a copy. The fit is the Gaussian of the same mean and variance.

    Raises: ValueError if there is no such unit, or nothing reaches it.
    Source: Luo et al. 2016, "Understanding the Effective Receptive Field", arXiv:1701.04128.
    Lesson: Receptive fields.
    """
    arguments.instance("module", module, nn.Module)
    images = arguments.shaped("images", images, Tensor, ("N", "C", "H", "W"), None)
    y, x = unit = arguments.pair("unit", unit, 0)  # plain numbers: a tensor of bytes is a mask
    if not isinstance(layer, str) or layer not in dict(module.named_modules()):
        raise ValueError(f"layer={arguments.shown(layer)}; name one of `named_modules()`.")
    network = copy.deepcopy(module).cpu().double().eval().requires_grad_(False)
    pixels = images.detach().cpu().double().requires_grad_()
    sums = []

    def look(_, inputs: Any, output: Tensor) -> None:
        shape = tuple(output.shape) if isinstance(output, Tensor) else ()
        if len(shape) != 4 or not (0 <= y < shape[2] and 0 <= x < shape[3]):
            raise ValueError(
                f"there is no unit {unit} in an output of shape {shape}; name a `layer` whose "
                "output is (N, C, H, W), and a unit inside."
            )
        sums.append(output[:, :, y, x].sum())  # now, for the next layer may overwrite the output

    network.get_submodule(layer).register_forward_hook(look)
    with torch.inference_mode(False), torch.enable_grad():
        try:
            network(pixels)
        except RuntimeError as error:  # torch's own, where shapes don't fit
            raise ValueError(
                f"images={arguments.shown(images)} don't fit the network: {error}"
            ) from error
        if not sums:
            raise ValueError(f"layer={layer!r} does not run; name one that the network calls.")
        if not sums[0].requires_grad:
            raise ValueError(f"unit {unit} does not depend on the images; no pixel reaches it.")
        (gradient,) = torch.autograd.grad(sums[0], pixels)
    magnitude = gradient.abs().sum(dim=(0, 1)).numpy()
    if not 0 < magnitude.sum() < math.inf:
        raise ValueError(f"unit {unit} has a gradient of {magnitude.sum()}; no pixel reaches it.")
    share = magnitude / magnitude.sum()
    centre, sigma = [], []
    distance = np.zeros((1, 1))  # of each pixel from the centre, squared, in sigmas
    for axis in AXES:
        place, along = np.arange(share.shape[axis]), share.sum(axis=1 - axis)
        # Counted from the first that has a share: rounded, all shares add up to nearly 1 only.
        first = np.flatnonzero(along)[0]
        mean = float(first + (place - first) @ along)
        deviation = float(np.sqrt((place - mean) ** 2 @ along))
        scaled = (place - mean) / max(deviation, 1e-9)  # a single row has no deviation
        distance = distance + (scaled**2).reshape((-1, 1) if axis == 0 else (1, -1))
        centre.append(mean)
        sigma.append(deviation)
    within = float(share[distance <= 4].sum())
    return Effective(share, (centre[0], centre[1]), (sigma[0], sigma[1]), within)
