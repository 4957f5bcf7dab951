"""Results in, figure out; computes nothing.

Every function returns a matplotlib figure that a notebook shows as the value of its cell: a `Plot`
of pixels, or a `Chart` of lines and dots. A plot's colours are those of Wong 2011 (Nature Methods
8:441), which colour-blind readers can tell apart; a chart's are the page's. What a colour says, a
label, a marker or a line style says too.
"""

import hashlib
import html
import io
import itertools
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.ticker import MaxNLocator, NullLocator
from torch import Tensor

from cifarlab.data import Split
from cifarlab.diagnostics import Calibration
from cifarlab.drawings import FIRST, MUTED, PLAIN, SECOND, THIRD
from cifarlab.engine import Sweep
from cifarlab.receptive_field import Box, Effective, Row
from cifarlab.schema import Epoch

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#595959"
LINES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, ":"), (GREY, "-."))  # of boxes and curves, in turn
FONT_SIZE = 11  # points, at the width of a page
LONG = 12  # letters: a longer name of a chart's row stands above it
IN_PAGE = {BLUE: FIRST, ORANGE: SECOND, GREEN: THIRD, GREY: MUTED, "#000000": PLAIN}  # in a chart


class Plot(Figure):
    """A figure outside pyplot's global state, a little finer than the page, for sharp screens.

    White in dark pages too: photographs are judged against white.
    """

    def __init__(self, width: float, height: float) -> None:
        """`width` and `height` in inches of 96 pixels."""
        super().__init__(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")
        FigureCanvasAgg(self)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        png = io.BytesIO()
        self.savefig(png, format="png")
        width, height = (round(96 * inches) for inches in self.get_size_inches())
        return png.getvalue(), {"width": width, "height": height}


class Chart(Plot):
    """Lines and dots as SVG without a ground, in the colours and the font of the page around it.

    It is drawn twice, for a phone and for a page, and the reader's screen chooses; so no word of it
    is ever smaller than the page's own.
    """

    WIDTHS = (288, 560)  # pixels; the first is a screen of 320, without its margins
    WORDS = 16  # pixels
    STYLE = (
        ".chart{container-type:inline-size}.chart svg{display:block;width:100%;height:auto}"
        ".chart svg:first-of-type{max-width:360px}.chart svg:last-of-type{display:none}"
        "@container(min-width:560px){.chart svg:first-of-type{display:none}"
        ".chart svg:last-of-type{display:block;max-width:620px}}"
    )

    def __init__(self, height: int) -> None:
        """`height` in pixels, without the legend."""
        super().__init__(self.WIDTHS[1] / 72, height / 72)
        self.set_dpi(72)  # so that a point is a pixel
        self.set_layout_engine(None)  # `lay_out` gives the same every time
        self.height = height

    def lay_out(self, width: int) -> int:
        """Give all its place at a width in pixels, and return the height that this takes."""
        for legend in list(self.legends):
            legend.remove()
        lines, names = self.axes[0].get_legend_handles_labels()
        columns = min(len(names), max(1, width // (9 * max(map(len, names), default=1) + 50))) or 1
        head = 26 * -(-len(names) // columns)
        if names:
            self.legend(
                lines,
                names,
                loc="upper left",
                ncols=columns,
                fontsize=self.WORDS,
                frameon=False,
                borderpad=0,
                borderaxespad=0.3,
                handlelength=1.8,
            )
        height = self.height + head
        self.set_size_inches(width / 72, height / 72)

        above = 30 if self.axes[0].get_ylabel() else 12
        under = 50 if self.axes[-1].get_xlabel() else 28
        between = above + (50 if self.axes[0].get_xlabel() else 28)
        panel = (self.height - above - under + between) / len(self.axes) - between
        vertical = {"top": 1 - (head + above) / height, "bottom": under / height}
        vertical["hspace"] = between / panel
        self.subplots_adjust(left=60 / width, right=1 - 22 / width, **vertical)
        self.draw_without_rendering()
        ends = [
            axes.bbox.x0 - label.get_window_extent().x0
            for axes in self.axes
            for label in axes.get_yticklabels()
        ]
        self.subplots_adjust(left=(max(ends) + 4) / width)
        return height

    def _svg(self, width: int) -> str:
        """The chart at a width in pixels; the same text on every call."""
        height, text = self.lay_out(width), io.StringIO()
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "chart"}):
            self.savefig(text, format="svg", transparent=True, metadata={"Date": None})
        drawn = re.split("</style>.*?</defs>", text.getvalue(), maxsplit=1, flags=re.DOTALL)[1]
        drawn = re.sub(r"<!--.*?-->|(?<=>)\s+(?=<)", "", drawn)
        drawn = _own_ids(re.sub(r"<[^>]+>", _plainer, drawn).strip())
        for colour, of_page in IN_PAGE.items():
            drawn = drawn.replace(colour.lower(), of_page)
        look = f'fill="{PLAIN}" stroke-linejoin="round"'
        return f'<svg viewBox="0 0 {width} {height}" {look}>{drawn}'

    def _repr_html_(self) -> str:
        labels = [(axes.get_ylabel(), axes.get_xlabel()) for axes in self.axes]
        panels = [" against ".join(filter(None, both)) for both in labels]  # rows need no label
        name = html.escape(f"Chart: {'; '.join(panels)}.")
        drawn = "".join(map(self._svg, self.WIDTHS))
        return (
            f'<div class="chart" role="img" aria-label="{name}"><style>{self.STYLE}</style>'
            f"{drawn}</div>\n"
        )

    _repr_png_ = None  # type: ignore[assignment]  # one picture of a chart is enough


def _plainer(tag: re.Match) -> str:
    """A tag of Matplotlib's SVG with numbers to a hundredth, and its words in the page's font."""
    text = re.sub(r"-?\d+\.\d+", lambda number: f"{round(float(number[0]), 2) + 0:g}", tag[0])
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)  # as Matplotlib 3.9 has it
    text = re.sub(r"font-family: [^;\"]*(; )?| transform=\"rotate\(-0 .*?\"", "", text)
    return re.sub(r"\s+", " ", text).replace("xlink:href", "href")


def _own_ids(svg: str) -> str:
    """The SVG with only those ids that it uses itself, which no other on the page has."""
    used = re.findall(r"(?:href=\"|url\()#(\w+)", svg)
    digest = hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    for number, name in enumerate(dict.fromkeys(used)):
        svg = re.sub(rf"\b{name}\b", f"chart-{digest}-{number}", svg)
    return svg


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _curves(axes: Axes, curves: Mapping[str, Sequence], **look: Any) -> None:
    """A curve (x, y) for each name, in the colours and styles of LINES in turn."""
    for (name, (x, y)), (colour, style) in zip(
        curves.items(), itertools.cycle(LINES), strict=False
    ):
        axes.plot(x, y, style, color=colour, label=name, **look)


def _lined(axes: Axes, x: str, y: str) -> None:
    """A panel of a chart, with words at its axes: `y` lies above, to be read without turning."""
    axes.set_xlabel(x, fontsize=Chart.WORDS, loc="right")
    axes.set_ylabel(y, fontsize=Chart.WORDS, rotation=0, ha="left", va="bottom")
    axes.yaxis.set_label_coords(0, 1.02)
    axes.tick_params(labelsize=Chart.WORDS, length=0, pad=5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, color=GREY)


def _written(names: Sequence[str]) -> tuple[list[str], int]:
    """The names as a chart writes them, on lines that a phone has room for, and a row's height."""
    if max(map(len, names)) <= LONG:
        return list(names), 32
    written = [textwrap.fill(name, 29) for name in names]
    return written, 32 + 19 * max(name.count("\n") + 1 for name in written)


def _named_rows(axes: Axes, names: Sequence[str], x: str) -> None:
    """Rows from the top, with short names beside them and long ones above."""
    written, height = _written(names)
    places = np.arange(len(names), dtype=float)
    _lined(axes, x, "")
    if height == 32:
        axes.set_yticks(places, written)
    else:
        axes.set_yticks(places - 8 / height, written, ha="left", va="bottom")
        axes.tick_params(axis="y", pad=-4)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(names) - 1 + 16 / height, 16 / height - 1)


