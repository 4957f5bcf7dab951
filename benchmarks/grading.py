"""How long a class takes to grade, in how much memory, whole, cut off, or on Dask's workers.

    python -m benchmarks.grading --count 1000
    python -m benchmarks.grading --count 200 --against ../older

So many submissions of three questions, no two alike: most of them right, some wrong, empty, with
errors or with PyTorch, one of a hundred in an endless loop. One pool of two grades them whole; once
more, killed half-way and gone on with; then two workers of Dask, of which one is killed half-way.
Or this clone in turn with an older one, which has a `.venv` of its own: the ratio. Needs bubblewrap
and Dask; takes many minutes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from cifarlab_course.grading.sandbox import memory
from tests.submissions import ASKED, HOLES, SECRET, Draft, rows, save

HERE = Path(__file__).parents[1]
JOBS = 2


def hand_in(folder: Path, count: int) -> None:
    """The class's submissions, no two alike."""
    for number in range(count):
        save(handed_in(number), folder / f"learner-{number:04}" / "assignment.ipynb")


def handed_in(number: int) -> Draft:
    """What a learner hands in, by her number."""
    draft = Draft().first(f"# learner {number}")
    exercise = ASKED.exercises[number // 10 % len(ASKED.exercises)]
    if number % 100 == 7:
        draft.say(HOLES, "while True:\n    pass")
    elif number % 10 == 2:
        draft.say(exercise, exercise.wrong[number // 30 % len(exercise.wrong)].source)
    elif number % 10 == 4:
        draft.say(exercise, f"def answer(:\n    return {number}")
    elif number % 10 == 6:
        draft.answer(exercise)["source"] = exercise.stub
    elif number % 10 == 8:
        draft.first("import torch")
    return draft


def start(submissions: Path, out: Path, *more: str, clone: Path = HERE) -> subprocess.Popen:
    """Have a clone grade them into a folder `out`, by its own Python."""
    python = sys.executable if clone == HERE else str(clone.resolve() / ".venv" / "bin" / "python")
    places = ["--submissions", str(submissions), "--out", str(out / "grades.csv")]
    out.mkdir(exist_ok=True)
    with said(out).open("w") as log:
        return subprocess.Popen(
            [python, "-m", "cifarlab_course.cli", "grade", *places, "--timeout", "30", *more],
            cwd=clone,
            env=os.environ | {"SECRET": SECRET},
            stdout=log,
            stderr=log,
        )


def said(out: Path) -> Path:
    """Where stands what grading into a folder said, beside it."""
    return out.with_suffix(".log")


def watched(grading: subprocess.Popen, out: Path, most: int) -> float:
    """Wait until it ends, or has `most` results; the greatest memory of all its processes, GiB."""
    peak, done, results = 0, 0, out / "grades-results.jsonl"
    whole = psutil.Process(grading.pid)
    while grading.poll() is None and done < most:
        numbers = [whole.pid, *(child.pid for child in whole.children(recursive=True))]
        peak = max(peak, sum(map(memory, numbers)))
        done = results.read_bytes().count(b"\n") if results.exists() else 0
        time.sleep(0.5)
    return peak / 2**30


def finished(grading: subprocess.Popen, out: Path) -> float:
    """Wait until it ends, as it must; the greatest memory of all its processes, GiB."""
    peak = watched(grading, out, sys.maxsize)
    if grading.returncode:
        raise SystemExit(f"{out.name} failed:\n{said(out).read_text()[-2000:]}")
    return peak


def kill_a_worker(grading: subprocess.Popen) -> None:
    """Kill one of Dask's workers that is at work: a child of which a sandbox is one."""
    for child in psutil.Process(grading.pid).children():
        if any(below.name() == "bwrap" for below in child.children(recursive=True)):
            child.kill()
            return
    raise SystemExit("no worker is at work")


def tables(out: Path) -> dict[str, bytes]:
    """All that was written, but for the results, which stand in the order in which they came."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.suffix != ".jsonl"
    }


def ways(folder: Path, count: int) -> None:
    """Print the minutes and the memory of each way, and whether the tables are the same."""
    submissions, whole, cut, spread = (folder / name for name in ("in", "whole", "cut", "spread"))
    pool = ["--jobs", str(JOBS)]

    began = time.monotonic()
    peak = finished(start(submissions, whole, *pool), whole)
    minutes = (time.monotonic() - began) / 60
    print(f"one pool: {minutes:.1f} minutes, {peak:.2f} GiB at most", flush=True)

    grading = start(submissions, cut, *pool)
    watched(grading, cut, count // 2)
    grading.kill()
    grading.wait()
    print(f"killed half-way; table there: {(cut / 'grades.csv').exists()}")
    finished(start(submissions, cut, *pool), cut)
    print(f"gone on with: the same files: {tables(cut) == tables(whole)}", flush=True)

    began = time.monotonic()
    grading = start(submissions, spread, "--scheduler", f"local:{JOBS}")
    peak = watched(grading, spread, count // 2)
    kill_a_worker(grading)
    peak = max(peak, finished(grading, spread))
    minutes = (time.monotonic() - began) / 60
    same = tables(spread) == tables(whole)
    print(
        f"two Dask workers, one killed half-way: {minutes:.1f} minutes, {peak:.2f} GiB at most; "
        f"the same files: {same}"
    )


def against(older: Path, folder: Path, rounds: int) -> None:
    """Print the minutes of this clone and an older one, which take turns, and their ratio."""
    taken: dict[Path, list[float]] = {older: [], HERE: []}
    for number in range(rounds):
        for clone in [older, HERE] if number % 2 == 0 else [HERE, older]:
            out = folder / f"{'new' if clone == HERE else 'old'}-{number}"
            began = time.monotonic()
            finished(start(folder / "in", out, "--jobs", str(JOBS), clone=clone), out)
            taken[clone].append((time.monotonic() - began) / 60)
    for name, clone in (("older", older), ("this", HERE)):
        print(f"{name}: {', '.join(f'{minutes:.2f}' for minutes in taken[clone])} minutes")
    points = [
        {name: row["total"] for name, row in rows(folder / f"{which}-0" / "grades.csv").items()}
        for which in ("old", "new")
    ]
    ratio = sum(taken[older]) / sum(taken[HERE])
    print(f"ratio {ratio:.2f}; the same points: {points[0] == points[1]}")


def main() -> None:
    """Grade a class in each way, or in turn with an older clone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="submissions (200)")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="an older clone")
    parser.add_argument("--rounds", type=int, default=1, help="turns of both (1)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        hand_in(folder / "in", options.count)
        load = os.getloadavg()[0]
        print(f"{options.count} submissions; load {load:.1f} at the start, {os.cpu_count()} cores")
        if options.against:
            against(options.against, folder, options.rounds)
        else:
            ways(folder, options.count)
        print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
