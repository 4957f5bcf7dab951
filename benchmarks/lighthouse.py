"""What does Lighthouse say of the built book's pages, on a slow phone and a slow network?

    make book && python -m benchmarks.lighthouse node_modules/.bin/lighthouse [--book OTHER]

Serves `_build/html` from this machine, compressed by gzip, and lets Lighthouse (npm install
lighthouse), named by its path, look at some pages with its mobile preset. OTHER is the
`_build/html` of another copy; books take turns. A figure is the median of the runs. Prints four
scores of 100; the seconds until something (FCP) and the largest part (LCP) is painted; milliseconds
for which the page does not answer (TBT); how far things jump (CLS); kB sent and requests; and the
index that Lighthouse gives this machine, as TBT and with it the first score depend on its speed.
Exit status 1 if a page of the first book scores less than 85 for performance or 100 for
accessibility, or its welcome page is heavier than 600 kB.
"""

import argparse
import gzip
import json
import shutil
import statistics
import subprocess
import sys
import threading
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HTML = Path(__file__).resolve().parent.parent / "_build" / "html"
PAGES = (
    "book/welcome.html",
    "lessons/03-receptive-fields.html",
    "lessons/05-depthwise-separable-convolutions.html",
    "lessons/09-train-under-200k.html",
)
PACKED = {".html", ".css", ".js", ".json", ".svg", ".txt", ".xml"}
SCORES = ("performance", "accessibility", "best-practices", "seo")
FIRST = PAGES[0]
LIMIT = 600  # kB
COLUMNS = (
    "perf.",
    "acc.",
    "best",
    "SEO",
    "FCP, s",
    "LCP, s",
    "TBT, ms",
    "CLS",
    "kB",
    "requests",
    "index",
)


@cache
def packed(path: str) -> bytes:
    """A file, compressed as servers do it."""
    return gzip.compress(Path(path).read_bytes(), compresslevel=6, mtime=0)


class Packing(SimpleHTTPRequestHandler):
    """Serves a folder; text is compressed, and connections stay open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send one file."""
        path = Path(self.translate_path(self.path))
        if path.suffix not in PACKED or not path.is_file():
            super().do_GET()
            return
        body = packed(str(path))
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def served(book: Path) -> ThreadingHTTPServer:
    """A server of `book`, on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Packing, directory=str(book)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def asked(lighthouse: str, address: str) -> list[float]:
    """What Lighthouse finds, in the order of COLUMNS."""
    command = [
        *(lighthouse, address, "--quiet", "--output=json"),
        *("--only-categories=" + ",".join(SCORES), "--chrome-flags=--headless=new --no-sandbox"),
    ]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    audits = found["audits"]
    timed = {
        name: audits[name]["numericValue"]
        for name in (
            *("first-contentful-paint", "largest-contentful-paint"),
            *("total-blocking-time", "cumulative-layout-shift", "total-byte-weight"),
        )
    }
    first, largest, blocked, jumped, sent = timed.values()
    scores = [100 * (found["categories"][name]["score"] or 0) for name in SCORES]
    requests = len(audits["network-requests"]["details"]["items"])
    index = found["environment"]["benchmarkIndex"]
    return [*scores, first / 1000, largest / 1000, blocked, jumped, sent / 1000, requests, index]


def main() -> int:
    """Serve, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lighthouse", help="path of the command")
    parser.add_argument("--book", type=Path, action="append", default=[], help="another, beside it")
    parser.add_argument("--pages", nargs="+", default=PAGES)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    books = [HTML, *(book.resolve() for book in given.book)]
    needed = [book / FIRST for book in books]
    if shutil.which(given.lighthouse) is None or not all(page.is_file() for page in needed):
        print("lighthouse: needs its command, and books that are built.", file=sys.stderr)
        return 2
    servers = [served(book) for book in books]
    short = False
    places = "" if len(books) == 1 else " book |"
    print(f"| page |{places} {' | '.join(COLUMNS)} |")
    print("| --- |" + (" --- |" if places else "") + " --: |" * len(COLUMNS))
    for page in given.pages:
        runs: list[list[list[float]]] = [[] for _ in books]
        for _ in range(given.runs):
            for place, server in enumerate(servers):
                address = f"http://127.0.0.1:{server.server_port}/{page}"
                runs[place].append(asked(given.lighthouse, address))
        for place, (book, tries) in enumerate(zip(books, runs, strict=True)):
            medians = [statistics.median(column) for column in zip(*tries, strict=True)]
            forms = (".0f",) * 4 + (".1f", ".1f", ",.0f", ".3f", ",.0f", ".0f", ",.0f")
            told = [f"{value:{form}}" for value, form in zip(medians, forms, strict=True)]
            name = f" {book.parent.parent.name} |" if places else ""
            print(f"| {page} |{name} {' | '.join(told)} |", flush=True)
            if place == 0:
                short |= medians[0] < 84.5 or medians[1] < 100
                short |= page == FIRST and medians[-3] > LIMIT
    for server in servers:
        server.shutdown()
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
