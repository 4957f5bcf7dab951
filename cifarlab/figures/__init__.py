"""Figures to play with, in a notebook's output and in a page of the book.

Each is one JavaScript file in this folder, drawn behind what `figure.js` gives to all of them. As
HTML it carries its script along: it needs no kernel, no file beside it and no network.
"""

import base64
import html
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from statistics import fmean
from typing import Any

from cifarlab.figures import _recorded as recorded

FOLDER = Path(__file__).parent
LIVE = ("accurate", "fast", "baseline")  # recipes whose networks lie here, ready for a page
# Seen only while no script runs: a browser then shows what stands inside an unknown element.
UNSCRIPTED = (
    "<p><em>Something to play with belongs here, and it needs a script. In a notebook: run this "
    "cell, or trust the notebook. In the book: allow scripts in your browser.</em></p>"
)


@dataclass(frozen=True)
class Figure:
    """A figure and what it starts with; the last line of a cell shows it."""

    name: str
    parameters: dict[str, Any] = field(repr=False)
    still: str = field(default="", repr=False)  # HTML that says the same where no script runs

    def _repr_html_(self) -> str:
        """The same text each time, so that a stored output can be compared."""
        parameters = html.escape(json.dumps(self.parameters, ensure_ascii=False))
        source = "\n".join(script.read_text(encoding="utf-8") for script in scripts(self.name))
        # The attribute tells JupyterLab that keys pressed in here are not its shortcuts.
        return (
            f'<cifarlab-{self.name} role="group" aria-label="{self.name.replace("-", " ")}" '
            f'data-lm-suppress-shortcuts="true" parameters="{parameters}">\n'
            f"{self.still or UNSCRIPTED}\n</cifarlab-{self.name}>\n"
            # In a function: a page may hold many figures, and their scripts share no names.
            f"<script>\n(() => {{\n{source}}})();\n</script>\n"
        )


def show(name: str, **given: Any) -> Figure:
    """The figure of `<name>.js`, started with the values `given` instead of its own.

    The receptive-field explorer takes more than numbers: a `picture` (H, H, 3) of uint8 with its
    `source`, and as `layers` a network, if that is a chain of convolutions and poolings. The run
    browser takes as `runs` the names of those that it shall hold, in place of all; the live
    predictions take as `networks` recipes' names, or what `course export` makes of a run. The game
    of keep or refuse takes `cards`, each with a `picture`, its `label`, whether to `keep` it, and
    `why`.

    >>> show("convolution-stepper", kernel=5, padding=2)
    Figure(name='convolution-stepper')

    Raises: ValueError if there is no such figure, it has no such parameter, or a value is not one
    that it takes.
    """
    figures = {path.stem: parameters(path) for path in sorted(FOLDER.glob("*.js"))}
    known = [each for each, names in figures.items() if names]
    if name not in known:
        raise ValueError(f"there is no figure {name!r}; there are: {', '.join(known)}.")
    if unknown := [parameter for parameter in given if parameter not in figures[name]]:
        names = ", ".join(figures[name])
        raise ValueError(f"{name} has no parameter {unknown[0]!r}; it has: {names}.")
    shown = {
        parameter: accepted(f"{parameter} of {name}", value, figures[name][parameter], given)
        for parameter, value in given.items()
    }
    if name == "live-predictions":
        shown.setdefault("networks", LIVE)
    if name == "keep-or-refuse":
        shown.setdefault("cards", [])
    convert: dict[str, Callable[[Any], Any]] = {
        "picture": colours,
        "source": text,
        "layers": chain,
        "runs": recorded.runs,
        "networks": exported,
        "cards": dealt,
    }
    shown = {key: convert[key](value) if key in convert else value for key, value in shown.items()}
    files = {key: each["file"] for key, each in figures[name].items() if "file" in each}
    beside = {key: content(FOLDER / file) for key, file in files.items()}
    measured: dict[str, Callable[[], dict[str, Any]]] = {
        "dense-dilated-separable": lambda: {"times": recorded.times()},
        "epochs-and-augmentations": lambda: {"arms": recorded.arms()},
        "rank-slider": lambda: {"ranks": recorded.ranks()},
        "run-browser": lambda: {"runs": recorded.runs()},
    }
    holds = beside | measured.get(name, dict)() | shown
    still = table(holds["arms"]) if name == "epochs-and-augmentations" else ""
    return Figure(name, holds, still)


