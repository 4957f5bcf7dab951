"""The flow of grading: from a folder of submissions to tables and pages, step by step."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from cifarlab_course.grading import feedback, gradebook, handed_back, overview, sandbox, words
from cifarlab_course.grading import grade as grading
from cifarlab_course.grading.assignment import Assignment, Open, counted, make, read_open
from cifarlab_course.grading.grade import Crew, Result, Submission
from cifarlab_course.grading.gradebook import ByHand, Entries, Row
from cifarlab_course.grading.handed_in import Learner
from cifarlab_course.grading.judge import Runner
from cifarlab_course.grading.roster import Roster, matched
from cifarlab_course.grading.submission import MARK


class Read(NamedTuple):
    """What was handed in, read and not yet graded."""

    assignment: Assignment
    submissions: dict[str, Submission]  # the notebook that counts, by its learner's name
    rivals: dict[str, list[Submission]]  # all of a learner's, where the best shall count
    roster: Roster | None = None
    asked: Mapping[str, Open] = MappingProxyType({})  # open questions, if their file is at hand


def read(
    learners: Sequence[Learner],
    secret: str,
    *,
    exercises: Sequence[str] = (),
    questions: Path | None = None,
    counts: str = "answered",
    jobs: int | None = None,
    roster: Roster | None = None,
) -> Read:
    """Read what `learners` handed in, and find the notebook that `counts` (`grade.COUNTS`).

    If there is a `roster`, everybody on it is a learner, and its groups are each one.

    The assignment is the one that most notebooks name, or that of `exercises` and of the open
    `questions` in a file, whose words and rubric are shown where points are given. The questions
    alone make it where no notebook names one, or has the mark of an exercise.

    Raises: ValueError if there is no assignment of this `secret`, most are of another one, or it
    has other questions.
    """
    if roster:
        learners = matched(learners, roster)
    with ThreadPoolExecutor(jobs or cores()) as pool:
        folders = list(pool.map(grading.opened, learners))
    grading.check_secret(folders, secret)
    asked = read_open(questions) if questions else []
    found = [candidate for folder in folders for candidate in folder.candidates]
    alone = bool(asked and found) and not any(map(marked, found))
    if exercises or alone:
        assignment = make(exercises, secret, asked)
    else:
        assignment = grading.assignment_of(folders, secret)
    points = {question.name: question.points for question in asked}
    if asked and (others := assignment.open.items() - points.items()):
        missing = ", ".join(f"{name} ({counted(most)})" for name, most in sorted(others))
        raise ValueError(f"--open {questions}: it lacks {missing}, which the assignment has.")
    names = [folder.learner.name for folder in folders]
    chosen = [grading.chosen(folder, assignment, counts) for folder in folders]
    rivals = [grading.rivals(folder, assignment) for folder in folders if counts == "best"]
    return Read(
        assignment,
        dict(zip(names, chosen, strict=True)),
        {name: found for name, found in zip(names, rivals, strict=False) if found},
        roster,
        {question.name: question for question in asked},
    )


def marked(candidate: grading.Candidate) -> bool:
    """Does a notebook have its "# assignment:" line, or the line of an exercise?

    For the latter, one that is too large to be kept is not looked into.
    """
    cells = candidate.notebook.cells if candidate.notebook else []
    return bool(candidate.lines) or any(cell.code and MARK.search(cell.source) for cell in cells)


@contextmanager
def crew(
    scheduler: str = "", *, seconds: float = 30, jobs: int | None = None, unsafe: bool = False
) -> Iterator[Crew]:
    """Who grades: sandboxes here, or those of a Dask `scheduler`'s workers (see `workers`).

    An answer has so many `seconds` an attempt, `jobs` submissions are graded at a time (one for
    each processor). `unsafe`: in no sandbox.

    Raises: ValueError if there is no sandbox, or no such scheduler.
    """
    if scheduler:
        from cifarlab_course.grading import workers  # needs Dask, which few have

        with workers.crew(scheduler, seconds=seconds, jobs=jobs, unsafe=unsafe) as spread:
            yield spread
        return
    if not unsafe and (reason := sandbox.refusal()):
        raise ValueError(reason)

    def make(imports: str) -> Runner:
        return sandbox.runner(seconds, imports, unsafe=unsafe)

    with closing(Crew(make, seconds=seconds, jobs=jobs or cores())) as local:
        yield local


def grade(
    handed: Read, out: Path, crew: Crew, *, again: str = "", jobs: int | None = None
) -> dict[str, Row]:
    """Have the `crew` grade what was read; the learners' rows, which `out` holds as a table.

    Beside `out` lie the table for Canvas, the results so far, from which the same call goes on,
    the table of what a person enters (`by_hand`), whose points differ from those that `out` held
    before, a page on the whole class, one of all answers in words and one for each learner.

    The learner `again` is graded anew, all notebooks if the best shall count. `jobs` pages are
    written at a time (one for each processor).

    Raises: OSError if a table can't be written. And what `grade.grade` raises.
    """
    assignment = handed.assignment
    members = {
        member.name: name
        for name, submission in handed.submissions.items()
        for member in submission.learner.members
    }
    names = {*handed.submissions, *members}
    if again and again not in names:
        raise ValueError(f"--again {again!r}: no submission is of that learner.")
    again = members.get(again, again)
    anew = {rival.learner.name for rival in handed.rivals.get(again, [])} or {again}
    gradebook.read_by_hand(by_hand(out), names, assignment.most)  # refused before all is graded
    kept = grading.Kept(gradebook.beside(out, "results.jsonl"))

    right = grading.references(assignment)

    def graded(submissions: Collection[Submission]) -> dict[str, Result]:
        return grading.grade([*submissions], assignment, right, kept, crew, again=anew)

    submissions = handed.submissions | best(handed, graded)
    results = graded(submissions.values())
    # Grading takes a while, in which a person may have given points.
    entries = gradebook.read_by_hand(by_hand(out), names, assignment.most)
    to_give = gradebook.write_by_hand(by_hand(out), results, assignment, entries)
    overview.write(
        gradebook.beside(out, "overview.html"),
        gradebook.book(results, assignment, entries),
        results,
        assignment,
    )
    own = everybody(Graded(submissions, results, entries), members)
    rows = gradebook.book(own.results, assignment, own.entries)
    gradebook.write_changes(out, rows)
    gradebook.write(out, rows, own.submissions, assignment)  # now, for pages take a while
    learners = {name: submission.learner for name, submission in own.submissions.items()}
    most = sum(assignment.most.values())
    handed_back.write(out, rows, learners, most, handed.roster)
    pages = gradebook.beside(out, "feedback")
    with_groups = results | own.results  # they have pages, too
    told = feedback.write(
        pages,
        gradebook.book(with_groups, assignment, own.entries),
        with_groups,
        submissions | own.submissions,
        assignment,
        own.entries,
        jobs or cores(),
    )
    if told.failed:
        for learner, reason in told.failed.items():
            if learner in rows:
                rows[learner].flags.append(reason)
        gradebook.write(out, rows, own.submissions, assignment)
    said = {place: cells for place, cells in told.words.items() if place[0] in submissions}
    if said:
        words.write(
            gradebook.beside(out, "words.html"),
            by_hand(out),
            to_give,
            entries.sign,
            said,
            assignment,
            handed.asked,
        )
    handed_back.write_feedback(out, pages, submissions, own.submissions, handed.roster)
    return rows


class Graded(NamedTuple):
    """What was graded, and what a person says of it."""

    submissions: dict[str, Submission]
    results: dict[str, Result]
    entries: Entries


def everybody(graded: Graded, members: Mapping[str, str]) -> Graded:
    """The same, but that each group gives way to its `members`, who are mapped to it.

    The points that a person gives a member, and her comment, go before those of the group.
    """
    submissions, results = dict(graded.submissions), dict(graded.results)
    given = dict(graded.entries.given)
    for group in {*members.values()}:
        submission, result = submissions.pop(group), results.pop(group)
        for member in submission.learner.members:
            submissions[member.name] = replace(submission, learner=member)
            flags = [f"of the group {group}", *result.flags]
            results[member.name] = replace(result, flags=flags)
            for (name, question), entry in graded.entries.given.items():
                if name == group:
                    own = given.get((member.name, question), entry)
                    points = entry.points if own.points is None else own.points
                    given[member.name, question] = ByHand(points, own.comment or entry.comment)
    return Graded(submissions, results, graded.entries._replace(given=given))


def best(
    handed: Read, graded: Callable[[Collection[Submission]], dict[str, Result]]
) -> dict[str, Submission]:
    """Of each learner with several notebooks, where the best shall count, that one.

    Of two that earn as much it is the one with more answers, then the later one.
    """
    everyone = [rival for rivals in handed.rivals.values() for rival in rivals]
    results = graded(everyone) if everyone else {}
    found = {}
    for name, rivals in handed.rivals.items():
        points = [grading.earned(results[rival.learner.name]) for rival in rivals]
        last = len(points) - 1 - points[::-1].index(max(points))
        learner = handed.submissions[name].learner
        found[name] = replace(rivals[last], learner=learner)
    return found


def by_hand(out: Path) -> Path:
    """The table of what a person enters, beside the table `out`."""
    return gradebook.beside(out, "by-hand.csv")


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
