"""Where the units of each PyTorch operation look: one rule per operation, in one table, `RULES`.

Lesson: Receptive fields.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch

from cifarlab.receptive_field._taps import (
    AXES,
    HEIGHT,
    WIDTH,
    Grid,
    Step,
    blocks,
    interpolated,
    nearest,
    spread,
    transposed_window,
    whole,
    window,
)


class Unsupported(ValueError):
    """An operation without an exact rule: which, in which module, and what there is instead."""


# ------------------------------------------------------------- tensors, as the rules see them


class Part(NamedTuple):
    """A factor of a tensor's dimension: `size` elements, along image axis `axis` if not None."""

    size: int
    axis: int | None = None


@dataclass(frozen=True)
class Feature:
    """A tensor as the rules see it: its grid, and which dimensions hold height and width.

    A dimension is a tuple of parts, for after `flatten` one holds both axes. An axis of one unit,
    or broadcast, is held by none.
    """

    grid: Grid
    dimensions: tuple[tuple[Part, ...], ...]

    @property
    def shape(self) -> torch.Size:
        """Shape of the tensor."""
        return torch.Size(math.prod(part.size for part in parts) for parts in self.dimensions)

    def axes(self, dimension: int) -> set[int]:
        """Image axes within `dimension`."""
        return {part.axis for part in self.dimensions[dimension]} - {None}

    def holder(self, axis: int) -> int | None:
        """The dimension that holds `axis`, counted from the end: -1 is the last."""
        count = len(self.dimensions)
        return next((d for d in range(-count, 0) if axis in self.axes(d)), None)


def plain(shape: torch.Size, axes: bool = True) -> tuple[tuple[Part, ...], ...]:
    """Dimensions of `shape`, the last two being height and width unless `axes` is False."""
    held = {len(shape) - 2: HEIGHT, len(shape) - 1: WIDTH} if axes else {}
    return tuple((Part(size, held.get(d) if size > 1 else None),) for d, size in enumerate(shape))


class Operation(NamedTuple):
    """What a rule may know besides the arguments; `shapes` are those of the results."""

    name: str
    where: str
    shapes: list[torch.Size]
    through_gates: bool

    @property
    def shape(self) -> torch.Size:
        """Shape of the first result."""
        return self.shapes[0]

    def unsupported(self, why: str) -> Unsupported:
        """The error to raise."""
        known = ", ".join(sorted(set(RULES) - set(ELEMENTWISE.split())))
        return Unsupported(
            f"{self.name} in {self.where} {why}. There are rules for: {known}; "
            "and for elementwise functions such as relu."
        )


# ---------------------------------------------------------------------- what the rules share

Steps = dict[int, tuple[Step, int]]  # for an axis: where it looks, and its number of units


def pair(value: int | Iterable[int]) -> tuple[int, int]:
    """(y, x) of a number that may stand for both."""
    values = tuple(value) if isinstance(value, Iterable) else (value,)
    return values * 2 if len(values) == 1 else values


def features(values: Any) -> Iterator[Feature]:
    """All features in nested arguments."""
    if isinstance(values, Feature):
        yield values
    elif isinstance(values, tuple | list | dict):
        for value in values.values() if isinstance(values, dict) else values:
            yield from features(value)


def derive(input: Feature, dimensions, steps: Steps, geometry=None) -> Feature:
    """`input`, its axes in `steps` looking elsewhere, the others as they were."""
    if not steps:
        return Feature(input.grid, dimensions)
    both = [steps.get(axis, (window(), input.grid.units[axis])) for axis in AXES]
    links = ((input.grid, tuple(step for step, _ in both)),)
    return Feature(Grid(tuple(units for _, units in both), links, geometry), dimensions)


def unfold(input: Feature) -> Feature:
    """`input`; if its last two dimensions share out a single unit, each place becomes one."""
    dimensions, steps = list(input.dimensions), {}
    for axis in AXES:
        size = input.shape[axis - 2]
        if size > 1 and input.holder(axis) is None and not input.axes(axis - 2):
            steps[axis] = (spread(), size)
            dimensions[axis - 2] = (Part(size, axis),)
    return derive(input, tuple(dimensions), steps)


