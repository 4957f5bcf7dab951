"""Schematic drawings: maps, kernels, arrows and words, as SVG in the colours of the page.

A drawing has no ground of its own, so that it is right on light and on dark pages. Lengths are in
the page's pixels, from the top left corner, and no drawing is wider than the smallest screen.

    >>> plan = Drawing(300, 90, alt="Two grids of three by three squares.", caption="Two kernels.")
    >>> plan.grid(10, 20, rows=3, columns=3).grid(90, 20, rows=3, columns=3, colour=SECOND)
    Drawing(300, 90, caption='Two kernels.')
"""

import html
from collections.abc import Sequence

FIRST = "var(--pst-color-primary, #26859f)"
SECOND = "var(--pst-color-secondary, #c06a10)"
THIRD = "var(--cifarlab-third, #9a6bb3)"
MUTED = "var(--pst-color-text-muted, #7f7f7f)"
PLAIN = "currentcolor"
WIDEST = 300  # pixels: a screen of 320, without its margins
FONT_SIZE = 16  # pixels, as the page's own text


class Drawing:
    """A figure that grows by calls, each of which returns it; the last line of a cell shows it."""

    def __init__(self, width: int, height: int, *, alt: str, caption: str) -> None:
        """`alt` says what is drawn, to somebody who cannot see it; `caption` what to look for.

        Raises: ValueError if a small screen could not show it, or one of the texts is missing.
        """
        if width > WIDEST:
            raise ValueError(f"width is {width}; a small screen shows {WIDEST} pixels.")
        if not alt.strip() or not caption.strip():
            raise ValueError("a drawing needs its alt text and its caption; write both.")
        self.width, self.height, self.alt, self.caption = width, height, alt, caption
        self.parts: list[str] = []

    def __repr__(self) -> str:
        return f"Drawing({self.width}, {self.height}, caption={self.caption!r})"

    def text(self, x: float, y: float, words: str, *, anchor: str = "start") -> "Drawing":
        """Words on the line at `y`; `anchor` is what of them lies at `x`: start, middle or end."""
        place = f'x="{x}" y="{y}" text-anchor="{anchor}"'
        self.parts.append(f'<text {place} fill="{PLAIN}">{html.escape(words)}</text>')
        return self

    def grid(
        self,
        x: float,
        y: float,
        *,
        rows: int,
        columns: int,
        side: float = 16,
        colour: str = FIRST,
        shades: Sequence[Sequence[float]] | None = None,
    ) -> "Drawing":
        """Squares, such as a kernel's; `shades`, by row, say from 0 to 1 how full."""
        for row in range(rows):
            for column in range(columns):
                shade = 0.35 if shades is None else shades[row][column]
                self.parts.append(
                    f'<rect x="{x + side * column}" y="{y + side * row}" width="{side}" '
                    f'height="{side}" fill="{colour}" fill-opacity="{shade:.2f}" '
                    f'stroke="{colour}"/>'
                )
        return self

    def stack(
        self, x: float, y: float, *, colours: Sequence[str], side: float = 46, shift: float = 9
    ) -> "Drawing":
        """Maps one behind another, the first of `colours` in front."""
        for depth in reversed(range(len(colours))):
            place = f'x="{x + shift * depth}" y="{y + shift * (len(colours) - 1 - depth)}"'
            self.parts.append(
                f'<rect {place} width="{side}" height="{side}" fill="var(--pst-color-background, '
                f'white)"/><rect {place} width="{side}" height="{side}" fill="{colours[depth]}" '
                f'fill-opacity="0.35" stroke="{colours[depth]}"/>'
            )
        return self

    def arrow(self, x: float, y: float, to_x: float, to_y: float) -> "Drawing":
        """A straight arrow."""
        length = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5
        along = (to_x - x) / length, (to_y - y) / length
        across = -along[1], along[0]
        barbs = [
            (to_x - 8 * along[0] + turn * across[0], to_y - 8 * along[1] + turn * across[1])
            for turn in (-4, 4)
        ]
        tip = " ".join(f"{a:.1f},{b:.1f}" for a, b in [barbs[0], (to_x, to_y), barbs[1]])
        self.parts.append(
            f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="{PLAIN}"/>'
            f'<polyline points="{tip}" fill="none" stroke="{PLAIN}"/>'
        )
        return self

    def line(self, x: float, y: float, to_x: float, to_y: float) -> "Drawing":
        """A thin straight line, for what is connected."""
        ends = f'x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}"'
        self.parts.append(f'<line {ends} stroke="{PLAIN}" stroke-opacity="0.5"/>')
        return self

    def dot(self, x: float, y: float, colour: str = FIRST) -> "Drawing":
        """A dot with its centre there, such as one unit of a layer."""
        self.parts.append(f'<circle cx="{x}" cy="{y}" r="5" fill="{colour}"/>')
        return self

    def bracket(self, x: float, y: float, width: float, words: str = "") -> "Drawing":
        """A bracket under something, with words below."""
        path = f"M{x},{y} v6 h{width} v-6"
        self.parts.append(f'<path d="{path}" fill="none" stroke="{PLAIN}"/>')
        return self.text(x + width / 2, y + 24, words, anchor="middle") if words else self

    def _repr_html_(self) -> str:
        return (
            f'<figure class="drawing" style="margin: 1rem 0; max-width: {2 * self.width}px">'
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'role="img" aria-label="{html.escape(self.alt)}" font-size="{FONT_SIZE}" '
            f'font-family="inherit" style="width: 100%; min-width: {self.width}px">'
            f"{''.join(self.parts)}</svg>"
            f"<figcaption>{html.escape(self.caption)}</figcaption></figure>\n"
        )
