"""Find the entries in a folder, and read each: a run's record and weights, its network's source.

Nothing here runs or unpickles what was handed in: a record is JSON, weights are safetensors, and
the source stays text.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from cifarlab import challenge, model, schema
from cifarlab.recipes import Recipe
from cifarlab_course.grading import handed_in
from cifarlab_course.grading.handed_in import Learner
from cifarlab_course.grading.reader import Unreadable
from cifarlab_course.grading.submission import contents

# Platforms put something before a file's name, and a number behind it where it came twice.
NAMES = {
    name: re.compile(rf"(?:.*_)?{stem}(?:-\d+)?\.{ending}")
    for name in ("record.json", "record.safetensors", "network.py")
    for stem, ending in [name.split(".")]
}
MOST = {"record.json": 4 * 2**20, "record.safetensors": 2 * 2**20}  # bytes
SOURCE = 20_000  # characters of network.py and of the network's options: no place for weights
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class Refused(Exception):
    """Why an entry is not taken in."""


@dataclass(frozen=True)
class Entry:
    """What was handed in, read and not yet believed."""

    name: str
    record: schema.Record
    recipe: Recipe  # its, but for the network
    network: str
    options: dict
    source: str  # of its network; empty where that is one of the course's own
    weights: bytes
    numbers: int  # of 4 bytes, in the file of weights, that count as parameters
    fingerprint: str  # of the weights, whatever they are called


def look(folder: Path) -> tuple[list[Learner], list[str]]:
    """Who handed in something, and the names of what is nobody's.

    Raises: ValueError if there is no such folder; OSError if it can't be read.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; name one that holds a folder for each entry.")
    learners, left = [], []
    for path in sorted(handed_in.entries(folder)):
        if learner := handed_in.whose(path):
            learners.append(learner)
        else:
            left.append(handed_in.shown(path.name))
    return handed_in.merged(learners), left


def read(learner: Learner, name: str) -> Entry:
    """What a learner handed in, as the entry `name`.

    Raises: Refused.
    """
    found = files(learner)
    weights = content(found, "record.safetensors")
    content(found, "record.json")
    try:
        record = schema.read(found["record.json"])
        recipe = Recipe(**{**vars(record.recipe), "network": "fast", "network_options": {}})
        network, options = record.recipe.network, record.recipe.network_options
    except (AttributeError, TypeError, ValueError) as error:
        said = str(error).replace(str(found["record.json"]), "record.json")
        raise Refused(f"record.json can't be read: {said}") from error
    check_claims(record)
    if not isinstance(network, str) or not isinstance(options, dict):
        raise Refused("record.json names no network with options")
    return Entry(
        name,
        record,
        recipe,
        network,
        options,
        source_of(found, network, options),
        weights,
        *weighed(weights),
    )


def files(learner: Learner) -> dict[str, Path]:
    """The files of an entry, by the names that they should have.

    Raises: Refused if one is there twice.
    """
    found: dict[str, Path] = {}
    inside = handed_in.files(learner)
    for path in inside.others:
        for name, pattern in NAMES.items():
            if pattern.fullmatch(path.name):
                if name in found:
                    raise Refused(f"it holds several {name}; leave the one that counts")
                found[name] = path
    if not found and inside.reasons:
        raise Refused("; ".join(inside.reasons))
    return found


def content(found: dict[str, Path], name: str) -> bytes:
    """The bytes of a file of an entry.

    Raises: Refused if it is not there, a trap, or too large.
    """
    if name not in found:
        raise Refused(f"{name} is missing; a run leaves it in its folder")
    try:
        data = contents(found[name])
    except Unreadable as error:
        raise Refused(str(error)) from error
    if len(data) > MOST[name]:
        raise Refused(
            f"{name} has {len(data) / 2**20:.1f} MB, and {MOST[name] // 2**20} are allowed"
        )
    return data


def source_of(found: dict[str, Path], network: str, options: dict) -> str:
    """The text of network.py; none, where the network is one of the course's own.

    Raises: Refused.
    """
    source = ""
    if "network.py" in found:
        try:
            source = contents(found["network.py"]).decode("utf-8-sig")
        except Unreadable as error:
            raise Refused(str(error)) from error
        except UnicodeDecodeError as error:
            raise Refused("network.py is no text in UTF-8") from error
    elif network not in model.NETWORKS:
        raise Refused(
            f"its network {network[:50]!r} is none of the course's, so network.py must hold its "
            f"class, the imports that it needs and model.NETWORKS[{network[:50]!r}] = ..."
        )
    if (length := len(source) + len(json.dumps(options))) > SOURCE:
        raise Refused(
            f"network.py and the network's options have {length:,} characters, and {SOURCE:,} are "
            "allowed: weights belong into record.safetensors"
        )
    return source


def check_claims(record: schema.Record) -> None:
    """Refuse a record whose numbers are none.

    Raises: Refused.
    """
    for name in ("parameters", "multiply_adds"):
        value = getattr(record, name)
        if type(value) is not int or not 0 <= value < 2**63:
            raise Refused(f"record.json: {name} is no number of things")
    value = record.test_accuracy
    if value is not None and (
        type(value) not in (int, float) or not (math.isfinite(value) and 0 <= value <= 100)
    ):
        raise Refused("record.json: test_accuracy is no share in per cent")


def weighed(weights: bytes) -> tuple[int, str]:
    """How many numbers of 4 bytes a file of weights holds that count, and their fingerprint.

    A network can say of itself what it likes: but what it has learned lies in this file. Running
    statistics do not count, up to the number that the referee allows.

    Raises: Refused if it is no such file.
    """
    try:
        tensors = load(weights)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"record.safetensors can't be read: {error}") from error
    sizes = {name: -(-tensor.nbytes // 4) for name, tensor in tensors.items()}
    statistics = sum(size for name, size in sizes.items() if name.endswith(STATISTICS))
    counts = sum(sizes.values()) - (statistics if statistics <= challenge.STATISTICS else 0)
    return counts, fingerprint(tensors.values())


def fingerprint(tensors: Iterable[Tensor]) -> str:
    """A text that is the same for the same weights, whatever they are called."""
    digests = [
        hashlib.sha256(tensor.reshape(-1).view(torch.uint8).numpy().tobytes()).digest()
        for tensor in tensors
    ]
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()
