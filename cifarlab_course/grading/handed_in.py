"""Find out who handed in what, in a folder as learners or a learning platform left it.

Whatever a folder or file is called, and however deep it goes, it costs its own learner's row at
most. Nothing is read here but names.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

SKIPPED = "__MACOSX"  # copies that a program leaves; so are all that begin with a point
DEEPEST = 8  # folders in a learner's folder
MOST = 10_000  # files and folders in one
TABLES = (
    "-results.jsonl",
    "-canvas.csv",
    "-by-hand.csv",
    "-changes.csv",
    "-overview.html",
    "-words.html",
    "-read.csv",
    "-moodle.csv",
    "-feedback-canvas.zip",
    "-feedback-moodle.zip",
)
CANVAS_ITS, MOODLE_ITS = "Canvas", "Moodle"
# Canvas's download is flat; source: lib/content_zipper.rb in instructure/canvas-lms.
CANVAS = re.compile(
    r"(?P<name>.+?)_(?P<late>LATE_)?(?P<number>\d+)_(?:(?P<file>\d+)_.+|text\.html|link\.html)"
)
# And so where it hides the names, whose five signs are no number.
ANONYMOUS = re.compile(
    r"(?P<late>LATE_)?(?P<name>anon_(?!\d{5}_)[A-Za-z0-9]{5})_(?P<number>)"
    r"(?:(?P<file>\d+)_.+|text\.html|link\.html)"
)
# Moodle's has a folder for each learner or group and kind, and no number for those who are in no
# group; source: mod/assign/classes/downloader.php in moodle/moodle.
MOODLE = re.compile(r"(?P<name>.+?)(?:_(?P<number>\d+))?_assignsubmission_[a-z]+(?:_.*)?")


@dataclass(frozen=True)
class Learner:
    """Whose work it is, and where it lies."""

    name: str  # as it stands in the tables, where no two are alike
    number: str = ""  # by which the platform knows the learner
    platform: str = ""  # Canvas, Moodle, or none
    places: tuple[Path, ...] = ()  # folders, and files that lay loose
    flags: tuple[str, ...] = ()
    row: int | None = None  # in the roster, if there is one
    members: tuple["Learner", ...] = ()  # of a group


class HandedIn(NamedTuple):
    """All learners, and what was left out or taken in an unusual way."""

    learners: list[Learner]
    notes: list[str]
    left: tuple[str, ...] = ()  # names that are no learner's


def look(folder: Path, called: Path | None = None) -> HandedIn:
    """Who handed in something, by folders and by loose files that say whose they are.

    Errors call the folder by another name, if it is `called` by one.

    Raises: ValueError if there is nobody.
    """
    called = called or folder
    if not folder.is_dir():
        raise ValueError(f"SUBMISSIONS={called}: no such folder, and no zip.")
    notes = []
    places = sorted(entries(folder))
    if len(places) == 1 and holds_a_class(places[0]):
        notes.append(f"'{shown(places[0].name)}' holds several learners' folders: took those")
        places = sorted(entries(places[0]))
    tables = {
        path.name.removesuffix(end) for path in places for end in TABLES if path.name.endswith(end)
    }
    own_names = {f"{stem}{end}" for stem in tables for end in (*TABLES, "-feedback", ".csv")}
    learners, left = [], []
    for path in (path for path in places if path.name not in own_names):
        if learner := whose(path):
            learners.append(learner)
        else:
            left.append(shown(path.name))
    if left:
        names = ", ".join(f"'{name}'" for name in left[:10]) + ", …" * (len(left) > 10)
        notes.append(f"left out, as no learner's: {names}")
    if not learners:
        raise ValueError(
            f"{called} holds no submission; it must hold a folder for each learner, or notebooks "
            "that are called after them."
        )
    return HandedIn(merged(learners), notes, tuple(left))


def entries(folder: Path) -> Iterator[Path]:
    """What a folder holds, in no order, but for what programs hide in it.

    Raises: OSError.
    """
    with os.scandir(folder) as inside:
        for entry in inside:
            if not entry.name.startswith(".") and entry.name != SKIPPED:
                yield Path(entry.path)


def is_folder(path: Path) -> bool:
    """Is it a folder, rather than a link to one? No error where a path is too long or barred."""
    return os.path.isdir(path) and not os.path.islink(path)


def holds_a_class(path: Path) -> bool:
    """Is this folder, the only one, that of a whole class rather than of a learner?

    So it is where an archive was unpacked one level too deep: at least two learners, no file.
    """
    if not is_folder(path):
        return False
    inside = list(entries(path))
    return len(inside) > 1 and all(is_folder(entry) or by_platform(entry) for entry in inside)


def by_platform(path: Path) -> re.Match | None:
    """What a learning platform says of a file or folder by its name."""
    match = MOODLE.fullmatch(path.name)
    if match or is_folder(path):
        return match
    return ANONYMOUS.fullmatch(path.name) or CANVAS.fullmatch(path.name)


def file_number(path: Path) -> int:
    """The number that Canvas gave a file, greater than those before; 0 if it isn't from there."""
    match = by_platform(path)
    return int(match["file"] or 0) if match and match.re is not MOODLE else 0


