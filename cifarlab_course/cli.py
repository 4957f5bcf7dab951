"""The commands of instructors and authors; `course NAME --help` says what one takes."""

import argparse
import importlib
import os
import re
import sys
from pathlib import Path

from cifarlab._files import replacing
from cifarlab_course.exercises.leaks import leaks
from cifarlab_course.exercises.learner import place, text, write
from cifarlab_course.exercises.master import FOLDER, MASTERS, read, variants

ELSEWHERE = {
    "notebooks": "lessons.notebooks",
    "results": "lessons.results",
    "validate": "lessons.validate",
    "colab-check": "lessons.colab_check",
    "constraints": "lessons.constraints",
    "experiment": "artefacts.experiment",
    "publish": "artefacts.publish",
    "export": "artefacts.export",
    "gallery": "artefacts.gallery",
    "samples": "artefacts.samples",
}
TEMPLATE = Path(__file__).with_name("exercises") / "template.md"


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
    from cifarlab_course.grading.judge import Runner
    from cifarlab_course.grading.prove import gaps

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
    from cifarlab_course.grading import assignment as make

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

    --submissions FOLDER, --out FILE.csv, --timeout SECONDS, --jobs NUMBER, --unsafe 1; the
    exercises' names only where no submission has kept its "# assignment:" line.
    """
    from cifarlab_course.grading import assignment as make
    from cifarlab_course.grading import grade as grading
    from cifarlab_course.grading import gradebook, sandbox
    from cifarlab_course.grading.judge import NotStarted

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
        folders = grading.learners(Path(options.submissions))
        found = [grading.submission(folder) for folder in folders]
        if options.names:
            asked = make.make(options.names, secret)
        else:
            asked = grading.assignment_of(found, secret)
        by_hand = gradebook.beside(out, "by-hand.csv")
        names = {each.learner for each in found}
        entries, sign = gradebook.read_by_hand(by_hand, names, asked.most)
        results = grading.grade(
            found,
            asked,
            grading.Kept(gradebook.beside(out, "results.jsonl")),
            lambda: sandbox.runner(seconds, asked.imports, unsafe=unsafe),
            seconds=seconds,
            jobs=jobs,
        )
        gradebook.write_by_hand(by_hand, results, asked, entries, sign)
        rows = gradebook.write(out, results, asked, entries)
    except (ValueError, OSError, NotStarted) as error:
        print(f"grade: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("grade: stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    flagged = [learner for learner, row in rows.items() if row.flags]
    print(f"{out}: {len(rows)} submissions, {len(flagged)} to be looked at (column flags)")
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
    if name := next((name for name in sys.argv[1:2] if name in ELSEWHERE), None):
        sys.argv = [f"course {name}", *sys.argv[2:]]
        return importlib.import_module(f"cifarlab_course.{ELSEWHERE[name]}").main()
    parser = argparse.ArgumentParser(prog="course", description=__doc__.splitlines()[0])
    parser.epilog = f"And, each with options of its own: {', '.join(ELSEWHERE)}."
    commands = parser.add_subparsers(required=True)
    for do, arguments in (
        (start, "name"),
        (store, ""),
        (check, ""),
        (prove, "names"),
        (students, "folder"),
        (assignment, "names --out --title --open"),
        (grade, "names --submissions --out --timeout --jobs --unsafe"),
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