# ------------------------------------------------------------------------------------ images


def gallery(
    images: np.ndarray | Sequence[np.ndarray],
    captions: Sequence[str] | None = None,
    *,
    columns: int = 8,
    title: str = "",
    smooth: bool = False,
) -> Plot:
    """Images in rows of `columns`, each with its caption; pixels as squares unless `smooth`.

    `images` (N, H, W, 3) uint8.
    """
    rows = -(-len(images) // columns)
    lines = max((caption.count("\n") + 1 for caption in captions or []), default=0)
    cell = 8.4 / columns
    plot = Plot(8.4, rows * (cell + 0.19 * lines) + (0.35 if title else 0))
    for number, axes in enumerate(plot.subplots(rows, columns, squeeze=False).flat):
        _bare(axes)
        axes.set_anchor("S")  # spare room above, for the captions
        if number < len(images):
            axes.imshow(images[number], interpolation="bicubic" if smooth else "nearest")
            if captions:
                axes.set_title(captions[number], fontsize=FONT_SIZE - 1)
    if title:
        plot.suptitle(title, fontsize=FONT_SIZE + 1)
    return plot


def maps(
    values: Mapping[str, np.ndarray | Tensor],
    *,
    unit: str,
    columns: int = 4,
    title: str = "",
) -> Plot:
    """Maps of numbers (H, W) in shades of grey, a panel and a scale in `unit` for each label.

    Black is 0; in a map with negative numbers, 0 is the middle grey.
    """
    rows, cell = -(-len(values) // columns), 8.4 / columns
    plot = Plot(8.4, rows * (cell + 1) + (0.35 if title else 0))
    panels = plot.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        _bare(axes)
    for axes, (label, numbers) in zip(panels, values.items(), strict=False):
        numbers = np.asarray(numbers)
        highest = abs(numbers).max()
        lowest = -highest if numbers.min() < 0 else 0
        drawn = axes.imshow(numbers, "gray", vmin=lowest, vmax=highest, interpolation="nearest")
        axes.set_title(label, fontsize=FONT_SIZE)
        scale = plot.colorbar(drawn, ax=axes, location="bottom", shrink=0.9, pad=0.03)
        scale.set_label(unit, fontsize=FONT_SIZE - 1)
        scale.locator = MaxNLocator(3)
        scale.ax.tick_params(labelsize=FONT_SIZE - 1)
    if title:
        plot.suptitle(title, fontsize=FONT_SIZE + 1)
    return plot


def rows(images: Mapping[str, Sequence[np.ndarray]], title: str = "") -> Plot:
    """A row of images for each name; pixels as squares.

    Each image (H, W, 3) uint8; rows may differ in length.
    """
    columns = max(map(len, images.values()))
    plot = Plot(8.4, 7.8 / columns * len(images) + (0.35 if title else 0))
    grid = plot.subplots(len(images), columns, squeeze=False)
    for (name, row), line in zip(images.items(), grid, strict=True):
        for axes in line:
            _bare(axes)
        for axes, image in zip(line, row, strict=False):
            axes.imshow(image, interpolation="nearest")
        line[0].set_ylabel(
            name, rotation=0, ha="right", va="center", labelpad=8, fontsize=FONT_SIZE
        )
    if title:
        plot.suptitle(title, fontsize=FONT_SIZE + 1)
    return plot


def incorrect_predictions(
    split: Split, log_probabilities: Tensor, wrong: Tensor, *, count: int = 12
) -> Plot:
    """The first `count` of the images `wrong`, with the guess, its probability, and the truth.

    `log_probabilities` (N, classes) for all images of `split`; `wrong` (M,) indices into it.

    Raises: ValueError if `wrong` holds none.
    """
    if not len(wrong):
        raise ValueError("wrong holds no image; there is no mistake to show.")
    captions = []
    for index in wrong[:count].tolist():
        guess = int(log_probabilities[index].argmax())
        share = log_probabilities[index, guess].exp().item()
        captions.append(
            f"{split.classes[guess]} {share:.0%}\nis {split.classes[split.labels[index]]}"
        )
    return gallery(
        split.images[wrong[:count].numpy()],
        captions,
        columns=6,
        title=f"Guess and truth, most confident mistake first: {split.source}",
    )


# ------------------------------------------------------------------------------------ curves


def learning_curves(history: Sequence[Epoch]) -> Plot:
    """Accuracy and loss of a run over its epochs; held-out images where they were scored."""
    plot = Chart(500)
    accuracy, loss = plot.subplots(2, 1, height_ratios=[3, 2])
    epochs = [epoch.number for epoch in history]
    tested = [epoch for epoch in history if epoch.held_out]
    for axes, value in ((accuracy, "accuracy"), (loss, "loss")):
        train = [getattr(epoch.train, value) for epoch in history]
        held_out = [getattr(epoch.held_out, value) for epoch in tested]
        axes.plot(epochs, train, "--", color=BLUE, label="train")
        axes.plot(
            [epoch.number for epoch in tested],
            held_out,
            "o-",
            color=ORANGE,
            markersize=4,
            label="held out",
        )
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    _lined(accuracy, "epoch", "accuracy (%)")
    _lined(loss, "epoch", "loss (nats per image)")
    return plot


def learned_and_held_out(curves: Mapping[str, tuple[Sequence, Sequence, Sequence]]) -> Plot:
    """Accuracy in per cent against epochs, on two kinds of images: a colour for each name.

    `curves` are (epochs, training, held out); dashed lines are of training images.
    """
    plot = Chart(360)
    axes = plot.subplots()
    for (name, (epochs, training, held_out)), (colour, _) in zip(
        curves.items(), itertools.cycle(LINES), strict=False
    ):
        axes.plot(epochs, training, "--", color=colour, label=f"{name}, training")
        axes.plot(epochs, held_out, "-", color=colour, label=f"{name}, held out")
    _lined(axes, "epoch", "accuracy (%)")
    return plot


def dots(
    values: Mapping[str, Sequence[float]], intervals: Mapping[str, Sequence[float]], what: str
) -> Plot:
    """A row for each name, a dot for each of its values, a bar for its interval (low, high).

    A thin line marks 0 where values or intervals lie on both sides of it, or end there.
    """
    plot = Chart(62 + _written(list(values))[1] * len(values))
    axes = plot.subplots()
    for row, (name, series) in enumerate(values.items()):
        if name in intervals:
            ends, rows = intervals[name], [row, row]
            axes.plot(ends, rows, color=ORANGE, alpha=0.4, linewidth=7, solid_capstyle="butt")
        axes.plot(series, [row] * len(series), "o", color=BLUE, markersize=6, alpha=0.85)
    low, high = axes.get_xlim()
    if low <= 0 <= high:
        axes.axvline(0, color=GREY, linewidth=1)
    _named_rows(axes, list(values), what)
    return plot


def designs(
    groups: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x: str,
    *,
    logarithmic: bool = False,
) -> Chart:
    """Accuracies in per cent against what networks cost, called `x`: a marker for each network.

    A group of networks shares a colour and a shape; each is two series: costs and accuracies.
    """
    plot = Chart(330)
    axes = plot.subplots()
    looks = zip(itertools.cycle(LINES), itertools.cycle("os^DvP*X"), strict=False)
    for (name, (costs, accuracies)), ((colour, _), marker) in zip(
        groups.items(), looks, strict=False
    ):
        axes.plot(costs, accuracies, marker, color=colour, markersize=8, alpha=0.85, label=name)
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(left=0)
    _lined(axes, x, "accuracy (%)")
    return plot


def learning_rate_sweep(
    sweep: Sweep, chosen: float | None = None, ignorance: float | None = None
) -> Plot:
    """Smoothed loss against the learning rate; a dashed line marks the `chosen` rate.

    A dotted line marks `ignorance`, the loss of a network that knows nothing.
    """
    plot = Chart(300)
    axes = plot.subplots()
    axes.semilogx(sweep.learning_rates, sweep.losses, color=BLUE)
    if chosen is not None:
        axes.axvline(chosen, color=ORANGE, linestyle="--", label=f"chosen peak: {chosen:g}")
    if ignorance is not None:
        axes.axhline(ignorance, color=GREY, linestyle=":", label="knowing nothing")
    _rates(axes)
    _lined(axes, "learning rate", "smoothed loss (nats)")
    return plot


def _rates(axes: Axes) -> None:
    """Plain numbers at a logarithmic axis of learning rates."""
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())


def by_step(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Plot:
    """What happens from step to step of one run or several: a panel for each measure.

    `panels` holds for each measure a series for each run, from step 1 on; the runs of the first
    panel are named.
    """
    plot = Chart(60 + 190 * len(panels))
    grid = plot.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (measure, runs) in zip(grid, panels.items(), strict=True):
        curves = {name: (range(1, len(each) + 1), each) for name, each in runs.items()}
        _curves(axes, curves)
        _lined(axes, "", measure)
    grid[-1].set_xlabel("step", fontsize=Chart.WORDS, loc="right")
    return plot


def accuracy_by_rate(percent: Mapping[str, Mapping[float, float]]) -> Plot:
    """Accuracy against the peak learning rate, on a logarithmic axis; a line for each schedule."""
    plot = Chart(380)
    axes = plot.subplots()
    looks = [*LINES, ("#000000", "-")]
    for (name, by_rate), (colour, style), marker in zip(
        percent.items(), itertools.cycle(looks), itertools.cycle("osD^v"), strict=False
    ):
        rates = sorted(by_rate)
        found = [by_rate[rate] for rate in rates]
        axes.semilogx(rates, found, style, marker=marker, color=colour, label=name)
    _rates(axes)
    axes.set_xticks([0.01, 0.1, 1])
    _lined(axes, "peak learning rate", "validation accuracy (%)")
    return plot


def accuracy_by_size(groups: Mapping[str, Sequence[tuple[int, float]]]) -> Plot:
    """Accuracy in per cent against parameters: a kind of marker for each of `groups`."""
    plot = Chart(380)
    axes = plot.subplots()
    looks = itertools.cycle(zip((GREY, BLUE, ORANGE, GREEN), "oDs^", strict=True))
    for (name, points), (colour, marker) in zip(groups.items(), looks, strict=False):
        sizes, found = zip(*points, strict=True)
        thousands = [size / 1000 for size in sizes]
        axes.plot(thousands, found, marker, color=colour, markersize=8, alpha=0.7, label=name)
    axes.set_xlim(0, 210)
    _lined(axes, "parameters (thousands)", "test accuracy (%)")
    return plot


# -------------------------------------------------------------------------------- statistics


def within_and_between(means: np.ndarray, deviations: np.ndarray) -> Plot:
    """A bar for each image, from its mean brightness less its own deviation to as much above.

    Both (N,), in [0, 1]; the darkest image stands on the left, and a dot marks each mean.
    """
    plot = Chart(330)
    axes = plot.subplots()
    order = np.argsort(means)
    centres, halves = means[order], deviations[order]
    places = range(len(order))
    axes.vlines(
        places,
        centres - halves,
        centres + halves,
        color=BLUE,
        alpha=0.45,
        label="within images",
    )
    axes.plot(places, centres, "o", color=ORANGE, markersize=3, label="between: means")
    axes.set_xticks([])
    _lined(axes, "images, from dark to bright", "brightness")
    return plot


def by_row(
    shares: Mapping[str, Sequence[float]],
    names: Sequence[str],
    what: str,
    *,
    from_zero: bool = True,
) -> Plot:
    """`what`, in per cent, in a row for each of `names`, a marker for each key of `shares`.

    The shares are between 0 and 1. The scale starts at 0, or near the lowest share where
    `from_zero` is false.
    """
    plot = Chart(62 + _written(names)[1] * len(names))
    axes = plot.subplots()
    places = range(len(names))
    looks = itertools.cycle(zip(LINES, "osD^", strict=True))
    for (name, values), ((colour, _), marker) in zip(shares.items(), looks, strict=False):
        percent = [100 * value for value in values]
        axes.plot(percent, places, marker, color=colour, markersize=7, alpha=0.85, label=name)
    if from_zero:
        axes.set_xlim(left=0)
    _named_rows(axes, names, f"{what} (%)")
    return plot


def accuracy_by_rank(percent: Mapping[str, Sequence[float]]) -> Plot:
    """Accuracy of a network whose kernels are cut to rank 1, 2, ...; a line for a name."""
    plot = Chart(330)
    axes = plot.subplots()
    curves = {name: (range(1, len(values) + 1), values) for name, values in percent.items()}
    _curves(axes, curves, marker="o", markersize=5)
    axes.set_ylim(0, 100)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _lined(axes, "rank of the kernels", "accuracy (%)")
    return plot


def share_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x: str,
    y: str,
    *,
    marker: str = "o",
) -> Plot:
    """Curves of `y` against `x` for each name, both in per cent and on one scale from 0 to 100."""
    plot = Chart(330)
    axes = plot.subplots()
    _curves(axes, curves, marker=marker, markersize=5)
    axes.set(xlim=(0, 102), ylim=(0, 102))
    _lined(axes, f"{x} (%)", f"{y} (%)")
    return plot


def confusion_matrix(counts: Tensor, classes: Sequence[str]) -> Plot:
    """How often each class (row) was taken for each other (column); (classes, classes) int64."""
    plot = Plot(7.2, 6.2)
    axes = plot.subplots()
    shares = (counts / counts.sum(dim=1, keepdim=True).clamp(min=1)).numpy()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column]:
            dark = shares[row, column] > 0.5
            axes.text(
                column,
                row,
                f"{counts[row, column]:.0f}",
                ha="center",
                va="center",
                fontsize=FONT_SIZE - 1,
                color="white" if dark else "black",
            )
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.tick_params(labelsize=FONT_SIZE, length=0)
    axes.set_xlabel("guess", fontsize=FONT_SIZE)
    axes.set_ylabel("truth", fontsize=FONT_SIZE)
    axes.spines[:].set_visible(False)
    return plot


