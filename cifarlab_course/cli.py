"""The commands of instructors and authors: `course COMMAND --help` says what one takes.

Each command imports what it needs when it is called, so that the others answer at once.
"""

import argparse
import getpass
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

from cifarlab.cli import PRECISIONS
from cifarlab_course import ROOT

LONGEST = 86_400  # seconds, a day
MOST_JOBS = 256


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is its own, or 2 with one line on what to do differently."""
    options, more = parser().parse_known_args(arguments)
    name = f"course {options.name}"
    if more:
        print(f"{name}: there is no {' '.join(more)}; see `{name} --help`.", file=sys.stderr)
        return 2
    try:
        if not (ROOT / "_config.yml").is_file():
            raise ValueError("this works in a clone of the course's repository only; make one.")
        return options.run(options) or 0
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("cifarlab", "cifarlab_course"):
            raise
        print(f"{name}: {error}; `make install` installs all that is needed.", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"{name}:", *str(error).split(), file=sys.stderr)  # one line, whatever it was
        return 2
    except KeyboardInterrupt:
        print(f"{name}: stopped.", file=sys.stderr)
        return 130


# ---------------------------------------------------------------------------------- the options


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def error(self, message: str) -> NoReturn:
        """End with the message and the way to the options."""
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`.\n")


def number(least: int, most: int, kind: type = int) -> Callable[[str], float]:
    """What reads an option as a number from `least` to `most`."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:  # NaN is neither
            wanted = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r}; give {wanted} from {least} to {most:,}")
        return value

    return read


def table(text: str) -> Path:
    """What reads an option as the path of a table."""
    if Path(text).suffix != ".csv":
        raise argparse.ArgumentTypeError(f"{text!r}; name a file that ends in .csv")
    return Path(text)


