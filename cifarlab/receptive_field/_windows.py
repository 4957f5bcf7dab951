"""Rules of windows over a map: convolution, pooling, resizing and the like.

Lesson: Receptive fields.
"""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from cifarlab.receptive_field._elementwise import join
from cifarlab.receptive_field._features import (
    Feature,
    Operation,
    Part,
    Steps,
    as_tuple,
    axis_along,
    carry,
    collapse,
    combine,
    derive,
    features,
    known,
    on_axes,
    slide,
    straight,
)
from cifarlab.receptive_field._shapes import permute, reshape
from cifarlab.receptive_field._taps import (
    ABSENT,
    SAME,
    Grid,
    Look,
    Step,
    all_units,
    antialiased,
    blocks,
    interpolated,
    nearest,
    table,
    transposed_window,
    window,
)


def conv(op, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, **more):
    """A convolution of any number of dimensions, transposed or not.

    Taps that a fixed mask sets to zero are none. Source: "Shape" of torch.nn.Conv2d; where "same"
    is odd, the greater half comes behind.
    """
    transposed = more.get("transposed", False)
    kernel = tuple(weight.shape[2:])
    n = len(kernel)
    stride, dilation = as_tuple(stride, n), as_tuple(dilation, n)
    if padding == "same":
        padding = [d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True)]
    padding = as_tuple(0 if padding == "valid" else padding, n)
    make = transposed_window if transposed else window
    dims = range(-n, 0)
    input = on_axes(op, input, [*dims, *([-n - 1] if input.axes(-n - 1) else [])])
    channels = mixing(input, -n - 1, groups, op.shape[-n - 1])
    geometry = (kernel, stride, dilation)
    steps = [make(*one_axis) for one_axis in zip(kernel, stride, padding, dilation, strict=True)]
    mixed = groups > 1 and input.mixed(-n - 1)
    result = slide(op, input, dims, steps, geometry, channels)
    dimensions = list(result.dimensions)
    axis = input.dimensions[-n - 1][0].axis
    keep = axis if axis in channels and channels[axis][1] > 1 else None
    dimensions[-n - 1] = (Part(op.shape[-n - 1], keep, mixed and keep is None),)
    result = Feature(result.grid, tuple(dimensions))
    fixed = isinstance(weight, Tensor) and not weight.is_meta
    if fixed and not isinstance(weight, torch.nn.Parameter):  # weight * mask
        taps = (weight != 0).flatten(0, 1).any(0)
    else:
        taps = None
    if taps is not None and taps.any() and not taps.all():
        result = replace(
            result, grid=holed(result.grid, [d + len(op.shape) for d in dims], result, taps.numpy())
        )
    return result


def holed(grid: Grid, dims, result: Feature, taps: np.ndarray) -> Grid:
    """A convolution's `grid`, looking at `taps` only, a mask of the kernel's shape."""
    axes = [axis_along(result, d) for d in dims]
    ((source, ways),) = grid.links

    links = []
    for row in np.argwhere(taps.any(axis=-1)):  # a link for each line along the last axis
        looks = list(ways)
        for axis, chosen in zip(axes, [*([at] for at in row), taps[tuple(row)]], strict=True):
            step = ways[axis].step
            index = np.flatnonzero(chosen) if chosen is taps[tuple(row)] else np.array(chosen)
            looks[axis] = ways[axis]._replace(
                step=Step(partial(taps_chosen, step=step, index=index), step.border)
            )
        links.append((source, tuple(looks)))
    return Grid(grid.units, tuple(links), grid.geometry, grid.loose)


def taps_chosen(outputs: np.ndarray, step: Step, index: np.ndarray) -> np.ndarray:
    return step.taps(outputs)[..., index]


