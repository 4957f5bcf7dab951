"""How far can one unit see?  Exact receptive fields of any network, in whole numbers.

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
from cifarlab.receptive_field._rules import Feature, Map, Refused, Unsupported
from cifarlab.receptive_field._taps import AXES, Boxes, Grid, follow, hand_back

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


def evaluated(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode, which shares the parameters' numbers, but not the buffers'."""
    copies: dict[int, Any] = {}
    for parameter in module.parameters():
        copies[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    for buffer in module.buffers():
        copies[id(buffer)] = buffer.detach().clone()
    try:
        return copy.deepcopy(module, dict(copies)).eval()  # takes `copies` for made before
    except (TypeError, RuntimeError):  # such as a lock, or a tensor with a history
        for part in module.modules():
            for value in vars(part).values():
                if not isinstance(value, dict):
                    try:
                        copy.deepcopy(value, dict(copies))
                    except (TypeError, RuntimeError):
                        copies[id(value)] = value
        return copy.deepcopy(module, copies).eval()


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
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.random.fork_rng(devices=[]),
            torch.compiler.set_stance("force_eager"),
        ):
            network = evaluated(module)
            recorder.borrow(network)
            dtypes = (each.dtype for each in network.parameters() if each.is_floating_point())
            dtype = next(dtypes, torch.float32)
            image = torch.empty(1, channels, *size, dtype=dtype, device="meta")
            image = image.requires_grad_().clone()  # unlike its source, a clone may be written to
            recorder.attach(image, Feature(*recorder.grids, rules.plain(image.shape, AXES)))
            recorder.watch(network)
            with recorder:
                output = network(image)
        if not any(isinstance(each, Map) for each in flatten(recorder.calls[""])):
            raise ValueError(f"the output is {type(output).__name__} and shows no map of the image")
    except Exception as error:
        refusal = error
        if not isinstance(error, Unsupported):
            refusal = Refused(
                f"{type(module).__name__} cannot be analysed on {size[0]} x {size[1]} pixels of "
                f"{channels} channels. In {recorder.where()}: {told(error)}.{advice(error)}"
            )
        refusal.analysis = recorder.result(size, missing=str(refusal))
        if refusal is error:
            raise
        raise refusal from error
    return recorder.result(size)


