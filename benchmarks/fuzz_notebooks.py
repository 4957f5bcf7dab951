"""Can any notebook hold up, break or fool those who read it? Tries odd ones for as long as told.

    python -m benchmarks.fuzz_notebooks --minutes 60
    python -m benchmarks.fuzz_notebooks --case 0-1234       one of them again, kept as a file

Each case is the notebook of an assignment with odd cells, odd metadata, or odd bytes. It goes the
way of a submission but for being run: found, read, its cells sorted by question, its answers in
words put on a page. Prints how many there were, why some were refused, and which took the longest
for a byte; exit status 1 if one ended in an error, put something live on a page, or took the
grader's own process longer than `SLOWEST` (what the reader's process takes has its own bound).
"""

import argparse
import copy
import json
import random
import re
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

from cifarlab_course.grading import feedback, grade, gradebook, handed_in, submission
from tests.submissions import ASKED, OPEN, Draft

SLOWEST = 5e-6  # seconds of a processor for a byte, in the grader's own process
SMALL = 50_000  # bytes; of smaller files the time is that of any file
LARGE = 3_000_000
TOKENS = (
    *("\n", "\r", "\r\n", "\t", " ", "    ", "\v", "\u2028", "\0", "\ud800", "é", "猫"),
    *("#", "# exercise: softmax", "# exercise: holes (keep this line)", "# check: holes-a", "# "),
    *("`open: why", "`", "```", "<!-- open: why", "<!--", "-->", "## 4. In your own words"),
    *("# assignment: ", "holes saving", " 0123456789abcdef (keep this line", "why:3:01234567"),
    *("def ", "class ", "holes", "probabilities", "=", "(", ")", ":", "'", '"', "\\", "%%time\n"),
    *("*", "**", "_", "~~", "[", "]", "![", "](", "|", "-", "---", "+", ">", "1.", "&", "&amp;"),
    *(
        "$",
        "$$",
        "\\(",
        "<",
        "</",
        "<b",
        "<script>",
        "<img src=//x onerror=x>",
        "https://x",
        "@x.de",
    ),
    *("javascript:", "data:image/png;base64,", "attachment:a", "AAAA", "0", "{", "//"),
    *("https://x", "mail@x.de", "a", "}"),
)
BASE = Draft().notebook
DEEP = "lists in lists: "
TAGS = set(
    "html head meta title style body main h1 h2 p details summary pre div blockquote strong em s a "
    "img code ul ol li hr br table thead tbody tr th td span".split()
)
ATTRIBUTES = {"alt", "class", "title", "start", "style", "lang", "charset", "name", "content"}


class Live(HTMLParser):
    """Finds what a page must not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        if tag not in TAGS:
            self.found.append(f"<{tag}>")
        for name, value in attributes:
            value = (value or "").strip().lower()
            fine = name in ATTRIBUTES or (tag == "meta" and name == "http-equiv")
            fine = fine or (tag == "img" and name == "src" and value.startswith("data:image/"))
            bad = value.startswith(("javascript:", "vbscript:", "data:", "file:"))
            if not (fine or (tag == "a" and name == "href" and not bad)):
                self.found.append(f"<{tag} {name}={value[:50]!r}>")


# ------------------------------------------------------------------------------------ odd notebooks


def size(chance: random.Random) -> int:
    """So many characters: mostly few, at times millions."""
    return int(10 ** chance.uniform(0, 6.3))


def text(chance: random.Random) -> str:
    """A few tokens over and over, or in disorder."""
    tokens = chance.choices(TOKENS, k=chance.randint(1, 5))
    many = size(chance) // max(1, len("".join(tokens))) + 1
    if chance.random() < 0.7:
        return "".join(tokens) * many
    return "".join(chance.choices(tokens, k=many))


def value(chance: random.Random, depth: int = 0):
    """Anything that JSON can say."""
    kind = chance.randrange(9 if depth < 4 else 6)
    if kind == 6:
        return [value(chance, depth + 1) for _ in range(chance.randint(0, 4))]
    if kind == 7:
        return {text(chance)[:20]: value(chance, depth + 1) for _ in range(chance.randint(0, 4))}
    if kind == 8:  # deeper than Python can write; `file` does
        return f"{DEEP}{chance.choice([10, 100, 100, 300, 50_000])}"
    return (None, True, chance.uniform(-1e300, 1e300), 10**300, text(chance)[:100], "why")[kind]


def cell(chance: random.Random) -> dict:
    """An odd cell."""
    made = {
        "cell_type": chance.choice(["code", "markdown", "raw", "heading", None, 7]),
        "source": text(chance),
        "metadata": chance.choice([{}, {"cifarlab": value(chance)}, value(chance)]),
    }
    if chance.random() < 0.3:
        made["source"] = made["source"].splitlines(True)
    for name in ("outputs", "attachments", "input", "source", "cell_type"):
        if chance.random() < 0.1:
            made[name] = value(chance)
    if chance.random() < 0.2:
        picture = {"image/png": chance.choice(["AAAA", text(chance)])}
        made["outputs"] = [{"data": picture, "text": text(chance)}] * chance.randint(1, 3)
        made["attachments"] = {chance.choice(["a", text(chance)[:30]]): picture}
    return made


def notebook(chance: random.Random) -> dict:
    """The assignment, with odd cells in it, and others changed, doubled, moved or gone."""
    made = copy.deepcopy(BASE)
    cells = made["cells"]
    for _ in range(chance.randint(0, 6)):
        cells.insert(chance.randint(0, len(cells)), cell(chance))
    if chance.random() < 0.3:
        changed = chance.choice(cells)
        changed["source"] = f"{changed['source']}{text(chance)}"
    if chance.random() < 0.2:
        cells *= chance.choice([2, 100, 600])
    if chance.random() < 0.1:
        chance.shuffle(cells)
    if chance.random() < 0.1:
        del cells[chance.randrange(len(cells)) :]
    if chance.random() < 0.1:
        return {"worksheets": [{"cells": cells}, value(chance)], "cells": value(chance)}
    return made


def file(chance: random.Random) -> bytes:
    """An odd file."""
    if chance.random() < 0.05:  # no notebook at all
        unit = chance.choice(["[", "{}", "[],", '{"":', "9", '"', "1e9,", "\0", '"a":1,', " "])
        return (chance.choice(["", '{"cells":[']) + unit * size(chance)).encode()
    made = json.dumps(notebook(chance), ensure_ascii=chance.random() < 0.5)
    made = re.sub(f'"{DEEP}(\\d+)"', lambda deep: "[" * int(deep[1]) + "]" * int(deep[1]), made)
    if chance.random() < 0.1:
        return made.encode(chance.choice(["utf-8-sig", "utf-16", "utf-32-be"]), "replace")
    data = bytearray(made.encode(errors="surrogatepass"))
    if chance.random() < 0.15:
        for _ in range(chance.choice([1, 10, 1000])):
            data[chance.randrange(len(data))] = chance.randrange(256)
    if chance.random() < 0.05:
        del data[chance.randrange(len(data)) :]
    return bytes(data)


# ----------------------------------------------------------------------------------------- one case


def seconds() -> tuple[float, float]:
    """Of a processor, that this process took, and that its children did."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time(), children.ru_utime + children.ru_stime


