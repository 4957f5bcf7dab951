"""The flow of grading: from a folder of submissions to tables and pages, step by step."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cifarlab_course.grading import feedback, gradebook, overview, sandbox, words
from cifarlab_course.grading import grade as grading
from cifarlab_course.grading.assignment import make, read_open
from cifarlab_course.grading.gradebook import Row
from cifarlab_course.grading.handed_in import Learner


def grade(
    learners: Sequence[Learner],
    secret: str,
    out: Path,
    *,
    exercises: Sequence[str] = (),
    questions: Path | None = None,
    seconds: float = 30,
    jobs: int | None = None,
    again: str = "",
    unsafe: bool = False,
) -> dict[str, Row]:
    """Grade what `learners` handed in; their rows, which `out` holds as a table.

    Beside `out` lie the table for Canvas, the results so far, from which the same call goes on,
    the table of what a person enters (`by_hand`), whose points differ from those that `out` held
    before, a page on the whole class, one of all answers in words and one for each learner.

    The assignment is the one that most notebooks name, or that of `exercises` and of the open
    `questions` in a file. An answer has so many `seconds` an attempt, `jobs` submissions are graded
    at a time (one for each processor), the learner `again` anew. `unsafe`: in no sandbox.

    Raises: ValueError if there is no sandbox, or no assignment of this `secret`; OSError if a
    table can't be written. And what `grade.grade` raises.
    """
    if not unsafe and (reason := sandbox.refusal()):
        raise ValueError(reason)
    if again and again not in {learner.name for learner in learners}:
        raise ValueError(f"--again {again!r}: no submission is of that learner.")
    jobs = jobs or cores()
    with ThreadPoolExecutor(jobs) as pool:
        folders = list(pool.map(grading.opened, learners))
    if exercises:
        assignment = make(exercises, secret, read_open(questions) if questions else [])
    else:
        assignment = grading.assignment_of(folders, secret)
    names = {learner.name for learner in learners}
    entries = gradebook.read_by_hand(by_hand(out), names, assignment.most)
    submissions = {folder.learner.name: grading.chosen(folder, assignment) for folder in folders}
    results = grading.grade(
        list(submissions.values()),
        assignment,
        grading.Kept(gradebook.beside(out, "results.jsonl")),
        lambda imports: sandbox.runner(seconds, imports, unsafe=unsafe),
        seconds=seconds,
        jobs=jobs,
        again=again,
    )
    to_give = gradebook.write_by_hand(by_hand(out), results, assignment, entries)
    rows = gradebook.book(results, assignment, entries)
    gradebook.write_changes(out, rows)
    gradebook.write(out, rows, submissions, assignment)  # now, for pages take a while
    overview.write(gradebook.beside(out, "overview.html"), rows, results, assignment)
    pages = gradebook.beside(out, "feedback")
    told = feedback.write(pages, rows, results, submissions, assignment, entries, jobs)
    if told.failed:
        for learner, reason in told.failed.items():
            rows[learner].flags.append(reason)
        gradebook.write(out, rows, submissions, assignment)
    if told.words:
        page = gradebook.beside(out, "words.html")
        words.write(page, by_hand(out), to_give, told.words, assignment)
    return rows


def by_hand(out: Path) -> Path:
    """The table of what a person enters, beside the table `out`."""
    return gradebook.beside(out, "by-hand.csv")


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