def resample(op: Operation, input: Feature, steps: Iterable[Step], geometry=None) -> Feature:
    """Looks along height and width, which must be the last two dimensions, with a step each."""
    input, sized = unfold(input), {}
    for axis, name, step in zip(AXES, ("height", "width"), steps, strict=True):
        units = input.grid.units[axis]
        if units != input.shape[axis - 2] or input.axes(axis - 2) != (
            {axis} if units > 1 else set()
        ):
            raise op.unsupported(f"takes dimension {axis - 2} to be the {name}, which it is not")
        sized[axis] = (step, op.shape[axis - 2])
    return derive(input, plain(op.shape), sized, geometry)


def slide(op: Operation, input: Feature, kernel, stride, padding, dilation=1, make=window):
    """A window of these numbers, each for both axes or a pair, over height and width."""
    numbers = [pair(value) for value in (kernel, stride, padding, dilation)]
    geometry = (numbers[0], numbers[1], numbers[3])
    return resample(op, input, [make(*each) for each in zip(*numbers, strict=True)], geometry)


def carry(op: Operation, input: Feature, sources: Iterable[int | None]):
    """Dimensions of the result; each comes from one of `input`'s, or (None) holds no axis."""
    dimensions = []
    for size, source in zip(op.shape, sources, strict=True):
        parts = () if source is None or size == 1 else input.dimensions[source]
        if math.prod(part.size for part in parts) != size:
            if len(parts) > 1:
                raise op.unsupported("resizes a dimension that holds more than one axis")
            parts = (Part(size, parts[0].axis if parts else None),)
        dimensions.append(parts)
    return tuple(dimensions)


def collapse(op: Operation, input: Feature, dims: Iterable[int], sources) -> Feature:
    """Whatever `dims` hold becomes one unit, which sees all of it."""
    axes = set().union(*(input.axes(d) for d in dims))
    steps = {axis: (whole(input.grid.units[axis]), 1) for axis in axes}
    return derive(input, carry(op, input, sources), steps)


def along(input: Feature, dims: Iterable[int]) -> Feature:
    """Each unit sees all that `dims` hold, as in a softmax."""
    axes = set().union(*(input.axes(d) for d in dims))
    units = input.grid.units
    return derive(input, input.dimensions, {a: (whole(units[a]), units[a]) for a in axes})


def mix(op: Operation, *values, **more) -> tuple[Feature, ...]:
    """One unit, which sees what all units of all inputs see, in each result."""
    inputs = features((values, more))
    links = tuple((each.grid, tuple(map(whole, each.grid.units))) for each in inputs)
    grid = Grid((1, 1), links)
    return tuple(Feature(grid, plain(shape, axes=False)) for shape in op.shapes)


# ------------------------------------------------------------------------------------- rules
# Each takes the arguments of the PyTorch function it is for, with Features in place of tensors.


def join(op, *values, **more):
    """All inputs, element by element.  Source: "Broadcasting semantics" of PyTorch."""
    inputs = list(features((values, more)))
    units = tuple(max(each.grid.units[axis] for each in inputs) for axis in AXES)
    dimensions, placed = [], []
    for d in range(-len(op.shape), 0):
        held = {f.dimensions[d] for f in inputs if -d <= len(f.shape) and f.axes(d)}
        placed += {part.axis for parts in held for part in parts} - {None}
        dimensions.append(held.pop() if held else (Part(op.shape[d]),))
        if held or len(placed) > len(set(placed)):
            raise op.unsupported("meets height or width in different dimensions of its inputs")
    if len(inputs) == 1:
        return Feature(inputs[0].grid, tuple(dimensions))
    links = tuple(
        (f.grid, tuple(window() if f.grid.units[a] == units[a] else spread() for a in AXES))
        for f in inputs
    )
    return Feature(Grid(units, links), tuple(dimensions))


def multiply(op, *factors, **more):
    """A product; `through_gates` leaves out what is broadcast along height or width.

    Source: the gate of Hu et al. 2018, "Squeeze-and-Excitation Networks", arXiv:1709.01507.
    """
    inputs = list(features((factors, more)))
    units = tuple(max(each.grid.units[axis] for each in inputs) for axis in AXES)
    gated = [each for each in inputs if each.grid.units == units]
    return join(op, gated if op.through_gates and gated else inputs)


