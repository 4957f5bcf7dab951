"""A file is whole or absent: write under a temporary name, then rename."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to `path` when the block ends without an error.

    On an error the temporary file goes and what stood at `path` stays.

    Raises: OSError if the folder can't be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{os.getpid()}")  # no other process's
    try:
        yield temporary
        with temporary.open("r+b") as written:  # Windows flushes only what may be written
            os.fsync(written.fileno())  # on disk before it takes the name
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