def reliability(found: Calibration) -> Plot:
    """Accuracy against confidence, and how many images there are at each confidence."""
    plot = Chart(520)
    above, below = plot.subplots(2, 1, height_ratios=[3, 2])
    above.plot([0, 100], [0, 100], "--", color=GREY, label="as sure as right")
    above.plot(100 * found.confidence, 100 * found.accuracy, "o-", color=BLUE, label="measured")
    bins = len(found.counts)
    middles = [100 * (place + 0.5) / bins for place in range(bins)]
    below.bar(middles, found.counts.numpy(), width=80 / bins, color=ORANGE)
    _lined(above, "", "right guesses (%)")
    _lined(below, "confidence of the guess (%)", "images")
    above.set(xlim=(0, 102), ylim=(0, 102))
    below.set_xlim(0, 102)
    return plot


def reliabilities(found: Mapping[str, Calibration]) -> Plot:
    """Accuracy against confidence of several networks, a line for each; on the thin one, equal."""
    plot = Chart(420)
    axes = plot.subplots()
    axes.plot([0, 100], [0, 100], "-", color=GREY, linewidth=1, label="as sure as right")
    curves = {name: (100 * each.confidence, 100 * each.accuracy) for name, each in found.items()}
    _curves(axes, curves, marker="o", markersize=5)
    _lined(axes, "confidence of the guess (%)", "right guesses (%)")
    axes.set(xlim=(0, 102), ylim=(0, 102))
    return plot


