"""The commands for exercises behind `make`; `--help` after one says what it takes."""

import argparse
import re
import sys
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
    with replacing(path) as temporary:
        master = TEMPLATE.read_text(encoding="utf-8").replace("NAME", options.name)
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


def main() -> int:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(prog="exercises", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for do, arguments in (
        (start, ["name"]),
        (store, []),
        (check, []),
        (prove, ["names"]),
        (students, ["folder"]),
    ):
        command = commands.add_parser(do.__name__, help=do.__doc__)
        for name in arguments:
            command.add_argument(name, nargs="*" if name == "names" else None)
        command.set_defaults(do=do)
    options = parser.parse_args()
    return options.do(options)


if __name__ == "__main__":
    sys.exit(main())
