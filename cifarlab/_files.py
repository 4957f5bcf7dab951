"""A file is whole or absent: write under a temporary name, then rename."""

import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HOST = re.sub(r"\W", "-", platform.node())  # machines may share a folder


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to `path` when the block ends without an error.

    On an error the temporary file goes and what stood at `path` stays. Where a process was killed
    in the middle, the next that writes `path` removes what it left.

    Raises: OSError naming `path` if it, or its folder, can't be written.
    """
    temporary = path.with_name(own_name(f".{path.name}"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent, f".{path.name}")
        yield temporary
        with temporary.open("r+b") as written:  # Windows flushes only what may be written
            os.fsync(written.fileno())  # on disk before it takes the name
        os.replace(temporary, path)
    except OSError as error:  # where a disk is full, the system doesn't say for which file
        raise OSError(
            f"{path} can't be written: {error.strerror or error}. What stood there before is kept; "
            "make room, or the folder writable, and try again."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def own_name(prefix: str) -> str:
    """`prefix`, this machine and this process: a name that no other process gives."""
    return f"{prefix}-{HOST}-{os.getpid()}"


def remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove from `folder` what has an `own_name` of a process of this machine that has ended.

    A killed process can't tidy up behind itself.
    """
    if os.name == "nt":  # where asking after a process interrupts it
        return
    for path in folder.iterdir():
        number = re.fullmatch(re.escape(f"{prefix}-{HOST}") + r"-(\d+)(-\w+)?", path.name)
        if number and not _is_running(int(number[1])):
            with suppress(OSError):  # another process may be tidying up too
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 does nothing but ask
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it runs, but is somebody else's
        return True
    return True
