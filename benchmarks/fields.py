"""Receptive fields of six hundred networks of eight libraries: answered, and right?

    make fields LIBRARIES=folder [ONLY="timm kornia"]

`folder` holds the libraries, which our environment has not: benchmarks/networks.txt says how to
fill it. For each network, one line of JSON goes to validation/fields.jsonl; a network that has one
already is left out, so a run that was cut off goes on. Without `folder`, only the summary is
printed.

Verdicts: `whole`; `partly`, up to an operation that is refused; `refused`, without any map; `late`
and `error`, which should not be. What cannot be built, or cannot itself run on such an image, is
`invalid` and does not count.

`checked` counts the maps that the network itself was asked about, by NaN pixels, `wrong` says what
spoke against an answer: the height and width of a map; a NaN outside a unit's field that reaches
it; one at each of its four edges that doesn't. No code is shared with the rules. Weights are
positive, so that none is zero; where such sums outgrow float32, float64 takes them. Convolutions
are PyTorch's own: oneDNN's work in tiles, in which a NaN spreads.
"""

import argparse
import json
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import networks
from benchmarks.networks import Shape
from cifarlab.receptive_field import Analysis, Field, Refused, analyze

SECONDS = 60  # of the processor, for each network: to build it, to analyse it, and to check it
LARGEST = 300e6  # parameters
SMALL = (64, 96)  # pixels, of the image that the check takes
VERDICTS = ["whole", "partly", "refused", "late", "error", "invalid"]
CHECKED = ("whole", "partly")


class Late(BaseException):
    """Time is up; nothing on the way may take it for an error of the network."""


class Reached(Exception):
    """Stops a network: what comes after the map does not matter."""


def in_time(function: Callable, *values):
    """What `function` gives.

    Raises: Late after SECONDS.
    """

    def ring(*_) -> None:
        raise Late

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return function(*values)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


# ------------------------------------------------------------------------------ the analysis


def examine(make: Callable, asked: bool) -> dict:
    """Verdict on one network, and what the check found, if it is `asked`."""
    try:
        network, shape = in_time(make)
        network.eval()
        if sum(parameter.numel() for parameter in network.parameters()) > LARGEST:
            return {"verdict": "invalid", "why": "too large"}
        even_weights(network)
    except (Exception, SystemExit, Late) as error:
        return {"verdict": "invalid", "why": brief(error)}
    facts: dict = {"image": list(shape)}
    try:
        analysis = in_time(fields_of, network, shape)
        facts |= {"verdict": "whole", "last": repr(analysis.last_map)}
    except Refused as error:
        analysis = error.analysis
        rows = len(analysis.table()) if analysis else 0
        facts |= {"verdict": "partly" if rows else "refused", "rows": rows, "why": brief(error)}
        if not runs(network, shape):
            return {**facts, "verdict": "invalid"}
    except Late:
        return {**facts, "verdict": "late"}
    except Exception as error:
        return {**facts, "verdict": "error", "why": brief(error)}
    if asked and facts["verdict"] in CHECKED:
        try:
            facts |= in_time(check, network, shape)
        except Late:
            facts["unchecked"] = "late"
        except Exception as error:
            facts["unchecked"] = brief(error)
    return facts


def fields_of(network: nn.Module, shape: Shape) -> Analysis:
    """The analysis, with the fields of all maps."""
    analysis = analyze(network, shape[1:], channels=shape[0])
    for follow in ("nominal", "real"):
        getattr(analysis, follow)
    return analysis


def brief(error: BaseException) -> str:
    """An error in one short line."""
    text = " ".join(str(error).split())
    return text[:300] if isinstance(error, Refused) else f"{type(error).__name__}: {text[:200]}"


def runs(network: nn.Module, shape: Shape) -> bool:
    """Whether the network itself takes such an image."""
    try:
        with torch.no_grad():
            in_time(network, torch.rand(1, *shape))
    except (Exception, Late):
        return False
    return True


def even_weights(network: nn.Module) -> None:
    """Positive weights that keep numbers about as large as they are."""
    with torch.no_grad():
        for tensor in network.parameters():
            if tensor.is_floating_point() and not tensor.is_meta:
                tensor.fill_(1 / tensor[0].numel() if tensor.ndim else 1)


# --------------------------------------------------------------------------------- the check