def table(arms: Sequence[dict]) -> str:
    """What augmentation buys, as HTML: means of an experiment's seeds, for who sees no script."""
    heads = "augmentation", "epochs", "in the log", "training", "held out", "gap"
    rows = []
    for arm in arms:
        last = [log[-1] for log in arm["logs"]]
        log, training, held_out = map(fmean, (last, arm["training"], arm["held_out"]))
        numbers = (f"{each:.1f}" for each in (log, training, held_out, training - held_out))
        cells = "".join(f"<td>{each}</td>" for each in (arm["epochs"], *numbers))
        rows.append(f'<tr><th scope="row">{arm["augmentation"]}</th>{cells}</tr>')
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    return (
        "<table><caption>Per cent right, means of three seeds</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def accepted(parameter: str, value: Any, limits: dict[str, Any], given: dict[str, Any]) -> Any:
    """`value`, if it is within the `limits` that a script tells of its parameter.

    They are `least` and `most`, of a whole number; the words that it is `among`, or "runs", the
    names of those `given` or of all; or none.

    Raises: ValueError if it is not.
    """
    if "least" in limits:
        least, most = limits["least"], limits["most"]
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not (whole and least <= value <= most):
            raise ValueError(
                f"{parameter} is {value!r}; it takes whole numbers from {least} to {most}."
            )
        return int(value)  # NumPy's numbers are not JSON's
    if "among" in limits:
        among = limits["among"]
        if among == "runs":
            among = recorded.chosen(given.get("runs"))
        if not (isinstance(value, str) and value in among):
            raise ValueError(f"{parameter} is {value!r}; it is one of: {', '.join(among)}.")
    return value


def exported(chosen: Sequence[str | dict]) -> list[dict]:
    """Networks as `course export` writes them; those in LIVE can be chosen by name.

    Raises: ValueError if none is chosen, or one that there is not.
    """
    if not chosen or any(each not in LIVE for each in chosen if isinstance(each, str)):
        raise ValueError(f"networks is {chosen!r}; it is one or more of: {', '.join(LIVE)}.")
    return [
        content(FOLDER / f"live-{each}.json") if isinstance(each, str) else each for each in chosen
    ]


def dealt(cards: Sequence[dict]) -> list[dict]:
    """The cards of keep or refuse, their pictures as `colours` makes them.

    Raises: ValueError if there is none, or one has other keys than it must have.
    """
    keys = {"picture", "label", "keep", "why"}
    if not cards or any(set(card) != keys for card in cards):
        raise ValueError(
            f"cards holds {len(cards)}; pass one or more, each with {', '.join(sorted(keys))}."
        )
    return [{**card, "picture": colours(card["picture"])} for card in cards]


def content(path: Path) -> Any:
    """What a JSON file holds; a picture as an address that holds it all."""
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    return f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def parameters(script: Path) -> dict[str, dict]:
    """The object PARAMETERS of a script, which is JSON; empty if it has none."""
    found = re.search(r"^const PARAMETERS = ({.*?^});", script.read_text("utf-8"), re.M | re.S)
    return json.loads(found[1]) if found else {}


def text(source: Any) -> str:
    """`source` itself, if it is text.

    Raises: ValueError if it is not.
    """
    if not isinstance(source, str):
        raise ValueError(f"source is {source!r}; pass text.")
    return source


def colours(picture: Any) -> list[str]:
    """Each row of `picture` (H, H, 3) uint8 as text, a pixel as three hexadecimal digits.

    So a stored output shows a picture of the data set in 16 steps per colour, but does not hold it.

    Raises: ValueError if it is no such array.
    """
    shape, kind = getattr(picture, "shape", None), getattr(picture, "dtype", type(picture).__name__)
    if not shape or shape != (shape[0], shape[0], 3) or kind != "uint8":
        raise ValueError(f"picture is {shape} of {kind}; pass a square one (H, H, 3) of uint8.")
    return ["".join(f"{value >> 4:x}" for value in row.ravel()) for row in picture]


def chain(network: Any) -> list[dict]:
    """The layers of a module, as the explorer edits them.

    Raises: ValueError if it is no chain of square convolutions and poolings, or pads with
    anything but zeros: from the border more paths then lead to pixels than the explorer counts.
    """
    from torch import nn  # here: the book is built without PyTorch

    from cifarlab.receptive_field import analyze

    if not isinstance(network, nn.Module):
        raise ValueError(f"layers is {network!r}; pass a network, a torch.nn.Module.")
    parts = dict(network.named_modules())
    # Odd and even, for `ceil_mode` and an uneven padding show only where a window does not fit in.
    analyses = [analyze(network, (size, size)) for size in (63, 64)]
    layers, jump, start, units = [], 1, 0, [(63, 63), (64, 64)]
    for row, *grids in zip(analyses[0].table(), *(each.labels for each in analyses), strict=True):
        before, units = units, [grid.units for grid in grids]
        simple = all(pair and pair[0] is not None and pair[0] == pair[1] for pair in row[1:])
        if simple:
            kernel, stride, dilation = row.kernel[0], row.stride[0], row.dilation[0]
            padding = (start - row.start[0]) // jump
            room = 2 * padding - dilation * (kernel - 1) - 1
            simple = units == [((each + room) // stride + 1,) * 2 for each, _ in before]
        if not simple:
            raise ValueError(
                f"the explorer edits chains of square convolutions and poolings, and {row.layer!r} "
                "is none. Pass the layers before it; receptive_field.analyze takes most networks."
            )
        # A row is a layer, the second call of "pool" as "pool#2", or what a `forward` calls itself,
        # as "stem: max_pool2d"; a network that is one layer has no names.
        part = parts.get(row.layer.partition("#")[0])
        kind = type(part).__name__ if part else row.layer.rpartition(": ")[2]
        layers.append(
            {
                "kind": "pooling" if "pool" in kind.lower() else "convolution",
                "kernel": kernel,
                "stride": stride,
                "dilation": dilation,
                "padding": padding,
            }
        )
        jump, start = row.jump[0], row.start[0]
    if not layers:
        raise ValueError(
            "the explorer edits chains of square convolutions and poolings, and "
            f"{type(network).__name__} has none of them."
        )
    looks = (look for g in analyses[0].grids for _, ways in g.links for look in ways)
    if border := next((s.step.border for s in looks if s.step.border != "constant"), None):
        raise ValueError(
            f"the explorer pads with zeros, and {type(network).__name__} by {border!r}. Pass it "
            "with padding_mode='zeros'; receptive_field.analyze takes most networks."
        )
    return layers


def scripts(name: str) -> list[Path]:
    """The files that make a figure: `figure.js`, what it names as `// After FILE.js.`, its own."""
    own = FOLDER / f"{name}.js"
    after = re.findall(r"^// After (.*\.js)\.$", own.read_text(encoding="utf-8"), re.MULTILINE)
    return [FOLDER / "figure.js", *(FOLDER / each for each in after), own]


# ----------------------------------------------------------------------------------- quizzes

QUIZZES = FOLDER / "quizzes"


def quiz(topic: str) -> Figure:
    """The questions of `quizzes/<topic>.txt`; `topic` is the lesson's file name without number.

    Raises: ValueError if there is no such file, or one of its lines is not as it should be.
    """
    path = QUIZZES / f"{topic}.txt"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in QUIZZES.glob("*.txt")))
        raise ValueError(f"there is no quiz {topic!r}; there are: {known}.")
    return Figure("quiz", {"questions": read_quiz(topic, path.read_text(encoding="utf-8"))})


def read_quiz(topic: str, text: str) -> list[dict]:
    """The questions of a quiz: a line `? question`, then two choices or more.

    A choice is a line `+ choice | feedback` if it is right, else `- choice | feedback`; a question
    has one that is right. A line `# heading` names the section of the lesson that the questions
    below it review, if any. `topic` is for messages.

    Raises: ValueError that names the topic, the line and what belongs there.
    """
    questions: list[dict] = []
    section = ""

    def demand(holds: bool, number: int, what: str) -> None:
        if not holds:
            raise ValueError(f"quiz {topic!r}, line {number}: {what}")

    def close(number: int) -> None:
        if questions:
            choices = questions[-1]["choices"]
            demand(len(choices) > 1, number, "the question before needs two choices or more.")
            right = sum(choice["right"] for choice in choices)
            demand(right == 1, number, f"the question before has {right} right choices (+), not 1.")

    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        sign, words = line[0], line[1:].strip()
        demand(
            sign in "#?+-" and line[1:2] == " " and words != "",
            number,
            f'{line!r} starts with none of "# ", "? ", "+ " and "- ", or ends there.',
        )
        if sign == "#":
            section = words
            continue
        if sign == "?":
            close(number)
            questions.append({"section": section, "question": words, "choices": []})
            continue
        demand(questions != [], number, "a choice, but no question (?) stands before it.")
        choice, _, feedback = (part.strip() for part in words.partition("|"))
        demand(
            choice != "" and feedback != "",
            number,
            f'{line!r}: write "{sign} choice | feedback", and say in the feedback why.',
        )
        questions[-1]["choices"].append(
            {"choice": choice, "right": sign == "+", "feedback": feedback}
        )
    close(len(lines))
    demand(questions != [], max(len(lines), 1), "no question (?) in the whole file.")
    return questions