def file(text: str) -> Path:
    """What reads an option as the path of a file, or of a pipe that a shell made of a command."""
    path = Path(text)
    if path.is_dir() or not path.exists():
        raise argparse.ArgumentTypeError(f"{text!r} is no file; name one that is there")
    return path


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = Parser(prog="course", description="Make, check and grade with CIFAR Lab.")
    commands = top.add_subparsers(required=True, metavar="COMMAND", dest="name")

    def command(name: str, run: Callable, help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
        added.set_defaults(run=run)
        return added

    make = command("assignment", assignment, "Make an assignment, and its key for instructors.")
    make.add_argument("exercises", nargs="*", metavar="EXERCISE", help="such as holes")
    make.add_argument("--out", type=Path, required=True, help="a folder, such as week4")
    make.add_argument("--title", default="Assignment", help="the notebook's heading")
    make.add_argument("--open", type=file, metavar="FILE", help="open questions, as Markdown")
    mark = command("grade", grade, "Grade submissions, each in a sandbox.")
    mark.add_argument(
        "exercises",
        nargs="*",
        metavar="EXERCISE",
        help='only where no submission has kept its "# assignment:" line',
    )
    mark.add_argument(
        "--open",
        type=file,
        metavar="FILE",
        help="the open questions' file, for their words and rubric where points are given",
    )
    mark.add_argument(
        "--submissions",
        type=Path,
        required=True,
        metavar="PLACE",
        help="a folder of folders or notebooks, or a learning platform's zip",
    )
    mark.add_argument("--out", type=table, required=True, help="the table, such as week4.csv")
    mark.add_argument(
        "--timeout",
        type=number(1, LONGEST, float),
        default=30,
        metavar="SECONDS",
        help="for an attempt at a question, 1 to 86400 (30)",
    )
    mark.add_argument(
        "--jobs",
        type=number(1, MOST_JOBS),
        help="submissions at a time (one for each processor, or thread of a Dask worker)",
    )
    mark.add_argument("--look", action="store_true", help="only say how what was handed in is read")
    mark.add_argument(
        "--counts",
        choices=["answered", "last", "first", "best"],
        default="answered",
        help="which of a learner's notebooks (the one with most answers)",
    )
    mark.add_argument(
        "--roster",
        type=file,
        metavar="FILE",
        help="who should hand in: Canvas's gradebook, Moodle's grading worksheet, or names, as CSV",
    )
    mark.add_argument(
        "--groups", type=file, metavar="FILE", help="CSV with the columns learner and group"
    )
    mark.add_argument(
        "--scheduler", default="", help="who spreads submissions: a Dask scheduler, or local:2"
    )
    mark.add_argument("--again", default="", metavar="LEARNER", help="one to be graded anew")
    mark.add_argument(
        "--unsafe",
        action="store_true",
        help="no sandbox: only in a machine that you would throw away",
    )
    for subparser in (make, mark):
        subparser.add_argument(
            "--secret-file",
            type=file,
            metavar="FILE",
            help="holds the secret; without it, the variable SECRET does, or you are asked",
        )

    board = command("leaderboard", leaderboard, "Check the capstone's entries; rank them.")
    board.add_argument("folder", type=Path, help="holds a folder for each entry")
    board.add_argument(
        "--out", type=table, help="the table (FOLDER.csv); the page lies beside it, as .html"
    )
    board.add_argument(
        "--timeout",
        type=number(1, LONGEST, float),
        default=900,
        metavar="SECONDS",
        help="for looking at an entry, and for scoring it, 1 to 86400 (900)",
    )
    board.add_argument(
        "--jobs", type=number(1, MOST_JOBS), help="entries at a time (one for each processor)"
    )
    board.add_argument(
        "--strict", action="store_true", help="exit status 1 if an entry is not taken in"
    )

    start = command("exercise", exercise, "Start the master of a new exercise.")
    start.add_argument("exercise", metavar="NAME", help="small letters, digits and hyphens")
    proof = command(
        "prove", prove, "Try exercises in every variant; print what checks let through."
    )
    proof.add_argument("exercises", nargs="*", metavar="EXERCISE", help="all, if none is named")
    edition = command("students", students, "Look for solutions in a built students' edition.")
    edition.add_argument("folder", type=Path, help="such as _build/html")

    for name, run, help in (
        (
            "store",
            store,
            "Run lessons; write learners' notebooks, and records' numbers into prose.",
        ),
        (
            "check",
            check,
            "Say what is wrong with lessons, learners' notebooks or numbers in prose.",
        ),
    ):
        added = command(name, run, help)
        added.add_argument(
            "files",
            nargs="*",
            type=Path,
            metavar="FILE",
            help="a lesson, an exercise's master or a page; all, if none is named",
        )
    command("link", link, "Give all notebooks the address and branch of _config.yml.")
    long = command("validate", validate, "The long checks, on this machine; writes a report.")
    long.add_argument("--only", metavar="NAME", help="one lesson, or long-tests")
    long.add_argument("--mode", metavar="NAME", default="", help="such as GPU; no odd places then")
    long.add_argument("--jobs", type=number(1, MOST_JOBS), default=1, help="checks at a time (1)")
    long.add_argument("--out", type=Path, default=ROOT / "validation", help="folder of the report")
    long.add_argument("--resume", action="store_true", help="only what the last report lacks")
    colab = command("colab-check", colab_check, "Run the lessons with Colab's and oldest versions.")
    colab.add_argument("--only", choices=["colab", "oldest"])
    command("constraints", constraints, "Write down this environment's versions and licences.")

    series = command("experiment", experiment, "Run what an experiment lacks, and sum it up.")
    series.add_argument("experiment", metavar="NAME", help="a wrong one is answered with all")
    only = series.add_mutually_exclusive_group()
    only.add_argument("--print", action="store_true", help="only show the commands")
    only.add_argument("--collect", action="store_true", help="only sum up the finished runs")
    series.add_argument("--runs", type=Path, help="folder of all runs (runs/experiments)")
    series.add_argument("--data", choices=["cifar10", "synthetic"], default="cifar10")
    series.add_argument("--device", help="cpu, cuda, cuda:1 ...")
    series.add_argument("--precision", choices=PRECISIONS)
    series.add_argument(
        "--workers", type=number(0, MOST_JOBS), default=0, help="processes that prepare images"
    )
    series.add_argument(
        "--scheduler", default="", help="who spreads the runs: a Dask scheduler, or local:2"
    )
    series.add_argument(
        "--gpu-share",
        type=number(0, 1, float),
        default=0.0,
        help="of a Dask worker's resource GPU, for each run: 0.25 lets four share one",
    )
    minutes = command(
        "gpu", gpu, "What is to be done on a GPU, in order; on from where it stopped."
    )
    minutes.add_argument(
        "--out", type=Path, required=True, help="laid out as a clone is: . for this one"
    )
    minutes.add_argument(
        "--time", type=number(1, LONGEST, float), metavar="SECONDS", help="stop after so long"
    )
    minutes.add_argument("--rehearse", action="store_true", help="all of it, small, on a CPU")
    release = command("publish", publish, "Make a run's record one that ships with the package.")
    release.add_argument("run_folder", type=Path, metavar="RUN", help="such as runs/baseline-seed0")
    page = command("export", export, "Write a network down for the page Live predictions.")
    page.add_argument("record", help="a shipped record's name, or a run's folder")
    page.add_argument("--out", type=Path, help="a .json (the figure's own), or a .html page")
    command("gallery", gallery, "Draw the augmentation gallery.")
    command("kernel", kernel, "Compile what makes networks fast in a page (needs Node.js).")
    command("samples", samples, "Make the sample pictures of the page Live predictions.")
    command("temperatures", temperatures, "Sum up networks' confidence, for the figure on it.")
    return top


# --------------------------------------------------------------------- assignments and grading


def secret(options: argparse.Namespace, *, new: bool = False) -> str:
    """The secret of an assignment, from where other users of the machine cannot read it.

    Raises: ValueError if there is none.
    """
    if options.secret_file:
        value = options.secret_file.read_text(encoding="utf-8").strip()
        if not value:
            raise ValueError(f"{options.secret_file} is empty; write the secret into it.")
    elif not (value := os.environ.get("SECRET", "")) and sys.stdin.isatty():
        value = getpass.getpass("Secret: ")
        if new and value != getpass.getpass("Once more: "):
            raise ValueError("the two differ; try again.")
    if not value:
        raise ValueError("there is no secret; name a --secret-file, or set the variable SECRET.")
    return value


def assignment(options: argparse.Namespace) -> None:
    """Make an assignment and its key."""
    from cifarlab_course.grading import assignment as assigning

    folders = [options.out / name for name in (assigning.HAND_OUT, assigning.KEY)]
    if any(path for folder in folders for path in folder.glob("*")):
        raise ValueError(
            f"--out {options.out}: an assignment lies there, and may have been handed out. Name "
            f"another folder, or first delete {' and '.join(map(str, folders))}."
        )
    questions = assigning.read_open(options.open) if options.open else []
    new_assignment = assigning.make(options.exercises, secret(options, new=True), questions)
    hand_out, *keys = assigning.write(new_assignment, questions, options.title, options.out)
    print(f"{hand_out}: hand this out, {assigning.counted(sum(new_assignment.most.values()))}")
    print(*(f"{path}: for instructors only" for path in keys), sep="\n")


def grade(options: argparse.Namespace) -> int:
    """Grade submissions, or only say how they are read."""
    from cifarlab_course.grading import (
        archive,
        batch,
        gradebook,
        handed_back,
        handed_in,
        report,
        roster,
    )
    from cifarlab_course.grading.judge import NotStarted

    code = secret(options)
    people = roster.of_files(options.roster, options.groups)
    how = {"seconds": options.timeout, "jobs": options.jobs, "unsafe": options.unsafe}
    # Who can't grade says so before anything is written.
    grading = nullcontext() if options.look else batch.crew(options.scheduler, **how)
    here = None if options.scheduler else options.jobs
    with grading as crew, archive.unpacked(options.submissions) as (folder, odd):
        handed = handed_in.look(folder, options.submissions)
        for note in handed.notes:
            print(f"{options.submissions}: {note}", file=sys.stderr)
        read = batch.read(
            handed.learners,
            code,
            exercises=options.exercises,
            questions=options.open,
            counts=options.counts,
            jobs=here,
            roster=people,
        )
        table = report.table(read.submissions, read.rivals, handed, odd)
        report.write(gradebook.beside(options.out, "read.csv"), table)
        print(f"{report.in_short(table)}\n{gradebook.beside(options.out, 'read.csv')}: all of it")
        if crew is None:  # only a look
            return 0
        try:
            rows = batch.grade(read, options.out, crew, again=options.again, jobs=here)
        except NotStarted as error:
            raise ValueError(str(error)) from error
        except KeyboardInterrupt as stopped:
            names = f" while it graded {stopped}" if str(stopped) else ""
            told = f"stopped{names}; the same command goes on from here."
            print(f"course grade: {told}", file=sys.stderr)
            return 130
    flagged = sum(bool(row.flags) for row in rows.values())
    # Of a roster's learners some hand in nothing; and a group hands in once.
    count = sum(bool(each.path or each.others) for each in read.submissions.values())
    print(
        f"{options.out}: learners: {len(rows)}, submissions: {count}, to be looked at: {flagged} "
        "(column flags)"
    )
    most = sum(read.assignment.most.values())
    if read.roster and (maximum := handed_back.other_maximum(read.roster, most)):
        print(
            f"{gradebook.beside(options.out, 'moodle.csv')}: {most} points are to be had, and "
            f"Moodle's maximum is {maximum}; set that to {most} before you upload it"
        )
    for platform in ("canvas", "moodle"):
        if (back := gradebook.beside(options.out, f"feedback-{platform}.zip")).exists():
            print(f"{back}: all feedback, for {platform.capitalize()} to take back")
    if count := gradebook.changed(options.out):
        changes = gradebook.beside(options.out, "changes.csv")
        print(f"{changes}: points that differ from the last run's, {count} of them")
    if waiting := sum(bool(row.waiting) for row in rows.values()):
        print(
            f"{batch.by_hand(options.out)}: learners who wait for your points: {waiting}; "
            f"{gradebook.beside(options.out, 'words.html')} shows their answers, and writes your "
            "points down. Until then their cells for Canvas are empty"
        )
    return 0


def leaderboard(options: argparse.Namespace) -> int:
    """Check the capstone's entries, and write the leaderboard."""
    from cifarlab import data
    from cifarlab_course.grading import batch, sandbox
    from cifarlab_course.grading.judge import NotStarted
    from cifarlab_course.leaderboard import check, entries, page

    learners, left = entries.look(options.folder)
    if reason := sandbox.refusal():
        raise ValueError(reason)
    if left:
        print(f"{options.folder}: left out, as no entry: {', '.join(left)}", file=sys.stderr)
    _, test = data.load()
    try:
        board = check.check(
            learners, test, seconds=options.timeout, jobs=options.jobs or batch.cores()
        )
    except NotStarted as error:
        raise ValueError(str(error)) from error
    out = options.out or Path(f"{options.folder.resolve()}.csv")
    written = page.write(out, board)
    for name, reason in board.refused.items():
        print(f"{name}: not taken in: {reason}")
    print(f"{written}: {len(learners) - len(board.refused)} of {len(learners)} entries; {out}")
    return 1 if options.strict and board.refused else 0


# ---------------------------------------------------------------------------------- exercises


def exercise(options: argparse.Namespace) -> None:
    """Start the master of a new exercise."""
    from cifarlab._files import replacing
    from cifarlab_course.exercises import master

    path = master.FOLDER / f"{options.exercise}.md"
    if not re.fullmatch(r"[a-z][a-z0-9-]*", options.exercise):
        raise ValueError(f"{options.exercise!r}; take small letters, digits and hyphens.")
    if path.exists():
        raise ValueError(f"{path} exists already; take another name.")
    text = master.TEMPLATE.read_text(encoding="utf-8").replace("NAME", options.exercise)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{path}: a whole exercise, to be replaced by yours. CONTRIBUTING.md says how.")


def prove(options: argparse.Namespace) -> int:
    """Prove exercises in every variant; print what their checks let through."""
    from cifarlab_course.exercises import master
    from cifarlab_course.grading.judge import Runner
    from cifarlab_course.grading.prove import gaps

    paths = [master.named(name) for name in options.exercises] or master.MASTERS
    count = 0
    with Runner(seconds=120) as runner:
        for path in paths:
            for choices in master.variants(path):
                lines = list(gaps(runner, master.read(path, choices), master.read(path)))
                print(f"{path.stem} {choices}: {len(lines) or 'no'} gaps", *lines, sep="\n  ")
                count += len(lines)
    return 1 if count else 0


def students(options: argparse.Namespace) -> int:
    """Look for solutions and hidden tests in a built students' edition; exit status 1 if any."""
    from cifarlab_course.exercises import master
    from cifarlab_course.exercises.leaks import leaks

    if not any(options.folder.rglob("*.html")):
        raise ValueError(f"{options.folder} holds no page; `make book EDITION=students` builds.")
    lines = list(leaks(options.folder, map(master.read, master.MASTERS)))
    print(*lines or ["no solution and no hidden test in it"], sep="\n")
    return 1 if lines else 0


# ------------------------------------------------------------------------------------ lessons


def chosen(files: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """What each file is ("master", "lesson" or "page"), and its path; all, if none is named.

    Raises: ValueError for a file that is not there, or none of the three.
    """
    from cifarlab_course.exercises.master import FOLDER, MASTERS
    from cifarlab_course.lessons.notebooks import LESSONS
    from cifarlab_course.lessons.results import PAGES

    for path in files:
        if not path.is_file():
            raise ValueError(f"there is no file {path}; name a lesson, a master or a page.")
        if path.resolve().parent == FOLDER and path.suffix == ".ipynb":
            raise ValueError(f"{path} is made from its master; name {path.with_suffix('.md')}.")
        if path.suffix not in (".ipynb", ".md"):
            raise ValueError(f"{path} is no lesson (.ipynb), no master and no page (.md).")
    for path in map(Path.resolve, files or [*MASTERS, *LESSONS, *PAGES]):
        if path.parent == FOLDER:
            yield "master", path
        else:
            yield ("lesson" if path.suffix == ".ipynb" else "page"), path


def store(options: argparse.Namespace) -> int:
    """Write what lessons, learners' notebooks and pages store; then check it."""
    from nbclient.exceptions import CellExecutionError

    from cifarlab_course.exercises import learner, master
    from cifarlab_course.lessons import notebooks, results

    for kind, path in list(chosen(options.files)):
        if kind == "master":
            written = master.read(path)
            learner.write(written, learner.place(written))
            continue
        if kind == "lesson":
            print(f"running {path.name}", flush=True)
            try:
                notebooks.store(path)
            except CellExecutionError as error:
                print(f"course store: {path.name}: {error}", file=sys.stderr)
                return 1
        results.write(path)
    return check(options)


def check(options: argparse.Namespace) -> int:
    """Print a line for each fault of lessons, learners' notebooks and pages; status 1 if any."""
    import nbformat

    from cifarlab_course.exercises import learner, master
    from cifarlab_course.lessons import notebooks, results

    lines, notebooks_made = [], set()
    for kind, path in chosen(options.files):
        if kind == "master":
            exercise = master.read(path)
            place = learner.place(exercise)
            notebooks_made.add(place)
            if not place.exists() or place.read_text(encoding="utf-8") != learner.text(exercise):
                lines.append(f"{place.name} is not what {path.name} gives; run `make lessons`")
            continue
        if kind == "lesson":
            lesson = nbformat.read(path, as_version=4)
            faults = [*notebooks.faults(lesson), *notebooks.faults_of_showing(lesson)]
            lines += [f"{path.name}: {fault}" for fault in faults]
        for where, text in results.markdown(path):
            lines += [f"{where}: {fault}" for fault in results.faults(text)]
    if not options.files:
        orphans = sorted(set(master.FOLDER.glob("*.ipynb")) - notebooks_made)
        lines += [f"{path.name} has no master" for path in orphans]
    print(*lines, sep="\n", end="\n" if lines else "")
    return 1 if lines else 0


def link(options: argparse.Namespace) -> None:
    """Give notebooks, README.md, pyproject.toml and How to study the address of _config.yml."""
    from cifarlab_course.exercises import learner, master
    from cifarlab_course.lessons import notebooks

    notebooks.link_texts()
    for path in notebooks.LESSONS:
        notebooks.link(path)
    for exercise in map(master.read, master.MASTERS):
        learner.write(exercise, learner.place(exercise))


def validate(options: argparse.Namespace) -> int:
    """Run the long checks."""
    from cifarlab_course.lessons import validate

    return validate.validate(
        options.only, options.mode, options.jobs, options.out, resume=options.resume
    )


def colab_check(options: argparse.Namespace) -> int:
    """Run the lessons with other versions."""
    from cifarlab_course.lessons import colab_check

    return colab_check.check([options.only] if options.only else [*colab_check.PYTHONS])


def constraints(options: argparse.Namespace) -> None:
    """Write down the versions of this environment."""
    from cifarlab_course.lessons import constraints

    print(constraints.write().relative_to(ROOT))


# ---------------------------------------------------------------------------------- artefacts


def experiment(options: argparse.Namespace) -> None:
    """Run an experiment, or a part of it."""
    from cifarlab_course.artefacts import experiment, run

    setting = run.Setting(options.data, options.device, options.precision, options.workers)
    only = "print" if options.print else "collect" if options.collect else ""
    experiment.conduct(
        options.experiment,
        options.runs or experiment.RUNS,
        setting,
        only=only,
        scheduler=options.scheduler,
        gpu_share=options.gpu_share,
    )


def gpu(options: argparse.Namespace) -> int:
    """Use a GPU."""
    from cifarlab_course.artefacts import gpu

    if gpu.use(options.out, options.time or math.inf, rehearse=options.rehearse):
        print("All is done.")
        return 0
    print("Not all is done; the same command goes on from here.")
    return 1


def publish(options: argparse.Namespace) -> None:
    """Publish a run."""
    from cifarlab_course.artefacts import publish

    print(publish.publish(options.run_folder))


def export(options: argparse.Namespace) -> None:
    """Export a network."""
    from cifarlab_course.artefacts import export

    path = export.write(options.record, options.out or export.home(options.record))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def gallery(options: argparse.Namespace) -> None:
    """Draw the gallery."""
    from cifarlab_course.artefacts import gallery

    for path in gallery.write():
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def kernel(options: argparse.Namespace) -> None:
    """Compile the kernel."""
    from cifarlab_course.artefacts import kernel

    path = kernel.write()
    print(f"{path.name}: {len(kernel.stored()[1]) / 1000:.1f} kB of WebAssembly")


def samples(options: argparse.Namespace) -> None:
    """Make the samples."""
    from cifarlab_course.artefacts import samples

    path = samples.write()
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def temperatures(options: argparse.Namespace) -> None:
    """Sum up confidences."""
    from cifarlab_course.artefacts import temperatures

    path = temperatures.write()
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    sys.exit(main())
