"""How long a class takes to grade, in how much memory, and whether a cut batch ends the same.

    python -m benchmarks.grading

200 submissions of three questions: every tenth damaged or wrong, every twentieth hostile. Graded
whole; then once more, killed half-way, and gone on with. Needs bubblewrap; takes many minutes.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from tqdm import tqdm

from cifarlab_course.grading.sandbox import memory
from tests.submissions import CASES, SECRET, Draft, save

COUNT = 200
HOSTILE = "endless_loop exit_at_once memory_hog checks_edited kill_the_parent".split()
DAMAGED = [name for name, case in CASES.items() if case.kind in ("damaged", "wrong")]


def hand_in(folder: Path) -> None:
    """The class's submissions, no two alike."""
    for number in range(COUNT):
        place = folder / f"learner-{number:03}"
        if number % 20 == 7:
            CASES[HOSTILE[number // 20 % len(HOSTILE)]].fill(place)
        elif number % 10 == 2:
            CASES[DAMAGED[number // 10]].fill(place)
        else:
            save(Draft().first(f"# learner {number}"), place / "assignment.ipynb")


def start(folder: Path, table: str) -> subprocess.Popen:
    """Start to grade."""
    options = {"submissions": folder / "handed-in", "out": folder / table, "jobs": 2, "timeout": 30}
    words = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return subprocess.Popen(
        [sys.executable, "-m", "cifarlab_course.cli", "grade", *words],
        env=os.environ | {"SECRET": SECRET},
    )


def watched(grading: subprocess.Popen, results: Path, most: int = COUNT) -> float:
    """Wait until it ends, or has `most` results; the greatest memory of all its processes, GiB."""
    peak, whole = 0, psutil.Process(grading.pid)
    with tqdm(total=most) as bar:
        while grading.poll() is None and bar.n < most:
            numbers = [whole.pid, *(child.pid for child in whole.children(recursive=True))]
            peak = max(peak, sum(map(memory, numbers)))
            bar.update((results.read_bytes().count(b"\n") if results.exists() else 0) - bar.n)
            time.sleep(0.5)
    return peak / 2**30


def main() -> None:
    """Print the minutes, the memory and whether the tables are the same."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        hand_in(folder / "handed-in")
        print(f"load {os.getloadavg()[0]:.1f} at the start, {os.cpu_count()} cores")
        began = time.monotonic()
        grading = start(folder, "whole.csv")
        peak = watched(grading, folder / "whole-results.jsonl")
        assert grading.wait() == 0
        minutes = (time.monotonic() - began) / 60
        print(f"{COUNT} submissions: {minutes:.1f} minutes, {peak:.2f} GiB at most")
        cut = start(folder, "cut.csv")
        watched(cut, folder / "cut-results.jsonl", COUNT // 2)
        cut.kill()
        cut.wait()
        print(f"killed; table there: {(folder / 'cut.csv').exists()}")
        assert start(folder, "cut.csv").wait() == 0
        same = (folder / "cut.csv").read_bytes() == (folder / "whole.csv").read_bytes()
        print(f"gone on with: the same table: {same}; load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
