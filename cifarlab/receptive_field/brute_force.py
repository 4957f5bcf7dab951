"""Does this unit see this pixel?  Ask the network itself: change the pixel and look.

The independent check of `receptive_field`: it shares no code and no formula with it. `by_gradient`
asks a simplified copy, `by_nan` and `certify` the network as it is. All are slow: the first
takes a backward pass per unit, `by_nan` a forward pass per pixel, `certify` five images.

Lesson: Receptive fields.
"""

import contextlib
import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Unit = tuple[int, int]  # (y, x)


class Reached(Exception):
    """Stops a network: what comes after the layer does not matter."""


def unit_output(network: nn.Module, images: Tensor, unit: Unit, layer: str) -> Tensor:
    """(N, channels) of `unit` in what `layer` gives the first time; "" is the whole network.

    Raises: ValueError if there is no such unit, or `layer` does not run.
    """
    outputs: list[Tensor] = []

    def look(_, inputs: tuple, output: Tensor) -> None:
        maps = output if output.ndim == 4 else output.flatten(1)[:, :, None, None]
        if not all(0 <= at < size for at, size in zip(unit, maps.shape[2:], strict=True)):
            raise ValueError(f"there is no unit {unit} in an output of shape {tuple(maps.shape)}.")
        outputs.append(maps[:, :, unit[0], unit[1]])
        raise Reached

    handle = network.get_submodule(layer).register_forward_hook(look)
    with contextlib.suppress(Reached):
        network(images)
    handle.remove()
    if not outputs:
        raise ValueError(f"layer={layer!r} does not run; name one that the network calls.")
    return outputs[0]


# ------------------------------------------------------------------------ gradients of a copy


