"""The commands for exercises behind `make`; `--help` after one says what it takes."""

import argparse
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cifarlab.files import replacing
from exercises.leaks import leaks
from exercises.learner import place, text, write
from exercises.master import FOLDER, MASTERS, read, variants

TEMPLATE = Path(__file__).with_name("template.md")


def start(options: argparse.Namespace) -> int:
    """Start the master of a new exercise."""
    path = FOLDER / f"{options.name}.md"
    if not re.fullmatch(r"[a-z][a-z0-9-]*", options.name):
        print(f"exercise: NAME={options.name!r}; take small letters, digits and hyphens.")
        return 2
    if path.exists():
        print(f"exercise: {path} exists already; take another name.")
        return 2
    master = TEMPLATE.read_text(encoding="utf-8").replace("NAME", options.name)
    with replacing(path) as temporary:
        temporary.write_text(master, encoding="utf-8")
    print(f"{path}: a whole exercise, to be replaced by yours. CONTRIBUTING.md says how.")
    return 0


def store(options: argparse.Namespace) -> int:
    """Write the learners' notebooks, made from the masters."""
    for path in MASTERS:
        exercise = read(path)
        write(exercise, place(exercise))
    return 0


def check(options: argparse.Namespace) -> int:
    """Say which learners' notebooks are not what their masters give; exit status 1 if any."""
    made = {place(exercise): text(exercise) for exercise in map(read, MASTERS)}
    found = set(FOLDER.glob("*.ipynb"))
    stale = [p for p in sorted(made) if p not in found or p.read_text("utf-8") != made[p]]
    for path in stale:
        print(f"{path.name} is not what {path.stem}.md gives; run `make lessons`")
    for path in sorted(found - made.keys()):
        print(f"{path.name} has no master")
    return 1 if stale or found - made.keys() else 0


def prove(options: argparse.Namespace) -> int:
    """Prove exercises in every variant; print what their checks let through."""
    from exercises.judge import Runner
    from exercises.prove import gaps

    found = 0
    with Runner(seconds=120) as runner:
        for path in [FOLDER / f"{name}.md" for name in options.names] or MASTERS:
            for choices in variants(path):
                told = list(gaps(runner, read(path, choices), read(path)))
                print(f"{path.stem} {choices}: {len(told) or 'no'} gaps", *told, sep="\n  ")
                found += len(told)
    return 1 if found else 0


def students(options: argparse.Namespace) -> int:
    """Look for solutions and hidden tests in a built students' edition; exit status 1 if any."""
    found = list(leaks(Path(options.folder), map(read, MASTERS)))
    print(*found or ["no solution and no hidden test in it"], sep="\n")
    return 1 if found else 0


def assignment(options: argparse.Namespace) -> int:
    """Write an assignment for learners and its key for instructors; SECRET is in the environment.

    Beside the exercises' names: --out FOLDER, --title TEXT, --open FILE of open questions.
    """
    from exercises import assignment as make

    try:
        questions = make.read_open(Path(options.open)) if options.open else []
        made = make.make(options.names, os.environ.get("SECRET", ""), questions)
        if not options.out:
            raise ValueError("OUT is empty; name a folder for the assignment, such as OUT=week4.")
        files = make.write(made, questions, options.title or "Assignment", Path(options.out))
    except (ValueError, OSError) as error:
        print(f"assignment: {error}", file=sys.stderr)
        return 2
    handed, *kept = files
    print(f"{handed}: hand this out, {make.counted(sum(made.most.values()))}")
    print(*(f"{path}: for instructors only" for path in kept), sep="\n")
    return 0