def first(op, input, *others, **more):
    """What only takes a shape or type from `others`.  Source: torch.Tensor.expand_as, type_as."""
    return join(op, input)


def conv2d(op, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Source: "Shape" of torch.nn.Conv2d; where "same" is odd, the greater half comes behind."""
    kernel = weight.shape[2:]
    if padding == "same":
        padding = [d * (k - 1) // 2 for k, d in zip(kernel, pair(dilation), strict=True)]
    return slide(op, input, kernel, stride, 0 if padding == "valid" else padding, dilation)


def conv_transpose2d(
    op, input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """Source: "Shape" of torch.nn.ConvTranspose2d."""
    return slide(op, input, weight.shape[2:], stride, padding, dilation, transposed_window)


def max_pool2d(op, input, kernel_size, stride=None, padding=0, dilation=1, *options, **more):
    """Source: "Shape" of torch.nn.MaxPool2d."""
    pooled = slide(op, input, kernel_size, stride or kernel_size, padding, dilation)
    return (pooled,) * len(op.shapes)


def avg_pool2d(op, input, kernel_size, stride=None, padding=0, *options, **more):
    """Source: "Shape" of torch.nn.AvgPool2d."""
    return slide(op, input, kernel_size, stride or kernel_size, padding)


def adaptive_pool2d(op, input, output_size, return_indices=False):
    """Source: start_index and end_index in PyTorch's aten/src/ATen/native/AdaptivePooling.h."""
    pooled = resample(op, input, map(blocks, input.shape[-2:], op.shape[-2:]))
    return (pooled,) * len(op.shapes)


def interpolate(
    op, input, size=None, scale_factor=None, mode="nearest", align_corners=None,
    recompute_scale_factor=None, antialias=False,
):  # fmt: skip
    """Source: torch.nn.Upsample; indices in PyTorch's aten/src/ATen/native/UpSample.h."""
    modes = {
        "nearest": partial(nearest, exact=False),
        "nearest-exact": partial(nearest, exact=True),
        "bilinear": partial(interpolated, corners=bool(align_corners), kernel=2),
        "bicubic": partial(interpolated, corners=bool(align_corners), kernel=4),
        "area": lambda units, count, scale: blocks(units, count),
    }
    if mode not in modes or antialias:
        raise op.unsupported(f"has no rule for mode {mode!r} with antialias={antialias}")
    given = None if recompute_scale_factor else scale_factor
    return resample(op, input, map(modes[mode], input.shape[-2:], op.shape[-2:], pair(given)))


def pixel_shuffle(op, input, upscale_factor):
    """Source: torch.nn.PixelShuffle. Channels become neighbours."""
    return resample(op, input, [Step(lambda outputs: outputs[:, None] // upscale_factor)] * 2)


def pixel_unshuffle(op, input, downscale_factor):
    """Source: torch.nn.PixelUnshuffle. Neighbours become channels."""
    return slide(op, input, downscale_factor, downscale_factor, 0)


def pad(op, input, pad, mode="constant", value=None):
    """Source: torch.nn.functional.pad: pairs (before, after), the last dimension first."""
    before = dict(zip(range(-1, -5, -1), pad[::2], strict=False))
    if len(input.shape) == 4 and all(input.holder(a) in (None, a - 2) for a in AXES):
        return resample(
            op, input, [window(padding=before.get(a - 2, 0), border=mode) for a in AXES]
        )
    steps = {
        axis: (window(padding=padding, border=mode), op.shape[d])
        for d, padding in before.items()
        for axis in input.axes(d)
    }
    return derive(input, carry(op, input, range(len(op.shape))), steps)


def getitem(op, input, index):
    """Source: NumPy's basic indexing: slices, whole numbers, None and the ellipsis."""
    index = index if isinstance(index, tuple) else (index,)
    if not all(item is None or isinstance(item, int | slice | type(...)) for item in index):
        raise op.unsupported("has rules for slices, whole numbers, None and ... only")
    missing = [slice(None)] * (len(input.shape) - sum(item not in (None, ...) for item in index))
    at = index.index(...) if ... in index else len(index)
    steps, sources, dimension = {}, [], 0
    for item in (*index[:at], *missing, *index[at + 1 :]):
        if item is None:
            sources.append(None)
            continue
        size = input.shape[dimension]
        first, end, stride = (
            item.indices(size) if isinstance(item, slice) else (item % size, item % size + 1, 1)
        )
        count = len(range(first, end, stride))
        for axis in input.axes(dimension) if count < size else ():
            steps[axis] = (window(stride=stride, padding=-first), count)
        if len(input.dimensions[dimension]) > 1 and count < size:
            raise op.unsupported("cuts a dimension that holds more than one axis")
        if isinstance(item, slice):
            sources.append(dimension)
        dimension += 1
    return derive(input, carry(op, input, sources), steps)


def chunk(op, input, amount=None, dim=0, **more):
    """Source: torch.chunk and torch.split."""
    if input.axes(dim):
        raise op.unsupported("cuts along height or width; slice instead")
    pieces = [op._replace(shapes=[shape]) for shape in op.shapes]
    return tuple(Feature(input.grid, carry(p, input, range(len(p.shape)))) for p in pieces)


def cat(op, tensors, dim=0):
    """Source: torch.cat. Flattened maps become one unit, which sees what all of them see."""
    if not any(each.axes(dim) for each in features(tensors)):
        return join(op, tensors)
    if len(op.shape) > 2:
        raise op.unsupported("puts maps side by side along height or width")
    return mix(op, tensors)


def reshape(op, input, *sizes, **more):
    """Source: torch.Tensor.view: elements keep their order. Height and width must stay whole."""
    parts = [Part(1)]
    for part in (part for dimension in input.dimensions for part in dimension):
        if part.axis is None and parts[-1].axis is None:
            parts[-1] = Part(parts[-1].size * part.size)
        else:
            parts.append(part)
    dimensions = []
    for size in op.shape:
        held = []
        while size > 1:
            part = parts.pop(0)
            if part.axis is None and part.size > size and part.size % size == 0:
                parts.insert(0, Part(part.size // size))
                part = Part(size)
            if size % part.size:
                raise op.unsupported(f"to {tuple(op.shape)} tears height or width apart")
            size //= part.size
            held += [part] if part.size > 1 else []
        dimensions.append(tuple(held))
    return Feature(input.grid, tuple(dimensions))


def permute(op, input, *order, dims=None):
    """Source: torch.permute, with the order as one tuple or as numbers."""
    order = dims or (order[0] if isinstance(order[0], tuple | list) else order)
    return Feature(input.grid, tuple(input.dimensions[d] for d in order))


def transpose(op, input, dim0, dim1):
    """Source: torch.transpose."""
    order = list(range(len(input.shape)))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return permute(op, input, order)


def reduce(op, input, dim=None, *options, **more):
    """Source: "Reduction Ops" of PyTorch; without `dim`, all. max and min also take two tensors."""
    if isinstance(dim, Feature | torch.Tensor):
        return join(op, input, dim)
    count = len(input.shape)
    dims = {d % count for d in ([dim] if isinstance(dim, int) else dim or range(count))}
    kept = [d for d in range(count) if len(op.shape) == count or d not in dims]
    return (collapse(op, input, dims, kept),) * len(op.shapes)


def linear(op, input, weight, bias=None):
    """Source: torch.nn.Linear: each output looks along the whole last dimension."""
    return collapse(op, input, [-1], [*range(len(input.shape) - 1), None])


def matmul(op, left, right):
    """A row times a column; where both are of the image, taken to be attention's scores or sums.

    Source: torch.matmul; Wang et al. 2018, "Non-local Neural Networks", arXiv:1711.07971.
    """
    if isinstance(right, Feature):
        return attention(op, left, right, None)
    return linear(op, left, right)


def softmax(op, input, dim=None, *options, **more):
    """Source: torch.nn.functional.softmax, which guesses a missing `dim` from the shape."""
    return along(input, [(0 if len(input.shape) in (0, 1, 3) else 1) if dim is None else dim])


def layer_norm(op, input, normalized_shape, *options, **more):
    """Source: torch.nn.LayerNorm: along the last dimensions, which seldom hold height or width."""
    return input if op.through_gates else along(input, range(-len(normalized_shape), 0))


def map_norm(op, input, *options, **more):
    """Divided by the deviation of the whole map: a gate too.

    Source: Wu and He 2018, "Group Normalization", section 3.1, arXiv:1803.08494.
    """
    return input if op.through_gates else along(input, range(len(input.shape)))


def batch_norm(
    op, input, running_mean, running_var, weight=None, bias=None, training=False, *options, **more
):
    """Source: torch.nn.BatchNorm2d: pointwise where the statistics are known beforehand."""
    return map_norm(op, input) if training else input


def attention(op, query, key, value, *options, **more):
    """Every position looks at every other.  Source: Vaswani et al. 2017, arXiv:1706.03762."""
    positions = {
        "scaled_dot_product_attention": {-2},
        "multi_head_attention_forward": {-len(query.shape)},  # (positions, images, channels)
    }.get(op.name, {-1, -2})
    inputs = list(features((query, key, value, more)))
    if any(f.axes(d) for f in inputs for d in {*range(-len(f.shape), 0)} - positions):
        raise op.unsupported("attends within a part of the map only")
    return mix(op, inputs)


# --------------------------------------------------------------------------------- the table

ELEMENTWISE = """
    abs add addcdiv addcmul alpha_dropout ceil celu channel_shuffle clamp clamp_max clamp_min clip
    clone contiguous cos data detach div divide double dropout dropout1d dropout2d elu eq erf exp
    expm1 feature_alpha_dropout float floor floor_divide ge gelu gt half hardshrink
    hardsigmoid hardswish hardtanh le leaky_relu lerp local_response_norm log log1p logical_and
    log_sigmoid logical_not logical_or lt masked_fill maximum minimum mish ne neg negative pow prelu
    rdiv reciprocal relu relu6 round rpow rrelu rsqrt rsub selu sigmoid sign silu sin softplus
    softshrink softsign sqrt square sub subtract tan tanh tanhshrink threshold true_divide where
"""
REDUCTIONS = "all amax amin any logsumexp max mean min prod std sum var"
RESHAPES = "flatten reshape squeeze unflatten unsqueeze view view_as"
RULES: dict[str, Callable] = {
    "conv2d": conv2d,
    "conv_transpose2d": conv_transpose2d,
    "max_pool2d": max_pool2d,
    "max_pool2d_with_indices": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "adaptive_avg_pool2d": adaptive_pool2d,
    "adaptive_max_pool2d": adaptive_pool2d,
    "adaptive_max_pool2d_with_indices": adaptive_pool2d,
    "interpolate": interpolate,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "pad": pad,
    "getitem": getitem,
    "chunk": chunk,
    "split": chunk,
    "cat": cat,
    "permute": permute,
    "transpose": transpose,
    "mul": multiply,
    "multiply": multiply,
    "linear": linear,
    "matmul": matmul,
    "bmm": matmul,
    "softmax": softmax,
    "log_softmax": softmax,
    "softmin": softmax,
    "batch_norm": batch_norm,
    "group_norm": map_norm,
    "instance_norm": map_norm,
    "layer_norm": layer_norm,
    "scaled_dot_product_attention": attention,
    "multi_head_attention_forward": attention,
    **dict.fromkeys(REDUCTIONS.split(), reduce),
    **dict.fromkeys(RESHAPES.split(), reshape),
    **dict.fromkeys(["expand", "expand_as", "to", "type", "type_as"], first),
    **dict.fromkeys(ELEMENTWISE.split(), join),
}
CONSTANTS = "empty_like full_like new_full new_ones new_zeros ones_like zeros_like"
MANY = {mix, join, multiply, first, cat, reshape, reduce, matmul, attention}  # take several


def apply(op: Operation, args: tuple, kwargs: dict[str, Any]) -> tuple[Feature, ...]:
    """The features of an operation's results, by its rule.

    Raises: Unsupported if there is none.
    """
    inputs = list(features((args, kwargs)))
    vectors = all(each.grid.units == (1, 1) for each in inputs)  # which any function only mixes
    rule = RULES.get(op.name, mix if vectors else None)
    if rule is None:
        raise op.unsupported("has no rule")
    if rule not in MANY and inputs != [kwargs.get("input", args[0] if args else None)]:
        raise op.unsupported("has weights or settings that depend on the image")
    result = rule(op, *args, **kwargs)
    return result if isinstance(result, tuple) else (result,)