def confidences(found: Mapping[str, Tensor]) -> Plot:
    """How sure a network is of its guesses: a histogram for each kind of picture, in per cent.

    The values are probabilities (N,) of guesses.
    """
    plot = Chart(40 + 130 * len(found))
    grid = plot.subplots(len(found), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (name, shares), colour in zip(
        grid, found.items(), itertools.cycle((BLUE, ORANGE, GREEN)), strict=False
    ):
        axes.hist(100 * shares.numpy(), bins=20, range=(0, 100), color=colour)
        _lined(axes, "", f"{name}, number of pictures")
    grid[-1].set_xlabel("confidence of the guess (%)", fontsize=Chart.WORDS)
    return plot


def activation_maps(
    images: np.ndarray, maps: np.ndarray, captions: Sequence[Sequence[str]], source: str
) -> Plot:
    """Each image, and beside it its maps laid over it: what speaks for a class, and against it.

    `images` (N, H, W, 3) uint8, `maps` (N, columns, h, w), `captions` one for each image and one
    for each of its maps. All share one scale, and 0 has no colour.
    """
    rows, columns = maps.shape[:2]
    plot = Plot(8.4, 0.9 + 8.4 / (columns + 1) * 1.12 * rows)
    grid = plot.subplots(rows, columns + 1, squeeze=False)
    highest = abs(maps).max()
    for axes, image, its_maps, words in zip(grid, images, maps, captions, strict=True):
        axes[0].imshow(image, interpolation="nearest")
        grey, (height, width) = image.mean(axis=2), image.shape[:2]
        whole = (-0.5, width - 0.5, height - 0.5, -0.5)  # where a smaller map has to reach
        for place, its_map in zip(axes[1:], its_maps, strict=True):
            place.imshow(grey, "gray", vmin=0, vmax=255, interpolation="nearest")
            drawn = place.imshow(
                its_map, "PuOr_r", vmin=-highest, vmax=highest, alpha=0.7, extent=whole
            )
        for place, caption in zip(axes, words, strict=True):
            place.set_title(caption, fontsize=FONT_SIZE)
            _bare(place)
    scale = plot.colorbar(drawn, ax=grid, location="bottom", shrink=0.5, aspect=40, pad=0.02)
    scale.set_label("against the class, and for it", fontsize=FONT_SIZE)
    scale.ax.tick_params(labelsize=FONT_SIZE - 1)
    plot.suptitle(source, fontsize=FONT_SIZE + 1)
    return plot


def prediction(
    image: np.ndarray, probabilities: Tensor, maps: Tensor, classes: Sequence[str], count: int = 5
) -> Plot:
    """A picture as the network sees it, the map of its guess, and the `count` likeliest classes.

    `image` (H, W, 3) uint8, `probabilities` (classes,), `maps` (classes, h, w).
    """
    plot = Plot(8.4, 2.8)
    left, middle, right = plot.subplots(1, 3)
    likeliest = probabilities.argsort(descending=True)[:count].tolist()
    left.imshow(image, interpolation="nearest")
    middle.imshow(maps[likeliest[0]].numpy(), cmap="cividis")
    left.set_title(f"{image.shape[1]} x {image.shape[0]} pixels", fontsize=FONT_SIZE)
    middle.set_title(f"what speaks for {classes[likeliest[0]]}", fontsize=FONT_SIZE)
    for axes in (left, middle):
        _bare(axes)
    shares = [100 * probabilities[label].item() for label in likeliest]
    bars = right.barh([classes[label] for label in likeliest], shares, color=BLUE)
    right.bar_label(bars, [f"{share:.0f} %" for share in shares], padding=4, fontsize=FONT_SIZE)
    right.set_xlim(0, 125)  # room for the labels
    right.invert_yaxis()  # the likeliest on top
    right.tick_params(labelsize=FONT_SIZE, length=0)
    right.set_xticks([])
    right.spines[:].set_visible(False)
    return plot


# --- receptive fields


def _framed(axes: Axes, image: np.ndarray, boxes: Mapping[str, Box]) -> None:
    """`image` and `boxes` over it; what lies beyond its edge is padding, and hatched."""
    height, width = image.shape[:2]
    shown = [Box(0, 0, height - 1, width - 1), *boxes.values()]
    top = min(box.top for box in shown) - 0.5
    left = min(box.left for box in shown) - 0.5
    bottom = max(box.bottom for box in shown) + 0.5
    right = max(box.right for box in shown) + 0.5
    padding: dict[str, Any] = {"facecolor": "#f2f2f2", "edgecolor": "#bbbbbb", "hatch": "//"}
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, linewidth=0, **padding))
    axes.imshow(image, interpolation="nearest", zorder=2)
    for (label, box), (colour, style) in zip(boxes.items(), itertools.cycle(LINES), strict=False):
        corner = (box.left - 0.5, box.top - 0.5)
        size = (box.right - box.left + 1, box.bottom - box.top + 1)
        edge: dict[str, Any] = {"fill": False, "zorder": 3}
        axes.add_patch(Rectangle(corner, *size, edgecolor="white", linewidth=5, **edge))
        axes.add_patch(
            Rectangle(
                corner, *size, edgecolor=colour, linestyle=style, linewidth=2.5, label=label, **edge
            )
        )
    axes.set_xlim(left - 0.5, right + 0.5)
    axes.set_ylim(bottom + 0.5, top - 0.5)
    axes.tick_params(labelsize=FONT_SIZE - 1)
    axes.spines[:].set_visible(False)


