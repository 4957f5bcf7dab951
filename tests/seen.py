"""What the units of a small network's output really see, asked of the network as it is.

An independent check of `receptive_field`: for every pixel, one run with a NaN in it (which passes
zeros in weights, but is swallowed by comparisons) and runs in which it changes (which a ReLU or a
maximum may hide). The truth lies between the two.
"""

import contextlib
import copy

import numpy as np
import torch
from torch import Tensor, nn


def by_pixel(network: nn.Module, size: tuple[int, int], channels: int = 1, layout=None):
    """As `looked`, with constants in float64, too."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return looked(network, size, channels, layout)
    finally:
        torch.set_default_dtype(before)


def looked(network: nn.Module, size: tuple[int, int], channels: int, layout):
    """Shape of the output's map, and (units y, x, pixels y, x) bool twice: changed, and NaN."""
    with contextlib.suppress(TypeError):  # such as a lock, which can't be copied
        network = copy.deepcopy(network)
    network = network.double().eval()
    torch.manual_seed(0)
    images = [torch.rand(1, channels, *size, dtype=torch.float64) * 2 - 1 for _ in range(3)]
    with torch.no_grad():
        plain = [places(network(image.clone()), layout) for image in images]
        units = plain[0].shape[:2]
        changed = np.zeros((*units, *size), bool)
        spoiled = np.zeros((*units, *size), bool)
        for pixel in np.ndindex(size):
            for image, before in zip(images, plain, strict=True):
                other = image.clone()
                other[:, :, pixel[0], pixel[1]] += torch.rand(channels, dtype=torch.float64) + 0.5
                differs = (places(network(other), layout) != before).any(-1)
                changed[:, :, pixel[0], pixel[1]] |= differs.numpy()
            other = images[0].clone()
            other[:, :, pixel[0], pixel[1]] = torch.nan
            nan = places(network(other), layout)
            spoiled[:, :, pixel[0], pixel[1]] = nan.isnan().any(-1).numpy()
    return tuple(units), changed, spoiled


def places(output: Tensor, layout: tuple[str, ...] | None) -> Tensor:
    """(height, width, all else) of a tensor whose dimensions are laid out so."""
    output = torch.view_as_real(output).flatten(-2) if output.is_complex() else output
    if layout is None:
        layout = (*map(str, output.shape[:-2]), "height", "width")
    axes = [layout.index(name) for name in ("height", "width") if name in layout]
    moved = output.double().movedim(axes, list(range(len(axes))))
    return moved.reshape([*moved.shape[: len(axes)], *[1] * (2 - len(axes)), -1])


def wrong(field, network: nn.Module, size: tuple[int, int], channels: int = 1) -> list[str]:
    """What speaks against a field of the network's output, of every unit; empty if nothing does."""
    if not any(name in field.layout for name in ("height", "width")):
        layout = None if len(field.layout) >= 4 else ()
    else:
        layout = field.layout
    if "height*width" in field.layout:
        return ["tokens: unflatten them"]
    if layout == ():
        whole = network
        network = Whole(whole)
        layout = None
    units, changed, spoiled = by_pixel(network, size, channels, layout)
    if field.units != units:
        return [f"units {field.units}, not {units}"]
    found = []
    for y, x in np.ndindex(units):
        taps = field.taps(y, x)
        if (changed[y, x] & ~taps).any():
            found.append(f"unit {(y, x)} sees more: {np.argwhere(changed[y, x] & ~taps).tolist()}")
        elif field.exact and not (
            np.array_equal(taps, spoiled[y, x]) or np.array_equal(taps, changed[y, x])
        ):
            found.append(
                f"unit {(y, x)} sees {changed[y, x].sum()} to {spoiled[y, x].sum()}, "
                f"not {taps.sum()}"
            )
        rows, columns = taps.any(1).nonzero()[0], taps.any(0).nonzero()[0]
        box = (rows[0], columns[0], rows[-1], columns[-1]) if taps.any() else None
        if field.box(y, x, clipped=True) != box:
            found.append(f"box of {(y, x)} is {field.box(y, x, clipped=True)}, not {box}")
    return found


class Whole(nn.Module):
    """A network whose output is a vector, as a map of one unit."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image).reshape(1, -1, 1, 1)
