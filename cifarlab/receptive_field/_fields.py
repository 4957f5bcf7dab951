"""What an analysis gives: fields of feature maps, and a table of them.

Lesson: Receptive fields.
"""

import csv
import difflib
import html
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from torch.fx.node import map_aggregate  # applies a function inside tuples, lists and dicts

from cifarlab import _arguments as arguments
from cifarlab.receptive_field._shapes import Map
from cifarlab.receptive_field._taps import HEIGHT, WIDTH, Boxes, Grid, follow, hand_back

Pair = tuple[int | None, int | None]  # (y, x); None where the units of a map differ


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
        height, width = self.grid.units
        return height, width

    @property
    def size(self) -> Pair:
        """Pixels from the first that a unit sees to the last, both counted."""
        return self.along(HEIGHT)[0], self.along(WIDTH)[0]

    @property
    def stride(self) -> Pair:
        """Pixels from one unit's field to the next one's; 0 where all see the same."""
        return self.along(HEIGHT)[1], self.along(WIDTH)[1]

    @property
    def start(self) -> Pair:
        """First pixel of unit 0; that of unit u is start + stride * u."""
        return self.along(HEIGHT)[2], self.along(WIDTH)[2]

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
        height, width = self.units
        return height // 2, width // 2

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
        tops, lefts, bottoms, rights = zip(*boxes, strict=True)
        return Box(min(tops), min(lefts), max(bottoms), max(rights))

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
        if max(counts.max() for counts in ways.values()) < 2**53:  # so far floats are exact
            return ways[self.analysis.image].astype(np.int64)
        return self.walk(y, x, object)[self.analysis.image]

    def walk(self, y: int, x: int, dtype: type) -> dict[Grid, np.ndarray]:
        """From unit (y, x) back through every grid to the image, adding up where ways meet."""
        self.check(y, x)
        ends = (self.analysis.image, self.grid)
        weights: dict[Grid, np.ndarray] = {grid: np.zeros(grid.units, dtype) for grid in ends}
        weights[self.grid][y, x] = 1
        for grid in reversed(self.analysis.grids):
            for source, ways in grid.links if grid in weights else ():
                share = hand_back(weights[grid], grid, source, ways)
                weights[source] = weights[source] + share if source in weights else share
        return weights


class Row(NamedTuple):
    """One layer: its own geometry (if it has a window) and the field of its units."""

    layer: str
    units: tuple[int, int]
    kernel: tuple[int, ...] | None
    stride: tuple[int, ...] | None
    dilation: tuple[int, ...] | None
    size: Pair
    jump: Pair
    start: Pair


class Table(list[Row]):
    """The rows of an analysis; prints as aligned text, and in a notebook as HTML."""

    def cells(self) -> list[list[str]]:
        """Head and rows as text: 3 for (3, 3), 3x1 for (3, 1), - where units differ."""

        def text(value: tuple[int | None, ...] | None) -> str:
            parts = ["-" if number is None else str(number) for number in value or ("",)]
            return parts[0] if len(set(parts)) == 1 else "x".join(parts)

        return [list(Row._fields), *([row.layer, *map(text, row[1:])] for row in self)]

    def __repr__(self) -> str:
        cells = self.cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in cells)
        return "\n".join("  ".join(line).rstrip() for line in lines)

    def markdown(self) -> str:
        """The table in Markdown."""
        head, *body = self.cells()
        lines = [head, ["---", *["--:"] * (len(head) - 1)], *body]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def csv(self) -> str:
        """The table as comma-separated values, a column for each axis."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = [f"{name}_{axis}" for name in Row._fields[1:] for axis in "yx"]
        writer.writerow(["layer", *columns])
        for row in self:
            pairs = [yx * 2 if yx and len(yx) == 1 else yx or ("", "") for yx in row[1:]]
            writer.writerow([row.layer, *(value for pair in pairs for value in pair)])
        return text.getvalue()

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
        fields = [self[name] for name in self.calls]  # the network itself comes last
        maps = [field for field in fields if isinstance(field, Field) and field.units != (1, 1)]
        wide = [field for field in maps if min(field.units) > 1] or maps  # others are lists
        return wide[-1] if wide else None

    def __contains__(self, name: object) -> bool:
        """Whether module `name` ran."""
        return name in self.calls

    def __iter__(self) -> Iterator[str]:
        """The names of all modules that ran."""
        return iter(self.names)

    def __len__(self) -> int:
        """How many modules ran."""
        return len(self.names)

    @property
    def names(self) -> list[str]:
        """Modules that ran, as in `named_modules()`; the second call of "conv" is "conv#2"."""
        return [name for name in self.calls if name]

    def __getitem__(self, name: str) -> Any:
        """The field of what module `name` gave; of several tensors, a dict or tuple of fields.

        Raises: KeyError, with names close to it, if no such module ran.
        """
        if name not in self.calls and self.missing:
            raise KeyError(f"{name or 'the output'} was not reached: {self.missing}")
        if name not in self.calls:
            close = difflib.get_close_matches(str(name), self.names) or self.names[:5]
            raise KeyError(f"no module {name!r} ran; some that did: {', '.join(close)}")
        return map_aggregate(
            self.calls[name],
            lambda item: Field(self, item.grid, item.layout) if isinstance(item, Map) else item,
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
            kernel, stride, dilation = grid.geometry or (None, None, None)
            row = Row(
                label, seen.units, kernel, stride, dilation, seen.size, seen.stride, seen.start
            )
            table.append(row)
        return table