def mixing(input: Feature, dim: int, groups: int, outputs: int) -> Steps:
    """How output channels look along the axis that the channels hold, if they hold one."""
    if not input.axes(dim):
        return {}
    axis, channels = axis_along(input, dim), input.shape[dim]
    if groups == 1:
        return {axis: (all_units(channels), 1)}
    listed = np.arange(channels).reshape(groups, -1).repeat(outputs // groups, axis=0)
    return {axis: (table(listed), outputs)}


def conv_transpose(
    op, input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """Source: "Shape" of torch.nn.ConvTranspose2d."""
    return conv(op, input, weight, bias, stride, padding, dilation, groups, transposed=True)


def convolution(
    op, input, weight, bias, stride, padding, dilation, transposed, output_padding, groups, *rest
):
    """Source: aten::convolution in PyTorch's native_functions.yaml."""
    return conv(op, input, weight, bias, stride, padding, dilation, groups, transposed=transposed)


def window_count(op: Operation) -> int:
    """How many dimensions an operation's name says: 2 for max_pool2d."""
    return int(
        next(part[-2] for part in op.name.split("_") if part.endswith("d") and len(part) > 1)
    )


def pool(op, input, kernel_size, stride=None, padding=0, dilation=1, *options, **more):
    """Source: "Shape" of torch.nn.MaxPool2d; AvgPool2d has no dilation."""
    n = window_count(op)
    dilation = 1 if "max" not in op.name else dilation
    stride = stride if isinstance(stride, int) else stride or kernel_size
    settings = [as_tuple(value, n) for value in (kernel_size, stride, padding, dilation)]
    geometry = (settings[0], settings[1], settings[3])
    steps = [window(*one_axis) for one_axis in zip(*settings, strict=True)]
    return (slide(op, input, range(-n, 0), steps, geometry),) * len(op.shapes)


def lp_pool(op, input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """Source: torch.nn.functional.lp_pool2d."""
    return pool(op, input, kernel_size, stride)


def max_unpool(op, input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Each unit may go to any place of its window.  Source: torch.nn.MaxUnpool2d."""
    n = window_count(op)
    settings = [as_tuple(v, n) for v in (kernel_size, stride or kernel_size, padding, 1)]
    steps = [transposed_window(*one_axis) for one_axis in zip(*settings, strict=True)]
    inputs = [slide(op, feature, range(-n, 0), steps) for feature in features((input, indices))]
    return join(op, inputs)


def adaptive_pool(op, input, output_size, return_indices=False):
    """Source: start_index and end_index in PyTorch's aten/src/ATen/native/AdaptivePooling.h."""
    n = window_count(op)
    steps = list(map(blocks, input.shape[-n:], op.shape[-n:]))
    return (slide(op, input, range(-n, 0), steps),) * len(op.shapes)


def interpolate(
    op, input, size=None, scale_factor=None, mode="nearest", align_corners=None,
    recompute_scale_factor=None, antialias=False,
):  # fmt: skip
    """Source: torch.nn.Upsample; indices in PyTorch's aten/src/ATen/native/UpSample.h."""
    n = len(input.shape) - 2
    resize = antialiased if antialias else interpolated
    linear = partial(resize, corners=bool(align_corners), kernel=2)
    modes = {
        "nearest": partial(nearest, exact=False),
        "nearest-exact": partial(nearest, exact=True),
        **dict.fromkeys(["linear", "bilinear", "trilinear"], linear),
        "bicubic": partial(resize, corners=bool(align_corners), kernel=4),
        "area": lambda units, count, scale: blocks(units, count),
    }
    if mode not in modes:
        raise op.unsupported(f"has no rule for mode {mode!r}")
    factors = as_tuple(None if recompute_scale_factor else scale_factor, n)
    steps = map(modes[mode], input.shape[-n:], op.shape[-n:], factors)
    return slide(op, input, range(-n, 0), steps)


def pixel_shuffle(op, input, upscale_factor):
    """Source: torch.nn.PixelShuffle. Channels become neighbours."""
    r, shape = upscale_factor, input.shape
    lead, (c, h, w) = shape[:-3], shape[-3:]
    n = len(lead)
    torn = reshape(op, input, shape=(*lead, c // r**2, r, r, h, w))
    moved = permute(op, torn, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return reshape(op, moved)


def pixel_unshuffle(op, input, downscale_factor):
    """Source: torch.nn.PixelUnshuffle. Neighbours become channels."""
    r, shape = downscale_factor, input.shape
    lead, (c, h, w) = shape[:-3], shape[-3:]
    n = len(lead)
    torn = reshape(op, input, shape=(*lead, c, h // r, r, w // r, r))
    moved = permute(op, torn, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return reshape(op, moved)


def pad(op, input, pad, mode="constant", value=None):
    """Source: torch.nn.functional.pad: pairs (before, after), the last dimension first."""
    count = len(input.shape)
    before = {
        count - 1 - n: (low, high)
        for n, (low, high) in enumerate(zip(pad[::2], pad[1::2], strict=True))
    }
    held = [d for d, sides in before.items() if any(sides)]  # what is added sees nothing
    input = on_axes(op, input, held)
    steps, dimensions = {}, list(carry(op, input, range(count)))
    for d in held:
        axis = input.dimensions[d][0].axis
        steps[axis] = (window(padding=before[d][0], border=mode), op.shape[d])
        dimensions[d] = (Part(op.shape[d], axis),)
    return derive(input, tuple(dimensions), steps)


def unfold(op, input, kernel_size, dilation=1, padding=0, stride=1):
    """Windows laid out: (N, channels * taps, windows).  Source: torch.nn.Unfold."""
    if op.function in (Tensor.unfold, torch.ops.aten.unfold.default):
        return sliding_windows(op, input, kernel_size, dilation, padding)
    settings = [as_tuple(v) for v in (kernel_size, stride, padding, dilation)]
    counts = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(input.shape[-2:], *settings, strict=True)
    ]
    input = windows(op, input, [-2, -1], *settings, counts)  # (N, C, rows, columns, k, k)
    return reshape(op, permute(op, input, (0, 1, 4, 5, 2, 3)))


def windows(op, input, dims, kernel, stride, padding, dilation, counts) -> Feature:
    """`input`, each of `dims` being the windows along it, with taps behind: (..., k, k)."""
    n = len(input.shape)
    dims = [d % n for d in dims]
    input = on_axes(op, input, dims)
    units, dimensions = list(input.grid.units), list(input.dimensions)
    ways = [Look(SAME, ((axis, 1),)) for axis in range(len(units))]
    for d, k, s, p, gap, count in zip(dims, kernel, stride, padding, dilation, counts, strict=True):
        axis = input.dimensions[d][0].axis
        units[axis] = count
        ways[axis] = Look(window(padding=p), ((axis, s), (len(units), gap)))
        dimensions[d] = (Part(count, axis),)
        dimensions.append((Part(k, len(units)),))
        units.append(k)
    return Feature(Grid(tuple(units), ((input.grid, tuple(ways)),)), tuple(dimensions))


def sliding_windows(op, input, dimension, size, step) -> Feature:
    """Source: torch.Tensor.unfold: windows along one dimension, their taps behind all others."""
    count = op.shape[dimension % len(input.shape)] if len(input.shape) else 1
    return windows(op, input, [dimension], [size], [step], [0], [1], [count])


def fold(op, input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Windows added up where they overlap.  Source: torch.nn.Fold."""
    kernel, stride, padding, dilation = map(as_tuple, (kernel_size, stride, padding, dilation))
    sizes = op.shape[-2:]
    counts = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True)
    ]
    shape = (
        (input.shape[0], -1, *kernel, *counts) if len(input.shape) == 3 else (-1, *kernel, *counts)
    )
    channels = math.prod(input.shape) // math.prod([*kernel, *counts])
    if len(input.shape) == 3:
        channels //= input.shape[0]
    shape = tuple(channels if size == -1 else size for size in shape)
    torn = reshape(op, input, shape=shape)
    n = len(shape)
    moved = permute(op, torn, (*range(n - 4), n - 4, n - 2, n - 3, n - 1))
    merged = reshape(op, moved, shape=(*shape[:-4], kernel[0] * counts[0], kernel[1] * counts[1]))
    steps = []
    for size, k, s, p, d, count in zip(
        sizes, kernel, stride, padding, dilation, counts, strict=True
    ):
        windows_of = np.arange(size)[:, None] + p - np.arange(k) * d
        fits = (windows_of % s == 0) & (windows_of >= 0) & (windows_of // s < count)
        steps.append(table(np.where(fits, np.arange(k) * count + windows_of // s, ABSENT)))
    return slide(op, merged, [-2, -1], steps)


def grid_sample(op, input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """A place of `grid` reads the 4 units around it (16 if bicubic); if it is of the image, any.

    Source: torch.nn.functional.grid_sample; aten/src/ATen/native/GridSampler.h.
    """
    if isinstance(grid, Feature):
        anywhere = [(input, (0, 1, None, None))] if isinstance(input, Feature) else []
        return combine(op, [*anywhere, (grid, (0, 2, 3, None))])
    if len(input.shape) != 4 or padding_mode != "zeros" or not known(grid) or mode == "bicubic":
        wide = collapse(op, input, [-2, -1], [0, 1, None, None][: len(op.shape)])
        loose = op.loose("may read any unit")
        return replace(wide, grid=Grid(wide.grid.units, straight(wide), None, loose))
    input = on_axes(op, input, [-2, -1])
    height, width = op.shape[-2:]
    units, ways = [], []
    loose = None if len(grid) == 1 else op.loose("samples each image at other places")
    own = {input.dimensions[d][0].axis: d for d in (-2, -1)}
    others = [axis for axis in range(len(input.grid.units)) if axis not in own]
    units = [*(input.grid.units[axis] for axis in others), height, width]
    renamed = {axis: n for n, axis in enumerate(others)}
    last = ((len(others), width), (len(others) + 1, 1))
    for axis, size in enumerate(input.grid.units):
        if axis not in own:
            ways.append(Look(SAME, ((renamed[axis], 1),)))
            continue
        at = grid[0, ..., 0 if own[axis] == -1 else 1].double().flatten()
        place = (at + 1) * (size - 1) / 2 if align_corners else ((at + 1) * size - 1) / 2
        rounded = place.round()  # what rounding has moved off a unit weighs next to nothing
        place = torch.where((place - rounded).abs() < 1e-4, rounded, place)
        if mode == "nearest":
            taps = place.round()[:, None]
        else:
            taps = torch.stack([place.floor(), place.floor() + 1], 1)
            hit = place == place.floor()
            taps[hit, 1] = -1
        listed = taps.clamp(-1, size).long().numpy()
        listed = np.where((listed < 0) | (listed >= size), ABSENT, listed)
        ways.append(Look(table(listed), last))
    dimensions = [
        tuple(p if p.axis is None else p._replace(axis=renamed[p.axis]) for p in parts)
        for parts in input.dimensions[:2]
    ]
    dimensions += [(Part(height, len(others)),), (Part(width, len(others) + 1),)]
    return Feature(Grid(tuple(units), ((input.grid, tuple(ways)),), None, loose), tuple(dimensions))
