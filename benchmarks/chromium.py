"""The browser that benchmarks of the page drive."""

import contextlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright


@contextlib.contextmanager
def launched(arguments: Sequence[str] = ()) -> Iterator[Browser]:
    """A headless Chromium, started with these command-line arguments.

    Raises: SystemExit with status 2, once it has said so, if there is none.
    """
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        name = Path(sys.argv[0]).stem
        print(f"{name}: no chromium or google-chrome on the PATH; install one.", file=sys.stderr)
        raise SystemExit(2)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(arguments))
        yield browser
        browser.close()