def check(network: nn.Module, shape: Shape) -> dict:
    """How many maps were asked about, on which image, and what speaks against their fields.

    Two maps: one about a third of the way, and the last of more than one unit. On a small image,
    if the network takes it.
    """
    small = (shape[0], *SMALL)
    if min(shape[1:]) < 2 * min(SMALL) or not runs(network, small):
        small = shape
    try:
        analysis = fields_of(network, small)
    except Refused as error:
        analysis = error.analysis
    first: dict = {}
    for name in analysis.calls:  # the network itself is the last
        if "#" not in name and is_map(field := analysis[name]):
            first.setdefault(field.grid, name)  # the same map goes through many modules
    names = [*first.values()]
    chosen = dict.fromkeys([names[len(names) // 3], names[-1]]) if names else {}
    wrong = [
        f"{name}: {doubt}" for name in chosen for doubt in doubts(network, analysis, name, shape[0])
    ]
    return {"checked": len(chosen), "pixels": list(small[1:]), "wrong": wrong}


def is_map(field: object) -> bool:
    """Whether a module gave one tensor (N, C, height, width) of more than one unit."""
    return (
        isinstance(field, Field)
        and len(field.layout) == 4
        and field.layout[2:] == ("height", "width")
        and field.units != (1, 1)
    )


def doubts(network: nn.Module, analysis: Analysis, name: str, channels: int) -> list[str]:
    """What speaks against the field of one unit of the map that module `name` gives."""
    field, (height, width) = analysis[name], analysis.size
    y, x = unit = field.units[0] // 2, field.units[1] // 3
    box = field.box(y, x, clipped=True)
    types = (each.dtype for each in network.parameters() if each.is_floating_point())
    plain = torch.rand(channels, height, width, generator=torch.Generator().manual_seed(0))
    plain = plain.to(next(types, plain.dtype))

    def reaches(*places: tuple) -> bool:
        """Whether a NaN in these places of an image spoils the unit."""
        image = plain.clone()
        for place in places:
            image[place] = torch.nan
        output = output_of(network, name, image)
        if tuple(output.shape[-2:]) != field.units:
            raise AssertionError(f"it has {tuple(output.shape[-2:])} units, not {field.units}")
        return bool(output[..., y, x].isnan().any())

    every = slice(None)
    found = []
    try:
        if reaches():  # without any NaN: float32 is too narrow for the network's numbers
            network, plain = network.double(), plain.double()
            if reaches():
                raise ValueError(f"unit {unit} of {name} is NaN for any image")
        if box is None:
            return [f"unit {unit} sees something"] if reaches((every,)) else []
        top, left, bottom, right = box
        outside = [(every, slice(0, top)), (every, slice(bottom + 1, height))]
        outside += [(every, every, slice(0, left)), (every, every, slice(right + 1, width))]
        if reaches(*outside):
            found.append(f"unit {unit} sees something outside of {tuple(box)}")
        # A corner that is seen stands for the row and the column that meet there.
        for row, column in ((top, left), (bottom, right)) if field.exact else ():
            if reaches((every, row, column)):
                continue
            lines = {f"row {row}": (every, row), f"column {column}": (every, every, column)}
            for line, place in lines.items():
                if not reaches(place):
                    found.append(f"unit {unit} with the box {tuple(box)} sees nothing in {line}")
    except AssertionError as error:
        found.append(str(error))
    return found


def output_of(network: nn.Module, name: str, image: Tensor) -> Tensor:
    """What module `name` gives in its first call, for one image."""
    outputs: list[Tensor] = []

    def look(_, inputs: tuple, output: Tensor) -> None:
        outputs.append(output)
        raise Reached

    handle = network.get_submodule(name).register_forward_hook(look)
    enabled, *_ = torch.backends.mkldnn.set_flags(False)
    try:
        with torch.no_grad():
            network(image[None].clone())
    except Reached:
        return outputs[0]
    finally:
        torch.backends.mkldnn.set_flags(enabled)
        handle.remove()
    raise ValueError(f"{name} does not run")


# ------------------------------------------------------------------------------- the summary


def summary(lines: list[dict]) -> str:
    """A table of counts, and what was refused, by operation."""
    head = ["library", "networks", *VERDICTS[:-1], "checked", "wrong"]
    rows = [head, ["---", *["--:"] * (len(head) - 1)]]
    valid = [line for line in lines if line["verdict"] != "invalid"]
    libraries = [*dict.fromkeys(line["library"] for line in valid), None]
    for library in libraries:
        own = [line for line in valid if library in (None, line["library"])]
        verdicts = Counter(line["verdict"] for line in own)
        checked = [line for line in own if line.get("checked")]
        wrong = [line for line in checked if line["wrong"]]
        counts = [len(own), *(verdicts[verdict] for verdict in VERDICTS[:-1])]
        rows.append([library or "sum", *counts, len(checked), len(wrong)])
    text = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    whole, known = (
        100 * sum(line["verdict"] in verdicts for line in valid) / max(len(valid), 1)
        for verdicts in (("whole",), ("whole", "partly"))
    )
    text += ["", f"{whole:.1f} % answered whole, {known:.1f} % whole or up to the refusal."]
    text += [f"- {line['library']} {line['name']}: {line['verdict']}, {line.get('why', '')}"
             for line in lines if line["verdict"] != "whole"]  # fmt: skip
    text += [f"- WRONG {line['library']} {line['name']}: {'; '.join(line['wrong'])}"
             for line in lines if line.get("wrong")]  # fmt: skip
    return "\n".join(text)


def read(path: Path) -> list[dict]:
    """The lines of a run, if there was one."""
    networks: dict = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        facts = json.loads(line)
        networks[facts["library"], facts["name"]] = facts  # a later line is a better one
    return [*networks.values()]


def main() -> None:
    """Try what has not been tried, and print the summary."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", nargs="?", help="where the libraries are")
    options.add_argument("--only", nargs="*", default=[], help="of these libraries, or these names")
    options.add_argument("--out", type=Path, default=Path("validation/fields.jsonl"))
    options.add_argument("--quick", action="store_true", help="leave the check for another run")
    chosen = options.parse_args()
    if chosen.folder:
        sys.path.append(chosen.folder)  # behind our own packages
        torch.set_num_threads(1)
        warnings.filterwarnings("ignore")
        with networks.unset_weights():
            run(chosen.only, chosen.out, check=not chosen.quick)
    print(summary(read(chosen.out)))


def run(only: list[str], out: Path, *, check: bool) -> None:
    """One line for each network that has none yet, or none that says what the check found."""
    done = {
        (line["library"], line["name"])
        for line in read(out)
        if not check or {"checked", "unchecked"} & line.keys() or line["verdict"] not in CHECKED
    }
    for library, collection in networks.LIBRARIES.items():
        for name, make in collection():
            if (library, name) in done or (only and not {library, name} & {*only}):
                continue
            line = {"library": library, "name": name, **examine(make, check)}
            with out.open("a") as file:
                print(json.dumps(line), file=file)


if __name__ == "__main__":
    main()