def by_gradient(
    module: nn.Module, size: tuple[int, int], unit: Unit, *, layer: str = "", channels: int = 3
) -> np.ndarray:
    """Which pixels reach `unit` of `layer`: (H, W) bool, for an image of `size`.

    In a copy that is linear and has positive weights only, no two paths can cancel: a pixel is
    seen if its gradient is not zero. In float64, since in deep networks float32 underflows.
    """
    network = copy.deepcopy(module).cpu().double().eval()
    for parameter in network.parameters():
        rows = parameter.shape[0] if parameter.ndim else 1
        parameter.requires_grad_(False).fill_(max(1, rows) / parameter.numel())
    image = torch.ones(1, channels, *size, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad(), PositiveLinear():
        (gradient,) = torch.autograd.grad(unit_output(network, image, unit, layer).sum(), image)
    return (gradient != 0).any(dim=1)[0].numpy()


class PositiveLinear(TorchFunctionMode):
    """While active, functions that are not linear and positive are replaced by some that are."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Call `function` or what stands for it."""
        kwargs = kwargs or {}
        if any(isinstance(argument, Tensor) and argument.requires_grad for argument in args):
            function = STAND_INS.get(function.__name__.strip("_"), function)
        return function(*args, **kwargs)


def same(values: Tensor, *options, **more) -> Tensor:
    """The input itself."""
    return values


def add(left: Tensor, right: Tensor, **more) -> Tensor:
    """The sum, where the network multiplies, subtracts or divides."""
    return left + right


def add_mean(values: Tensor, *dims: int) -> Tensor:
    """The sum with the mean, where a network divides by something that it takes along `dims`."""
    return values + values.mean(dims, keepdim=True)


def sum_pool(images: Tensor, kernel_size, stride=None, padding=0, dilation=1, *rest, **more):
    """The sum of each window, where max pooling would let one pixel through."""
    like = F.max_pool2d(images, kernel_size, stride, padding, dilation, *rest, **more)
    height, width = (padding, padding) if isinstance(padding, int) else padding
    beyond = 64  # more zeros than any window needs; those that are one too many are cut off
    padded = F.pad(images, (width, width + beyond, height, height + beyond))
    kernel = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    ones = torch.ones(images.shape[1], 1, *kernel, dtype=images.dtype)
    sums = F.conv2d(
        padded, ones, stride=stride or kernel_size, dilation=dilation, groups=images.shape[1]
    )
    return sums[..., : like.shape[-2], : like.shape[-1]]


POINTWISE = """
    abs batch_norm celu clamp dropout dropout2d elu exp gelu hardsigmoid hardswish hardtanh
    leaky_relu local_response_norm log logsigmoid mish neg pow prelu relu relu6 selu sigmoid silu
    softplus sqrt square tanh
"""
STAND_INS = {
    **dict.fromkeys(POINTWISE.split(), same),
    **dict.fromkeys(["mul", "sub", "rsub", "div"], add),
    "max_pool2d": sum_pool,
    "adaptive_max_pool2d": lambda values, size, **more: F.adaptive_avg_pool2d(values, size),
    "group_norm": lambda values, *rest, **more: add_mean(values, 1, 2, 3),
    "instance_norm": lambda values, *rest, **more: add_mean(values, 2, 3),
    "layer_norm": lambda values, shape, **more: add_mean(values, *range(-len(shape), 0)),
    "softmax": lambda values, dim, *rest, **more: add_mean(values, dim),
    "log_softmax": lambda values, dim, *rest, **more: add_mean(values, dim),
}


# --------------------------------------------------------------------- NaN in the network itself


def spoiled(module: nn.Module, images: Tensor, unit: Unit, layer: str) -> np.ndarray:
    """For which of the `images` (N, C, H, W), which hold some NaN, `unit` is NaN: (N,) bool.

    In float64, for which PyTorch has plain convolutions only. Those of float32 (oneDNN's and
    NNPACK's) work tile by tile, after Winograd, and one NaN spoils its whole tile.
    """
    network = copy.deepcopy(module).cpu().double().eval()
    with torch.no_grad():
        outputs = [unit_output(network, part.double(), unit, layer) for part in images.split(64)]
    return torch.cat(outputs).isnan().any(dim=1).numpy()


def by_nan(
    module: nn.Module, size: tuple[int, int], unit: Unit, *, layer: str = "", channels: int = 3
) -> np.ndarray:
    """Which pixels reach `unit` of `layer`: (H, W) bool, by one image for every pixel.

    A NaN that is multiplied or compared stays one. But NaN times zero is NaN too: taps of weight
    zero, as in up-sampling with `align_corners`, show as if they counted.
    """
    height, width = size
    images = torch.ones(height * width, channels, height * width)
    images[torch.arange(height * width), :, torch.arange(height * width)] = torch.nan
    return spoiled(module, images.unflatten(2, size), unit, layer).reshape(size)


def certify(
    module: nn.Module,
    size: tuple[int, int],
    unit: Unit,
    box: tuple[int, int, int, int] | None,
    *,
    layer: str = "",
    channels: int = 3,
) -> list[str]:
    """What speaks against `box` (top, left, bottom, right) of `unit`, clipped; empty if it holds.

    NaN everywhere outside the box must leave the unit alone; a row or column of NaN along each of
    its four sides, just inside, must reach it. That takes five images, however large.
    """
    outside = torch.full((channels, *size), torch.nan)
    images = {"outside the box": outside}
    if box is not None:
        top, left, bottom, right = box
        outside[:, top : bottom + 1, left : right + 1] = 1
        rows = {f"in row {row}": np.s_[:, row] for row in (top, bottom)}
        columns = {f"in column {column}": np.s_[:, :, column] for column in (left, right)}
        for name, line in {**rows, **columns}.items():
            images[name] = torch.ones(channels, *size)
            images[name][line] = torch.nan
    reached = spoiled(module, torch.stack([*images.values()]), unit, layer)
    expected = [name != "outside the box" for name in images]
    return [
        f"NaN {name} {'reaches' if reaches else 'does not reach'} unit {unit}"
        for name, reaches, wanted in zip(images, reached, expected, strict=True)
        if reaches != wanted
    ]
