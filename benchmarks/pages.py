"""How heavy is each page of the built book, with all that it loads?

    make book && python -m benchmarks.pages

Opens every page of `_build/html` in headless Chromium over file://, and adds up the files that it
asks for, as they lie on the disk: a server that compresses sends less. Prints kB, the heaviest page
first; exit status 1 if the first page of the book weighs 3 MB or more.
"""

import shutil
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

from playwright.sync_api import Browser, sync_playwright
from tqdm import tqdm

HTML = Path(__file__).resolve().parent.parent / "_build" / "html"
FIRST = HTML / "book" / "welcome.html"
BAR = 3_000_000  # bytes


def loaded(browser: Browser, page: Path) -> set[Path]:
    """The files that `page` asks for, itself included."""
    context = browser.new_context(offline=True)
    files = set()
    context.on("request", lambda request: files.add(request.url))
    opened = context.new_page()
    opened.goto(page.as_uri(), wait_until="networkidle")
    context.close()
    addresses = [urlparse(each) for each in files if each.startswith("file:")]
    return {Path(unquote(address.path)) for address in addresses}


def main() -> int:
    """Weigh and print."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None or not FIRST.is_file():
        missing = "chromium or google-chrome on the PATH" if chromium is None else f"{FIRST}"
        print(f"pages: no {missing}; install the one, `make book` the other.", file=sys.stderr)
        return 2
    pages = [
        page for page in HTML.rglob("*.html") if not page.relative_to(HTML).parts[0].startswith("_")
    ]
    weights = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        for page in tqdm(sorted(pages), "pages", leave=False, disable=None):
            files = loaded(browser, page)
            weights[page] = sum(file.stat().st_size for file in files if file.is_file())
        browser.close()
    print("| page | itself, kB | with all that it loads, kB |\n| --- | --: | --: |")
    for page, weight in sorted(weights.items(), key=lambda pair: -pair[1]):
        own = page.stat().st_size
        print(f"| {page.relative_to(HTML).as_posix()} | {own / 1000:,.0f} | {weight / 1000:,.0f} |")
    if weights[FIRST] >= BAR:
        print(
            f"pages: the first page weighs {weights[FIRST]:,} bytes; it has to stay below {BAR:,}."
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
