"""How far can one unit see?  Exact receptive fields of networks of images, in whole numbers.

`analyze` runs a network once on tensors without data, asks the table in `rules` where the units of
each operation look, and follows these steps home to the image: per axis, a first and a last pixel
for every unit. It never sums a branch up as (size, stride, start), for that goes wrong where
branches meet: two that are 3 pixels wide, but look past each other, may see 7 together.

Lesson: Receptive fields.
"""

import copy
import difflib
import html
import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx.node import map_aggregate  # applies a function inside tuples, lists and dicts
from torch.overrides import TorchFunctionMode

from cifarlab import _arguments as arguments
from cifarlab.receptive_field import _rules as rules
from cifarlab.receptive_field._rules import Feature, Unsupported
from cifarlab.receptive_field._taps import AXES, Grid, Spans, follow, gather

Pair = tuple[int | None, int | None]  # (y, x); None where the units of a map differ


def analyze(
    module: nn.Module,
    size: tuple[int, int],
    *,
    channels: int | None = None,
    through_gates: bool = False,
) -> "Analysis":
    """Where every unit of every feature map of `module` looks, on an image of `size` (H, W).

    `channels` of the image, if not given, are those that a convolution in it takes. `through_gates`
    looks through what a whole map is scaled by (squeeze-and-excitation, layer and group norm), as
    if it were constant; without it such units see everything. The module counts as in evaluation,
    and stays as it is.

    >>> stem, dilated = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, dilation=2)
    >>> analyze(nn.Sequential(stem, dilated), (32, 32)).output
    Field(units=(12, 12), size=(11, 11), stride=(2, 2), start=(-1, -1))

    Raises: ValueError if the network cannot run on such an image, or computes with the values of
    pixels; Unsupported, a ValueError, for an operation without a rule in `rules`.
    Lesson: Receptive fields.
    """
    arguments.instance("module", module, nn.Module)
    size = arguments.pair("size", size, 1, 10_000)
    if channels is not None:
        arguments.whole("channels", channels, 1, 1_000_000)
    failure = None
    taken = [getattr(part, "in_channels", None) for part in module.modules()]
    # A module may list its layers in another order than it runs them: try all, the first first.
    for guess in dict.fromkeys([channels] if channels else [*filter(None, taken), 3]):
        try:
            return record(module, size, guess, through_gates)
        except Unsupported:
            raise
        except ValueError as error:
            failure = failure or error
    raise failure


# --------------------------------------------------------------------------------- recording