def grade(options: argparse.Namespace) -> int:
    """Grade a folder of submissions; SECRET is in the environment.

    --submissions FOLDER, --out FILE.csv, --timeout SECONDS, --jobs NUMBER, --unsafe 1, --again
    LEARNER to grade that one anew; the exercises' names, and --open FILE of open questions, only
    where no submission has kept its "# assignment:" line.
    """
    from exercises import assignment as make
    from exercises import feedback, gradebook, handed_in, sandbox
    from exercises import grade as grading
    from exercises.judge import NotStarted

    try:
        seconds, jobs = number(options, "timeout", 30), int(number(options, "jobs", cores()))
        unsafe = options.unsafe not in ("", "0")
        secret, out = os.environ.get("SECRET", ""), Path(options.out or ".")
        if not secret:
            raise ValueError("SECRET is empty; give that of `make assignment`.")
        if out.suffix != ".csv":
            raise ValueError(f"OUT={options.out!r}; name a file that ends in .csv.")
        if not unsafe and (reason := sandbox.refusal()):
            raise ValueError(reason)
        learners, notes = handed_in.look(Path(options.submissions))
        for note in notes:
            print(f"{options.submissions}: {note}", file=sys.stderr)
        if options.again and options.again not in {each.name for each in learners}:
            raise ValueError(f"AGAIN={options.again!r}: no submission is of that learner.")
        with ThreadPoolExecutor(jobs) as pool:
            folders = list(pool.map(grading.opened, learners))
        if options.names:
            questions = make.read_open(Path(options.open)) if options.open else []
            asked = make.make(options.names, secret, questions)
        else:
            asked = grading.assignment_of(folders, secret)
        by_hand = gradebook.beside(out, "by-hand.csv")
        names = {each.name for each in learners}
        entries = gradebook.read_by_hand(by_hand, names, asked.most)
        submissions = {each.learner.name: grading.chosen(each, asked) for each in folders}
        results = grading.grade(
            list(submissions.values()),
            asked,
            grading.Kept(gradebook.beside(out, "results.jsonl")),
            lambda: sandbox.runner(seconds, asked.imports, unsafe=unsafe),
            seconds=seconds,
            jobs=jobs,
            again=options.again,
        )
        gradebook.write_by_hand(by_hand, results, asked, entries)
        rows = gradebook.book(results, asked, entries)
        gradebook.write(out, rows, submissions, asked)
        pages = gradebook.beside(out, "feedback")
        failed = feedback.write(pages, rows, results, submissions, asked, entries, jobs)
        if failed:
            for learner, why in failed.items():
                rows[learner].flags.append(why)
            gradebook.write(out, rows, submissions, asked)
    except (ValueError, OSError, NotStarted) as error:
        print(f"grade: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("grade: stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    flagged = sum(bool(row.flags) for row in rows.values())
    print(f"{out}: {len(rows)} submissions, {flagged} to be looked at (column flags)")
    if waiting := sum(bool(row.waiting) for row in rows.values()):
        print(
            f"{by_hand}: the answers of {waiting} wait for your points; until then their cells "
            "for Canvas are empty"
        )
    return 0


def number(options: argparse.Namespace, name: str, otherwise: float) -> float:
    """An option as a number above 0; `otherwise` if it is not given.

    Raises: ValueError.
    """
    text = getattr(options, name)
    try:
        value = float(text or otherwise)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 86_400:
        raise ValueError(f"{name.upper()}={text!r}; give a number from 1 on.")
    return value


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> int:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(prog="exercises", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for do, arguments in (
        (start, "name"),
        (store, ""),
        (check, ""),
        (prove, "names"),
        (students, "folder"),
        (assignment, "names --out --title --open"),
        (grade, "names --open --submissions --out --timeout --jobs --unsafe --again"),
    ):
        command = commands.add_parser(do.__name__, help=do.__doc__, description=do.__doc__)
        for name in arguments.split():
            if name == "names":
                command.add_argument(name, nargs="*")
            elif name.startswith("--"):
                command.add_argument(name, default="")
            else:
                command.add_argument(name)
        command.set_defaults(do=do)
    options = parser.parse_args()
    return options.do(options)


if __name__ == "__main__":
    sys.exit(main())