def field_boxes(image: np.ndarray, boxes: Mapping[str, Box], source: str) -> Plot:
    """What units see, a box for each label, over `image` (H, W, 3) uint8; padding is hatched."""
    plot = Plot(6.4, 4.4)
    axes = plot.subplots()
    _framed(axes, image, boxes)
    axes.set_title(source, fontsize=FONT_SIZE)
    if boxes:
        plot.legend(loc="outside right upper", fontsize=FONT_SIZE, frameon=False)
    return plot


def field_taps(image: np.ndarray, taps: Mapping[str, np.ndarray], source: str) -> Plot:
    """The pixels of `image` (H, W, 3) uint8 that units see, the others greyed out.

    `taps` holds a mask (H, W) bool for each label, and makes a panel of it.
    """
    plot = Plot(8.4, 8.4 / len(taps) + 0.6)
    for axes, (label, mask) in zip(
        plot.subplots(1, len(taps), squeeze=False).flat, taps.items(), strict=True
    ):
        _bare(axes)
        dimmed = np.where(mask[:, :, None], image, 215 + image // 16).astype(np.uint8)
        axes.imshow(dimmed, interpolation="nearest")
        axes.set_title(label, fontsize=FONT_SIZE)
    plot.suptitle(source, fontsize=FONT_SIZE + 1)
    return plot


def field_effective(image: np.ndarray, effective: Effective, box: Box, source: str) -> Plot:
    """Where a unit could look (`box`) and where it does: two sigma over `image`, and the shares.

    `image` (H, W, 3) uint8.
    """
    plot = Plot(8.4, 4.4)
    left, right = plot.subplots(1, 2)
    shares = plot.colorbar(
        right.imshow(effective.share * 100, cmap="cividis", interpolation="nearest"),
        ax=right,
        shrink=0.7,
    )
    shares.set_label("share of the pixel (%)", fontsize=FONT_SIZE)
    shares.ax.tick_params(labelsize=FONT_SIZE - 1)
    right.tick_params(labelsize=FONT_SIZE - 1)
    _framed(left, image, {"theoretical": box})
    (y, x), (height, width) = effective.centre, effective.sigma
    for axes in (left, right):
        for colour, style, thickness in (("white", "-", 5), (ORANGE, "--", 2.5)):
            ellipse = Ellipse((x, y), 4 * width, 4 * height, fill=False, zorder=4)
            ellipse.set(edgecolor=colour, linestyle=style, linewidth=thickness)
            axes.add_patch(ellipse)
    ellipse.set_label("effective: two sigma")
    left.set_title(source, fontsize=FONT_SIZE)
    right.set_title(f"{effective.within:.0%} within two sigma", fontsize=FONT_SIZE)
    plot.legend(loc="outside lower left", ncols=2, fontsize=FONT_SIZE, frameon=False)
    return plot


def paths(shares: Mapping[str, Sequence[float]]) -> Plot:
    """What share of a unit's paths leads to each pixel of its field, along one axis.

    The shares are between 0 and 1, an odd number of them for each name: the unit is in the middle.
    """
    plot = Chart(300)
    axes = plot.subplots()
    looks = itertools.cycle(zip(LINES, "osD^", strict=True))
    for (name, values), ((colour, style), marker) in zip(shares.items(), looks, strict=False):
        side = len(values) // 2
        percent = [100 * value for value in values]
        places = range(-side, side + 1)
        axes.plot(places, percent, style, marker=marker, markersize=5, color=colour, label=name)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _lined(axes, "pixels from the unit", "share of the paths (%)")
    return plot


def field_growth(tables: Mapping[str, Sequence[Row]], image: int | None = None) -> Chart:
    """Height of the field, layer by layer, a line for each table; `image` is its height."""
    plot = Chart(300)
    axes = plot.subplots()
    curves = {}
    for label, rows in tables.items():
        known = [(number, row.size[0]) for number, row in enumerate(rows, 1) if row.size[0]]
        curves[label] = tuple(zip(*known, strict=True))
    _curves(axes, curves, marker="o", markersize=4)
    if image is not None:
        axes.axhline(image, color=GREY, linewidth=1)
        axes.annotate(
            "the image",
            (1, image),
            (0, -4),
            textcoords="offset points",
            fontsize=Chart.WORDS,
            va="top",
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _lined(axes, "layer", "field (pixels)")
    return plot


def field_widths(depths: Sequence[int], widths: Mapping[str, Sequence[float]]) -> Plot:
    """Widths in pixels against the number of layers, a line for each label."""
    plot = Chart(330)
    axes = plot.subplots()
    _curves(axes, {label: (depths, pixels) for label, pixels in widths.items()})
    _lined(axes, "number of layers", "width (pixels)")
    return plot


def field_shares(found: Mapping[str, Effective]) -> Plot:
    """Effective fields side by side, each with its own scale and its ellipse of two sigma."""
    plot = Plot(8.4, 3.2)
    panels = plot.subplots(1, len(found), squeeze=False)[0]
    for axes, (label, effective) in zip(panels, found.items(), strict=True):
        axes.imshow(effective.share, cmap="cividis", interpolation="nearest")
        (y, x), (height, width) = effective.centre, effective.sigma
        for colour, style, thickness in (("white", "-", 5), (ORANGE, "--", 2.5)):
            ellipse = Ellipse((x, y), 4 * width, 4 * height, fill=False)
            ellipse.set(edgecolor=colour, linestyle=style, linewidth=thickness)
            axes.add_patch(ellipse)
        _bare(axes)
        axes.set_title(f"{label}\nsigma {height:.1f} and {width:.1f}", fontsize=FONT_SIZE)
    return plot