def without_data(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode, whose parameters and buffers have shapes but no numbers."""
    shapes: dict[int, Tensor] = {}
    for parameter in module.parameters():
        shape = torch.empty_like(parameter, device="meta")
        shapes[id(parameter)] = nn.Parameter(shape, requires_grad=False)
    for buffer in module.buffers():
        shapes[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, shapes).eval()  # deepcopy takes `shapes` for copies made before


def flatten(values: Any) -> list:
    """What lies in nested tuples, lists and dicts."""
    found: list = []
    map_aggregate(values, found.append)
    return found


def record(
    module: nn.Module, size: tuple[int, int], channels: int, through_gates: bool
) -> "Analysis":
    """`analyze` once the number of channels is known."""
    recorder = Recorder(Grid(size), through_gates)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            network = without_data(module)
            dtypes = (each.dtype for each in network.parameters() if each.is_floating_point())
            dtype = next(dtypes, torch.float32)
            image = torch.empty(1, channels, *size, dtype=dtype, device="meta")
            image = image.requires_grad_().clone()  # unlike its source, a clone may be written to
            recorder.attach(image, Feature(*recorder.grids, rules.plain(image.shape)))
            recorder.watch(network)
            with recorder:
                output = network(image)
        if not any(isinstance(each, Feature) for each in flatten(recorder.calls[""])):
            raise ValueError(f"the output is {type(output).__name__} and shows no map of the image")
    except Unsupported:
        raise
    except Exception as error:
        # "meta" is PyTorch's word for tensors without data.
        hint = " A field is fixed only where nothing is decided by the values of pixels."
        raise ValueError(
            f"{type(module).__name__} cannot be analysed on {size[0]} x {size[1]} pixels of "
            f"{channels} channels. In {recorder.where()}: {str(error).rstrip('.')}."
            f"{hint if 'meta' in str(error) else ''}"
        ) from error
    return Analysis(size, list(recorder.grids), recorder.labels, recorder.calls)


class Recorder(TorchFunctionMode):
    """While active, gives every tensor that depends on the image its `Feature`."""

    def __init__(self, image: Grid, through_gates: bool) -> None:
        super().__init__()
        self.through_gates = through_gates
        self.grids = {image: None}  # a dict for its order: inputs before outputs
        self.labels: dict[Grid, str] = {}  # of the grids that the table shows
        self.calls: dict[str, Any] = {}  # what each call of a module gave
        self.counts: Counter[str] = Counter()
        self.running: list[tuple[str, nn.Module]] = []  # the innermost module last

    def watch(self, network: nn.Module) -> None:
        """Note which module runs, and what it gives."""

        def enter(name: str, module: nn.Module) -> None:
            self.counts[name] += 1
            count = self.counts[name]
            self.running.append((name if count == 1 else f"{name}#{count}", module))

        def leave(output: Any) -> None:
            given = map_aggregate(output, self.map)
            name, module = self.running.pop()
            self.calls[name] = given
            if is_layer(module) and isinstance(given, Feature) and given.grid.links:
                self.labels.setdefault(given.grid, name or type(module).__name__)

        for name, part in network.named_modules():
            part.register_forward_pre_hook(lambda part, _, name=name: enter(name, part))
            part.register_forward_hook(lambda part, _, output: leave(output))

    def map(self, value: Any) -> Any:
        """The feature of what a module gave; maps that are all alike have units, too."""
        feature = self.feature(value)
        if isinstance(feature, Feature) and len(feature.shape) == 4:
            feature = rules.unfold(feature)
            self.add(feature.grid)
        return feature

    def where(self) -> str:
        """The innermost running module, for messages."""
        name, module = self.running[-1] if self.running else ("", None)
        return f"`{name}` ({type(module).__name__})" if name else "the network itself"

    def attach(self, tensor: Tensor, feature: Feature) -> None:
        """Remember what `tensor` is, until something changes it."""
        tensor._feature = feature, tensor._version
        self.add(feature.grid)

    def add(self, grid: Grid) -> None:
        """List `grid` after those it looks at."""
        if grid not in self.grids:
            for source, _ in grid.links:
                self.add(source)
            self.grids[grid] = None

    def feature(self, value: Any) -> Any:
        """The feature of a tensor of the image; anything else comes back as it is."""
        if not isinstance(value, Tensor):
            return value
        feature, version = getattr(value, "_feature", (None, None))
        # Only the image asks for gradients, so what has one without a feature slipped past us.
        lost = feature is None and value.is_meta and value.requires_grad
        if lost or (feature is not None and version != value._version):
            raise Unsupported(
                f"{self.where()} uses a tensor that was changed unseen: through a view of it, in "
                "compiled code or in an extension. Use PyTorch's own functions, out of place."
            )
        return value if feature is None else feature

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Run `function` for its shapes, and its rule for its features."""
        # As in NumPy, PyTorch lets `axis` stand for `dim`; the rules know one name.
        kwargs = {"dim" if key == "axis" else key: value for key, value in (kwargs or {}).items()}
        given, named = map_aggregate((args, kwargs), self.feature)
        inputs = list(rules.features((given, named)))
        if not inputs:
            return function(*args, **kwargs)
        args, kwargs = map_aggregate((args, kwargs), on_meta)
        result = function(*args, **kwargs)
        results = [each for each in flatten(result) if isinstance(each, Tensor)]
        name = function.__name__.split(".")[0].strip("_")  # add for __add__, add_ and add.Tensor
        name = function.__self__.__name__ if name == "get" else name  # an attribute: x.shape
        if name in rules.CONSTANTS.split() or (not results and name != "setitem"):
            return result
        if any(0 in each.shape for each in results):
            raise ValueError(f"{name} leaves nothing: its result is {tuple(results[0].shape)}")
        shapes = [each.shape for each in results]
        operation = rules.Operation(name, self.where(), shapes, self.through_gates)
        outputs = rules.apply(operation, given, named)
        for tensor, feature in zip(results, outputs, strict=True):
            self.attach(tensor, feature)
        if self.running and not is_layer(self.running[-1][1]) and outputs[0].grid.links:
            where = self.running[-1][0]
            self.labels.setdefault(outputs[0].grid, f"{where}: {name}" if where else name)
        return result


def on_meta(value: Any) -> Any:
    """Without data, if a tensor."""
    return value.to("meta") if isinstance(value, Tensor) else value


def is_layer(module: nn.Module) -> bool:
    """Whether PyTorch's own code runs it, so that the table names it rather than what it calls."""
    return type(module).forward.__module__.startswith("torch.nn.modules")


# ------------------------------------------------------------------------------------ results


class Box(NamedTuple):
    """Pixels `top` to `bottom` and `left` to `right`, all included; outside the image: padding."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True, repr=False, eq=False)
class Field:
    """What the units of one feature map see."""

    analysis: "Analysis"
    grid: Grid

    @property
    def units(self) -> tuple[int, int]:
        """Height and width of the feature map."""
        return self.grid.units

    @property
    def size(self) -> Pair:
        """Pixels from the first that a unit sees to the last, both counted."""
        return tuple(self.along(axis)[0] for axis in AXES)

    @property
    def stride(self) -> Pair:
        """Pixels from one unit's field to the next one's; 0 where all see the same."""
        return tuple(self.along(axis)[1] for axis in AXES)

    @property
    def start(self) -> Pair:
        """First pixel of unit 0; that of unit u is start + stride * u."""
        return tuple(self.along(axis)[2] for axis in AXES)

    def along(self, axis: int) -> tuple[int | None, int | None, int | None]:
        """Size, stride and start on one axis, of unclipped fields; None where units differ."""
        if len(self.analysis.nominal[self.grid]) > 1:
            return None, None, None
        begin, first, last = self.analysis.nominal[self.grid][0][axis]
        units = np.arange(max(self.units[axis], 2)) - begin  # of one unit, the next is virtual
        sizes = (last - first + 1)[units[: self.units[axis]]]
        size = int(sizes[0]) if sizes.min() == sizes.max() > 0 else None
        moves = np.append(np.diff(first[units]), np.diff(last[units]))
        if moves.min() < moves.max() or size is None:
            return size, None, None
        return size, int(moves[0]), int(first[units[0]])

    def __repr__(self) -> str:
        return (
            f"Field(units={self.units}, size={self.size}, stride={self.stride}, start={self.start})"
        )

    def check(self, y: int, x: int) -> None:
        """Raises: TypeError or ValueError if there is no unit (y, x)."""
        height, width = self.units
        arguments.whole("y", y, 0, height - 1)
        arguments.whole("x", x, 0, width - 1)

    def box(self, y: int, x: int, *, clipped: bool = False) -> Box | None:
        """First and last pixel that unit (y, x) sees, along each axis; None if it sees nothing.

        As if the image and every map went on for ever, so that a unit at the border has as large a
        field as any other, and part of it lies in the padding. `clipped`: only what it really
        sees, within the image. Circular padding has nothing beyond, so there it sees a whole axis.
        """
        self.check(y, x)
        boxes = []
        for spans in (self.analysis.real if clipped else self.analysis.nominal)[self.grid]:
            first = [int(axis.first[u - axis.begin]) for axis, u in zip(spans, (y, x), strict=True)]
            last = [int(axis.last[u - axis.begin]) for axis, u in zip(spans, (y, x), strict=True)]
            if first[0] <= last[0] and first[1] <= last[1]:
                boxes.append((*first, *last))
        if not boxes:
            return None
        top, left, bottom, right = zip(*boxes, strict=True)
        return Box(min(top), min(left), max(bottom), max(right))

    def taps(self, y: int, x: int) -> np.ndarray:
        """Which pixels unit (y, x) sees: (H, W) bool, with the holes that dilation leaves."""
        return self.walk(y, x, bool)[self.analysis.image]

    def coverage(self, y: int, x: int) -> float:
        """Share, 0 to 1, of the pixels in the clipped box that unit (y, x) sees."""
        box = self.box(y, x, clipped=True)
        if box is None:
            return 0.0
        inside = self.taps(y, x)[box.top : box.bottom + 1, box.left : box.right + 1]
        return float(inside.mean())

    def path_counts(self, y: int, x: int) -> np.ndarray:
        """In how many ways unit (y, x) reaches each pixel: (H, W), whole numbers.

        A way goes from unit to unit; channels do not count. Beyond int64, Python's own integers.
        """
        ways = self.walk(y, x, float)
        if max(each.max() for each in ways.values()) < 2**53:  # so far floats are exact
            return ways[self.analysis.image].astype(np.int64)
        return self.walk(y, x, object)[self.analysis.image]

    def walk(self, y: int, x: int, dtype: type) -> dict[Grid, np.ndarray]:
        """From unit (y, x) back through every grid to the image, adding up where ways meet."""
        self.check(y, x)
        weights = {grid: np.zeros(grid.units, dtype) for grid in (self.analysis.image, self.grid)}
        weights[self.grid][y, x] = 1
        for grid in reversed(self.analysis.grids):
            for source, steps in grid.links if grid in weights else ():
                rows = gather(weights[grid], steps[0], source.units[0])
                found = gather(rows.T, steps[1], source.units[1]).T
                weights[source] = weights[source] + found if source in weights else found
        return weights


class Row(NamedTuple):
    """One layer: its own geometry (if it has a window) and the field of its units."""

    layer: str
    kernel: Pair | None
    stride: Pair | None
    dilation: Pair | None
    size: Pair
    jump: Pair
    start: Pair


class Table(list[Row]):
    """The rows of an analysis; prints as aligned text, and in a notebook as HTML."""

    def cells(self) -> list[list[str]]:
        """Head and rows as text: 3 for (3, 3), 3x1 for (3, 1), - where units differ."""

        def text(value: Pair | None) -> str:
            parts = ["-" if each is None else str(each) for each in value or ("",)]
            return parts[0] if len(set(parts)) == 1 else "x".join(parts)

        return [list(Row._fields), *([row.layer, *map(text, row[1:])] for row in self)]

    def __repr__(self) -> str:
        cells = self.cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in cells)
        return "\n".join("  ".join(line).rstrip() for line in lines)

    def _repr_html_(self) -> str:
        head, *body = ([html.escape(cell) for cell in row] for row in self.cells())
        rows = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in body)
        return f"<table><tr><th>{'</th><th>'.join(head)}</th></tr>{rows}</table>"


@dataclass(frozen=True, repr=False, eq=False)
class Analysis:
    """The fields of all feature maps of one network, on an image of `size` (height, width)."""

    size: tuple[int, int]
    grids: list[Grid]
    labels: dict[Grid, str]
    calls: dict[str, Any]

    @property
    def image(self) -> Grid:
        """The image as a feature map, whose units are pixels."""
        return self.grids[0]

    @cached_property
    def nominal(self) -> dict[Grid, list[tuple[Spans, Spans]]]:
        """What every unit would see if all maps went on for ever."""
        return follow(self.grids, real=False)

    @cached_property
    def real(self) -> dict[Grid, list[tuple[Spans, Spans]]]:
        """What every unit sees of the image."""
        return follow(self.grids, real=True)

    @property
    def output(self) -> Any:
        """The field of the network's output; for several outputs, a dict or tuple of fields."""
        return self[""]

    @property
    def last_map(self) -> Field | None:
        """The field of the last map of more than one unit, which global pooling averages."""
        fields = [self[name] for name in self.names]
        maps = [field for field in fields if isinstance(field, Field) and field.units != (1, 1)]
        return maps[-1] if maps else None

    @property
    def names(self) -> list[str]:
        """Modules that ran, as in `named_modules()`; the second call of "conv" is "conv#2"."""
        return [name for name in self.calls if name]

    def __getitem__(self, name: str) -> Any:
        """The field of what module `name` gave; of several tensors, a dict or tuple of fields.

        Raises: KeyError, with names close to it, if no such module ran.
        """
        if name not in self.calls:
            close = difflib.get_close_matches(name, self.names) or self.names[:5]
            raise KeyError(f"no module {name!r} ran; some that did: {', '.join(close)}")
        return map_aggregate(
            self.calls[name],
            lambda each: Field(self, each.grid) if isinstance(each, Feature) else each,
        )

    def __repr__(self) -> str:
        return f"Analysis(size={self.size}, {len(self.names)} modules)"

    def table(self) -> Table:
        """Layer by layer: kernel, stride, dilation; size, jump and start of its units' fields.

        Layers that look straight through, such as batch norm and ReLU, have no row.
        """
        table = Table()
        for grid, label in self.labels.items():
            seen = Field(self, grid)
            geometry = grid.geometry or (None, None, None)
            table.append(Row(label, *geometry, seen.size, seen.stride, seen.start))
        return table


# ---------------------------------------------------------------------------------- measuring


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
        (gradient,) = torch.autograd.grad(sums[0], pixels)
    magnitude = gradient.abs().sum(dim=(0, 1)).numpy()
    if not 0 < magnitude.sum() < math.inf:
        raise ValueError(f"unit {unit} has a gradient of {magnitude.sum()}; no pixel reaches it.")
    share = magnitude / magnitude.sum()
    centre, sigma, distance = [], [], 0.0
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
    return Effective(share, tuple(centre), tuple(sigma), float(share[distance <= 4].sum()))