def go(folder: Path) -> str:
    """The way of a submission; why it was refused, if it was.

    Raises: AssertionError if its page holds something live, and whatever else goes wrong.
    """
    opened = grade.opened(handed_in.Learner("eve", places=(folder,)))
    chosen = grade.chosen(opened, ASKED)
    if chosen.reason:
        assert "can't be read" not in chosen.reason, chosen.reason
        return chosen.reason
    found = submission.read(submission.contents(chosen.path))
    pieces = submission.pieces(found.cells, ASKED.exercises)
    for exercise in ASKED.exercises:
        list(submission.attempts(pieces, exercise))
    words = submission.written(found.cells, ASKED)
    list(grade.oddities(found, words, ASKED))
    result = grade.Result({}, words.answers, words.elsewhere)
    row = gradebook.Row(dict.fromkeys(ASKED.most, None), [])
    page = feedback.page(row, result, chosen, ASKED, gradebook.Entries({}, [], ","))
    live = Live()
    live.feed(page)
    assert not live.found, f"on the page: {live.found[:5]}"
    return "shown as it was typed" if "Shown as it was typed" in page else ""


def tried(name: str, folder: Path) -> tuple[int, float, float, str]:
    """Bytes, seconds of this process and of the readers, and why it was refused or wrong."""
    data = file(random.Random(name))[:LARGE]
    (folder / "a.ipynb").write_bytes(data)
    before = seconds()
    try:
        told = go(folder)
    except Exception:  # what is looked for here
        told = f"ERROR {traceback.format_exc(limit=-3)}"
    here, there = (after - began for began, after in zip(before, seconds(), strict=True))
    return len(data), here, there, told


def main() -> int:
    """Try, and tell; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--case", default="")
    options = parser.parse_args()
    assert OPEN.name in ASKED.open
    if options.case:
        with tempfile.TemporaryDirectory() as folder:
            print(*tried(options.case, Path(folder)))
        Path(f"{options.case}.ipynb").write_bytes(file(random.Random(options.case))[:LARGE])
        return 0

    refused: Counter[str] = Counter()
    slowest = {"the grader's process": (0.0, "", 0), "a reader's process": (0.0, "", 0)}
    faults, number, total = [], 0, 0
    end = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            name = f"{options.seed}-{number}"
            length, here, there, told = tried(name, Path(folder))
            number, total = number + 1, total + length
            if told.startswith("ERROR"):
                faults.append(f"{name}: {told}")
            elif told:
                refused["".join("9" if c.isdigit() else c for c in told)[:60]] += 1
            for which, took in zip(slowest, (here, there), strict=True):
                if length >= SMALL and took / length > slowest[which][0]:
                    slowest[which] = (took / length, name, length)
            if length >= SMALL and here / length > SLOWEST:
                faults.append(f"{name}: {here:.2f} s of the grader for {length:,} bytes")
    print(f"{number:,} notebooks, {total / 2**20:,.0f} MB, {len(faults)} faults")
    for which, (took, name, length) in slowest.items():
        print(f"slowest byte in {which}: {took * 1e6:.3f} µs (case {name}, {length:,} bytes)")
    print(*(f"{count:,} times: {why}" for why, count in refused.most_common()), sep="\n")
    print(*faults[:20], sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