def whose(path: Path) -> Learner | None:
    """Whose a folder or a loose file is; None if it doesn't say."""
    number, platform, flags = "", "", []
    if match := by_platform(path):
        name, number = match["name"], match["number"] or ""
        platform = MOODLE_ITS if match.re is MOODLE else CANVAS_ITS
        if platform == CANVAS_ITS and match["late"]:
            flags.append("handed in late, as its name says")
    elif path.suffix.lower() == ".ipynb" and not is_folder(path):
        name = path.stem
    elif os.path.isdir(path):
        name = path.name
    else:
        return None
    if shown(name) != unicodedata.normalize("NFC", name):
        flags.append("its name, which holds odd signs or begins like a formula, is spelled out")
    return Learner(shown(name), number, platform, (path,), tuple(flags))


def shown(name: str) -> str:
    """A name as it stands in tables and pages: what no table can hold is spelled out.

    Names come from learners, and spreadsheets take what begins with = + - or @ for a formula.
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    text = "".join(
        sign
        if sign.isprintable() or unicodedata.category(sign) == "Zs"
        else sign.encode("unicode_escape").decode()
        for sign in unicodedata.normalize("NFC", text)
    )
    return re.sub(r"(^|[;,|])( *)(?=[=+@-])", r"\1\2'", text)


def merged(learners: Iterable[Learner]) -> list[Learner]:
    """The learners, each once; those who share a name are told apart by their numbers."""
    by_name: dict[str, dict[str, Learner]] = {}
    for learner in learners:
        by_number = by_name.setdefault(learner.name, {})
        earlier = by_number.get(learner.number, learner)
        by_number[learner.number] = earlier if earlier is learner else joined(earlier, learner)
    unique: dict[str, Learner] = {}
    for name, by_number in by_name.items():
        if len(by_number) == 2 and "" in by_number:  # one of the two places has no number to say
            (number,) = by_number.keys() - {""}
            by_number = {number: joined(by_number[number], by_number[""])}
        for number, learner in by_number.items():
            own = f"{name} ({number or 'no number'})" if len(by_number) > 1 else name
            while own in unique:
                own += " (again)"
            unique[own] = replace(learner, name=own)
    return sorted(unique.values(), key=lambda learner: learner.name)


def joined(one: Learner, other: Learner) -> Learner:
    """Two places of the same learner."""
    flags = dict.fromkeys(one.flags + other.flags)
    return replace(one, places=one.places + other.places, flags=tuple(flags))


def within(learner: Learner, path: Path) -> str:
    """What a file of a learner is called, below the learner's folder."""
    for place in learner.places:
        if path != place and path.is_relative_to(place):
            return shown(str(path.relative_to(place)))
    return shown(path.name)


# --------------------------------------------------------------------------- a learner's folder


@dataclass
class Files:
    """What lies in the places of a learner."""

    notebooks: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)  # why there may be more


def files(learner: Learner) -> Files:
    """The files of a learner, found without following links, and within bounds."""
    result = Files()
    if not learner.places:
        result.reasons.append("nothing handed in")
    waiting = [(place, 0) for place in reversed(learner.places)]
    for _ in range(MOST):
        if not waiting:
            break
        path, depth = waiting.pop()
        if depth == 0 and os.path.islink(path) and os.path.isdir(path):
            result.reasons.append("the folder is a link")
        elif is_folder(path) and depth > DEEPEST:
            result.reasons.append(f"folders more than {DEEPEST} deep, not looked into")
        elif is_folder(path):
            try:
                inside = sorted(islice(entries(path), MOST), reverse=True)
                waiting += [(entry, depth + 1) for entry in inside]
            except OSError as error:
                result.reasons.append(f"'{shown(path.name)}' can't be opened: {error.strerror}")
        elif path.suffix.lower() == ".ipynb":
            result.notebooks.append(path)
        else:
            result.others.append(path)
    if waiting:
        result.reasons.append(f"more than {MOST:,} files, not all looked at")
    return result
