"""Unpack a learning platform's download, within bounds: nothing lands outside its folder.

Only notebooks get contents. Of all other files nothing but the name is looked at, so they are
unpacked empty, whatever they hold.
"""

import contextlib
import errno
import os
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cifarlab_course.grading.reader import LARGEST

MOST_FILES = 100_000
MOST_BYTES = 8 * 2**30  # of all notebooks
CHUNK = 2**20  # bytes that are unpacked at a time
UTF8 = 0x800  # the flag by which an archive says that a name is in UTF-8
NO_PLACE = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.EINVAL}


class Note(NamedTuple):
    """What is to be said of a file."""

    name: str
    said: str


@contextlib.contextmanager
def unpacked(place: Path) -> Iterator[tuple[Path, list[Note]]]:
    """The folder that holds what was handed in: `place`, or a temporary one if that is a file.

    Also what could not be unpacked as it was.

    Raises: ValueError if it is no zip, or holds too much.
    """
    if not place.is_file():
        yield place, []
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder), unpack(place, Path(folder))


def unpack(archive: Path, folder: Path) -> list[Note]:
    """Unpack a zip into a folder that is empty; what could not be unpacked as it was.

    A file whose place is inside is there in any case, so that whoever handed it in has a row.

    Raises: ValueError if it is no zip, or holds too much.
    """
    notes, room = [], MOST_BYTES
    try:
        packed = zipfile.ZipFile(archive)
    except Exception as error:  # a file may begin like a zip and hold anything
        raise ValueError(
            f"SUBMISSIONS={archive}: no folder, and no zip that can be read ({error}); download "
            "it again, or unpack it, and name its folder."
        ) from error
    with packed:
        if len(packed.infolist()) > MOST_FILES:
            raise ValueError(
                f"SUBMISSIONS={archive}: {len(packed.infolist()):,} files, and {MOST_FILES:,} are "
                "allowed; unpack it, and name its folder."
            )
        for entry in packed.infolist():
            name = name_of(entry)
            try:
                said, size = unpack_one(packed, entry, name, folder)
            except OSError as error:
                if error.errno not in NO_PLACE:
                    raise
                said, size = f"has no place: {error.strerror}", 0
            if said:
                notes.append(Note(name, said))
            if (room := room - size) < 0:
                raise ValueError(
                    f"SUBMISSIONS={archive}: more than {MOST_BYTES / 2**30:.0f} GB of notebooks; "
                    "unpack it, and name its folder."
                )
    return notes


def name_of(entry: zipfile.ZipInfo) -> str:
    """The name of an entry. Canvas writes it in UTF-8 without the flag that says so."""
    name = entry.filename
    if not entry.flag_bits & UTF8:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")  # Python took it for that
    return name.replace("\\", "/")


def unpack_one(
    packed: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, folder: Path
) -> tuple[str, int]:
    """Unpack an entry; what is to be said of it, if anything, and the bytes that it takes.

    Raises: OSError if it has no place, or there is no room for it.
    """
    parts = name.removesuffix("/").split("/")
    if {"", ".", ".."} & {*parts}:
        return "left out: it leads out of the archive", 0
    path = folder.joinpath(*parts)
    if name.endswith("/"):
        path.mkdir(parents=True, exist_ok=True)
        return "", 0
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with path.open("xb") as file:
        said = "a link, not followed" if stat.S_ISLNK(entry.external_attr >> 16) else ""
        if path.suffix.lower() == ".ipynb" and not said:
            source = chunks(packed, entry)
            while size <= LARGEST:  # what is larger can't be graded, which is told of it then
                try:
                    chunk = next(source, b"")
                except Exception as error:  # damaged, with a password, or packed in another way
                    said = f"can't be unpacked: {error}"
                    break
                if not chunk:
                    break
                size += file.write(chunk)
    with contextlib.suppress(ValueError, OverflowError):  # an archive may hold any numbers
        when = time.mktime((*entry.date_time, 0, 0, -1))
        os.utime(path, (when, when))
    return said, size


def chunks(packed: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """What an entry holds, bit by bit."""
    with packed.open(entry) as source:
        while chunk := source.read(CHUNK):
            yield chunk