def told(error: Exception) -> str:
    """What an exception says, after its name unless that is a common one."""
    text = " ".join(str(error).split()).rstrip(".")
    if type(error) in (ValueError, RuntimeError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else f"{type(error).__name__}, without a word"


def advice(error: Exception) -> str:
    """What to do, where the network's own words leave that open."""
    text = str(error)
    if "positional argument" in text:
        return " A network of several inputs needs a module around it that takes the image only."
    if "ScriptModule" in text:
        return " A scripted network shows nothing of its inside; pass the module it was made from."
    if isinstance(error, AssertionError | NotImplementedError | KeyError) and len(text) < 20:
        return " It is the network that refuses this image: try another size, or `channels`."
    return ""


class Recorder(TorchFunctionMode):
    """While active, gives every tensor that depends on the image its `Feature`.

    Those tensors have shapes, but no data; all others, such as weights and masks, have both.
    """

    def __init__(self, image: Grid, through_gates: bool) -> None:
        super().__init__()
        self.through_gates = through_gates
        self.grids = {image: None}  # a dict for its order: inputs before outputs
        self.labels: dict[Grid, str] = {}  # of the maps that the table shows
        self.calls: dict[str, Any] = {}  # what each call of a module gave
        self.maps: dict[tuple, Map] = {}  # features as maps, each made once
        self.told: set[Grid] = {image}  # grids that have a label, or need none
        self.counts: Counter[str] = Counter()
        self.running: list[tuple[str, nn.Module]] = []  # the innermost module last
        self.device = torch.device("cpu")
        self.borrowed: set[int] = set()
        self.empty = False  # whether constants may lack data, too

    def borrow(self, network: nn.Module) -> None:
        """Note the parameters, which belong to the caller's network."""
        parameters = list(network.parameters())
        self.empty = any(each.is_meta for each in (*parameters, *network.buffers()))
        if parameters and not self.empty:
            self.device = parameters[0].device
            self.borrowed = {each.untyped_storage().data_ptr() for each in parameters}

    def result(self, size: tuple[int, int], missing: str | None = None) -> "Analysis":
        """What has been recorded."""
        return Analysis(size, list(self.grids), self.labels, self.calls, missing)

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
            source = self.feature(output)
            if is_layer(module) and isinstance(source, Feature):
                self.label(source, name or type(module).__name__)

        for name, part in network.named_modules():
            part.register_forward_pre_hook(lambda part, _, name=name: enter(name, part))
            part.register_forward_hook(lambda part, _, output: leave(output))

    def map(self, value: Any) -> Any:
        """The map that a module gave, if the image decides on it."""
        feature = self.feature(value)
        if not isinstance(feature, Feature):
            return value
        key = feature.grid, feature.dimensions
        if key not in self.maps:
            found = self.maps[key] = rules.as_map(feature)
            self.add(found.grid)
        return self.maps[key]

    def label(self, feature: Feature, label: str) -> None:
        """A row of the table for what moves the field."""
        if feature.grid not in self.told:
            self.told.add(feature.grid)
            key = feature.grid, feature.dimensions
            if key not in self.maps:
                self.maps[key] = rules.as_map(feature)
                self.add(self.maps[key].grid)
            self.labels.setdefault(self.maps[key].grid, label)

    def where(self) -> str:
        """The innermost running module, for messages."""
        name, module = self.running[-1] if self.running else ("", None)
        return f"`{name}` ({type(module).__name__})" if name else "the network itself"

    def attach(self, tensor: Tensor, feature: Feature) -> None:
        """Remember what `tensor` is, until something changes it."""
        tensor._feature = feature, version(tensor)
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
        feature, seen = getattr(value, "_feature", (None, None))
        if feature is not None:
            lost = seen != version(value)
        elif value.is_meta:  # constants have data, so what has none and no feature slipped past us
            lost = value.requires_grad if self.empty else not hasattr(value, "_constant")
        else:
            lost = value._is_view() and hasattr(value._base, "_overwritten")
        if lost:
            raise Unsupported(
                f"{self.where()} uses a tensor that was changed unseen: through a view of it, in "
                "compiled code or in an extension. Use PyTorch's own functions, out of place."
            )
        return value if feature is None else feature

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Run `function` for its shapes, and its rule for its features."""
        # As in NumPy, PyTorch lets `axis` stand for `dim`; the rules know one name.
        kwargs = {"dim" if key == "axis" else key: value for key, value in (kwargs or {}).items()}
        own, name = name_of(function)
        given, named = map_aggregate((args, kwargs), self.feature)
        if not any(rules.features((given, named))):
            return self.constant(function, own, args, kwargs)
        if name == "device" and own == "__get__":
            return self.device
        if own in ASKED:
            return self.answer(function, own, args)
        if name == "new" and len(args) == 1:
            return torch.empty(0, dtype=args[0].dtype, device=self.device)
        if name in rules.CONSTANTS.split():
            return function(*args, **{**kwargs, "device": kwargs.get("device") or self.device})
        if name in ALIKE and not isinstance(given[0], Feature):
            args, kwargs = map_aggregate((args, kwargs), self.with_data)
            return function(*args, **kwargs)
        return self.operate(function, own, name, args, kwargs, given, named)

    def with_data(self, value: Any) -> Any:
        """For a constant to be made like the image: a tensor of its shape and type, of one zero."""
        if isinstance(value, Tensor) and value.is_meta:
            return torch.zeros((), dtype=value.dtype, device=self.device).expand(value.shape)
        return value

    def constant(self, function, own: str, args, kwargs) -> Any:
        """Run `function` where nothing depends on the image, on real numbers."""
        if is_in_place(own) and args and isinstance(args[0], Tensor) and not args[0].is_meta:
            if args[0].untyped_storage().data_ptr() in self.borrowed:
                raise Unsupported(f"{own} in {self.where()} changes a parameter of the network.")
        result = function(*args, **kwargs)
        if isinstance(result, Tensor):
            if result.is_meta:
                result._constant = True
            elif own == "__getitem__" and result._is_view():
                result._origin = args
            if any(
                isinstance(each, nn.Parameter) or hasattr(each, "_learned")
                for each in rules.constants((args, kwargs))
            ):
                result._learned = True
        elif self.empty or not isinstance(result, torch.Size | torch.dtype | int | bool | str):
            for each in rules.constants(result):
                if each.is_meta:
                    each._constant = True
        return result

    def answer(self, function, own: str, args) -> Any:
        """A number that the network asks for; only whether the image is finite is known."""
        assumed = getattr(args[0], "_assumed", None)
        if assumed is None:
            raise Unsupported(
                f"{own.strip('_')} in {self.where()} asks for the values of pixels. A field is "
                "fixed only where nothing is decided by the values of pixels."
            )
        return assumed

    def operate(self, function, own: str, name: str, args, kwargs, given, named) -> Any:
        """Run `function` on tensors without data, and its rule on their features."""
        in_place = is_in_place(own)
        target = args[0] if args else None
        origin = getattr(target, "_origin", None) if in_place else None
        if in_place and origin:
            self.feature(origin[0])  # raises if that has been changed unseen
        elif in_place and isinstance(target, Tensor) and target._is_view() and given[0] is target:
            raise Unsupported(
                f"{own} in {self.where()} writes the image into a part of a constant; "
                "assign with [...] = instead."
            )
        if in_place and given[0] is target:
            self.overwrite(target)
        if name == "getitem" or name == "setitem":
            args = (args[0], places(args[1]), *args[2:])
            given = (given[0], places(given[1]), *given[2:])
        whole = name in ("cat", "stack", "where", "einsum", "index_select", "gather")
        metas = map_aggregate((args, kwargs), lambda value: on_meta(value, whole))
        result = function(*metas[0], **metas[1])
        if name == "setitem":
            result = target
        results = [each for each in flatten(result) if isinstance(each, Tensor)]
        if not results:
            return result
        if any(0 in each.shape for each in results):
            raise ValueError(f"{name} leaves nothing: its result is {tuple(results[0].shape)}")
        shapes = [each.shape for each in results]
        plain = getattr(function, "op", function)
        operation = rules.Operation(name, self.where(), shapes, self.through_gates, plain)
        outputs = rules.apply(operation, given, named)
        for tensor, feature in zip(results, outputs, strict=True):
            self.attach(tensor, feature)
        if name == "getitem" and results[0]._is_view():
            results[0]._origin = args
        if name in FINITE:
            results[0]._assumed = FINITE[name]
        elif name in ("all", "any", "logical_not", "invert") and hasattr(target, "_assumed"):
            results[0]._assumed = target._assumed == (name in ("all", "any"))
        if origin:
            self.write_back(target, outputs[0])
        if name in rules.RESHAPES.split() or name in ("view", "permute"):
            self.told.add(outputs[0].grid)  # the same units, laid out anew
        elif self.running and not is_layer(self.running[-1][1]):
            where = self.running[-1][0]
            self.label(outputs[0], f"{where}: {name}" if where else name)
        return result

    def overwrite(self, constant: Tensor) -> None:
        """Take the data from a constant that the image is about to be written into."""
        empty = torch.empty_like(constant, device="meta")
        torch.utils.swap_tensors(constant, empty)
        empty._overwritten = True  # what had its data; views of it are stale

    def write_back(self, view: Tensor, feature: Feature) -> None:
        """After a change of `view`: what it was cut from has changed there."""
        base, index = view._origin
        old = getattr(base, "_feature", (base,))[0]
        if old is base:
            self.overwrite(base)
        operation = rules.Operation(
            "setitem", self.where(), [base.shape], self.through_gates, Tensor.__setitem__
        )
        new = rules.setitem(operation, old, places(index), feature)
        self.attach(base, new)
        if hasattr(base, "_origin"):
            self.write_back(base, new)


# What gives its first argument the shape or type of its second.
ALIKE = "to type_as expand_as view_as reshape_as broadcast_to".split()
# What asks for numbers; and the answers if all pixels are finite.
ASKED = "__bool__ __int__ __float__ __index__ __complex__ item tolist numpy __array__".split()
FINITE = {"isfinite": True, "isnan": False, "isinf": False}


def name_of(function) -> tuple[str, str]:
    """A function's own name, and that of its rule: add for __add__, add_ and add.Tensor."""
    own = getattr(function, "__name__", type(function).__name__).split(".")[0]
    if own == "__get__":  # an attribute: x.shape
        return own, function.__self__.__name__
    return own, own.strip("_")


def is_in_place(own: str) -> bool:
    """Whether a function of this name changes its first argument."""
    if own.startswith("__"):
        return own == "__setitem__" or (
            own.startswith("__i") and own not in ("__invert__", "__index__", "__int__")
        )
    return own.endswith("_")


def version(tensor: Tensor) -> int | None:
    """How often a tensor has been changed; inference tensors do not count that."""
    return None if tensor.is_inference() else tensor._version


def on_meta(value: Any, numbers: bool = False) -> Any:
    """Without data, if a tensor; of a single number, only if `numbers`."""
    if not isinstance(value, Tensor) or value.is_meta or (value.ndim == 0 and not numbers):
        return value
    return torch.empty_like(value, device="meta")


def places(index: Any) -> Any:
    """An index, with numbers in place of masks that are constants."""
    several = index if isinstance(index, tuple) else (index,)
    found: list = []
    for each in several:
        if isinstance(each, list):
            each = torch.tensor(each)
        if (
            isinstance(each, Tensor)
            and each.dtype in (torch.bool, torch.uint8)
            and not each.is_meta
        ):
            found += each.nonzero(as_tuple=True)
        elif isinstance(each, Tensor) and each.ndim == 0 and not each.is_meta:
            found.append(int(each))
        else:
            found.append(each)
    return tuple(found)


def is_layer(module: nn.Module) -> bool:
    """Whether PyTorch's own code runs it, so that the table names it rather than what it calls."""
    return (type(module).forward.__module__ or "").startswith("torch.nn.modules")


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
    layout: tuple[str, ...] = ()  # the tensor's shape, with "height" and "width" for the units

    @property
    def exact(self) -> bool:
        """Whether units see all of this; otherwise it is what they see at most: see `loose`."""
        return self.grid.loose is None

    @property
    def loose(self) -> str | None:
        """Why units may see less than this; None if it is exact."""
        return self.grid.loose

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
        boxes = self.analysis.nominal[self.grid]
        if len(boxes) > 1 or boxes[0][2].axes:
            return None, None, None
        spans = boxes[0][axis]
        first, last = spans.first, spans.last
        if spans.axes == (axis,):  # of one unit, the next is virtual
            units = np.arange(max(self.units[axis], 2)) - spans.begin[0]
            sizes = (last - first + 1)[units[: self.units[axis]]]
            moves = np.append(np.diff(first[units]), np.diff(last[units]))
        else:
            units = np.zeros(first.ndim, int)
            sizes = last - first + 1
            moves = np.zeros(1, int)
        size = int(sizes.min()) if sizes.min() == sizes.max() > 0 else None
        if spans.axes not in ((axis,), ()) or moves.min() < moves.max() or size is None:
            return size, None, None
        start = first[units[0]] if spans.axes else first
        return size, int(moves[0]), int(start)

    def __repr__(self) -> str:
        loose = "" if self.exact else ", exact=False"
        return (
            f"Field(units={self.units}, size={self.size}, stride={self.stride}, "
            f"start={self.start}{loose})"
        )

    @property
    def centre(self) -> tuple[int, int]:
        """The unit in the middle; of an even number, the one behind the middle."""
        return tuple(units // 2 for units in self.units)

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
        for box in (self.analysis.real if clipped else self.analysis.nominal)[self.grid]:
            (top, bottom), (left, right), (here, gone) = (spans.at((y, x)) for spans in box)
            if top <= bottom and left <= right and here <= gone:
                boxes.append((top, left, bottom, right))
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
            for source, ways in grid.links if grid in weights else ():
                found = hand_back(weights[grid], grid, source, ways)
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
    missing: str | None = None  # why the analysis ends before the network does

    @property
    def image(self) -> Grid:
        """The image as a feature map, whose units are pixels."""
        return self.grids[0]

    @cached_property
    def nominal(self) -> dict[Grid, list[Boxes]]:
        """What every unit would see if all maps went on for ever."""
        return follow(self.grids, real=False)

    @cached_property
    def real(self) -> dict[Grid, list[Boxes]]:
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
            lambda each: Field(self, each.grid, each.layout) if isinstance(each, Map) else each,
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
        mean = float(place @ along)
        deviation = float(np.sqrt((place - mean) ** 2 @ along))
        scaled = (place - mean) / max(deviation, 1e-9)  # a single row has no deviation
        distance = distance + (scaled**2).reshape((-1, 1) if axis == 0 else (1, -1))
        centre.append(mean)
        sigma.append(deviation)
    return Effective(share, tuple(centre), tuple(sigma), float(share[distance <= 4].sum()))
