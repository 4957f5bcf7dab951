"""Protects learners from unfair points, instructors from what is handed in, exams from copies."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import psutil
import pytest

import cifarlab
from cifarlab_course.exercises import leaks, master
from cifarlab_course.grading import assignment, batch, grade, handed_in, sandbox, submission
from cifarlab_course.grading.handed_in import Learner
from cifarlab_course.grading.judge import NotStarted, Ran, expected
from tests import submissions
from tests.submissions import ASKED, CASES, EXERCISES, OPEN, SECRET, Draft, rows, run, save

ROOT = Path(__file__).parent.parent
QUICK = [name for name, each in CASES.items() if each.quick]
pytestmark = pytest.mark.sandbox
REFUSAL = sandbox.refusal()
BOXED = pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL[:150])


# ------------------------------------------------------------------------------------ the corpus


def grade_cases(folder, names):
    """Grade these cases as one batch; the rows of its table."""
    for name in names:
        CASES[name].fill(folder / "handed-in" / name)
    out = folder / "grades.csv"
    done = run("grade", "--submissions", folder / "handed-in", "--out", out, "--timeout", 10)
    assert done.returncode == 0, done.stderr
    return rows(out)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The dozen and more that every `make test` grades."""
    return grade_cases(tmp_path_factory.mktemp("quick"), QUICK)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All of the corpus, as one batch."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, grade_cases(folder, CASES)


def assert_graded(row, name):
    """Does a case have its points, and a flag where it must, and none else?"""
    got = tuple(float(row[question]) for question in EXERCISES)
    # Some cases hand in one and the same file, to see what stands beside it.
    same = "the very same file"
    flags = [flag for flag in row["flags"].split("; ") if flag and not flag.startswith(same)]
    assert got == CASES[name].points, row
    assert row["waiting"] == "why" * CASES[name].waits
    if CASES[name].flag is not None:
        assert CASES[name].flag in row["flags"]
        assert bool(flags) == bool(CASES[name].flag), row


def test_the_corpus_has_sixty_submissions_of_every_kind():
    kinds = [each.kind for each in CASES.values()]
    assert len(CASES) >= 60
    assert min(map(kinds.count, ("honest", "damaged", "wrong", "hostile"))) >= 8
    assert {CASES[name].kind for name in QUICK} == set(kinds)


@BOXED
@pytest.mark.parametrize("name", QUICK)
def test_a_submission_gets_its_points(quick, name):
    assert_graded(quick[name], name)


@BOXED
@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_every_submission_gets_its_points(whole, name):
    assert_graded(whole[1][name], name)


@BOXED
@pytest.mark.long
def test_nothing_is_left_of_the_whole_corpus_but_its_tables(whole):
    folder, _ = whole
    page = (folder / "grades-feedback" / "markup_in_an_answer.html").read_text()
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert not list(Path(ROOT, "cifarlab").glob("planted*"))
    # One that has ended is a zombie until the system's first process looks after it.
    left = [each.info for each in psutil.process_iter(["name", "status"])]
    running = [each for each in left if each["status"] != psutil.STATUS_ZOMBIE]
    assert "bwrap" not in [each["name"] for each in running]


TRAPS = "a_link_to_another_file a_link_to_another_folder a_link_among_the_folders a_named_pipe"


@pytest.mark.parametrize("name", TRAPS.split())
def test_a_trap_in_a_learners_folder_is_not_read(tmp_path, name):
    """A link to another learner's folder would earn the other's points."""
    CASES[name].fill(tmp_path / "anna")
    learner = handed_in.Learner("anna", places=(tmp_path / "anna",))
    found = grade.chosen(grade.opened(learner), ASKED)
    assert CASES[name].flag in found.reason and not found.path


# --------------------------------------------------------------------------------- the sandbox


@BOXED
def test_a_sandbox_has_no_network_no_files_no_secret_and_few_processes():
    with (
        contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server,
        sandbox.runner(60, "") as runner,
    ):
        server.setblocking(False)
        cells = [
            f"import socket; socket.create_connection({server.getsockname()!r}, timeout=2)",
            *(f"open({str(place)!r}, 'w')" for place in (ROOT / "cifarlab" / "x.py", "/usr/x")),
            "open('/x', 'w')",
            "open('/dev/x', 'w')",
            f"open({str(ROOT / 'README.md')!r})",
            f"import os; os.listdir({str(ROOT / 'lessons')!r})",
        ]
        ran = runner.run(cells, [], [("ask", "1 + 1", "")])
        assert [cell["error"] is not None for cell in ran.cells] == [True] * len(cells), ran.cells
        assert ran.values == [2]
        with pytest.raises(BlockingIOError):
            server.accept()
        looks = [
            "seen = str(dict(os.environ))",
            "seen += open('/proc/1/environ').read()",
            "import glob; seen += str([open(p).read() for p in glob.glob('/proc/*/cmdline')])",
        ]
        ran = runner.run(["import os", *looks], [], [("ask", "'SECRET' in seen", "")])
        assert ran.values == [False]
        runner.watch = lambda process: None  # the kernel's own bound, which nothing can outrun
        forks = (
            "import os, time\nnumber = 0\ntry:\n    while number < 200:\n"
            "        if os.fork() == 0:\n            time.sleep(60)\n            os._exit(0)\n"
            "        number += 1\nexcept BlockingIOError:\n    pass"
        )
        ran = runner.run([forks], [], [("ask", "number", "")])
        assert ran.values[0] <= sandbox.TASKS


@BOXED
def test_a_sandbox_has_its_own_of_all_that_the_kernel_can_part():
    """Else it could read another's shared memory, see other processes or take a port."""
    kinds = "cgroup ipc mnt net pid uts".split() + ["user"] * (os.geteuid() != 0)
    links = [f"/proc/self/ns/{kind}" for kind in kinds]
    look = f"import os; print(*map(os.readlink, {links}))"
    ran = subprocess.run(
        sandbox.confined([sys.executable, "-c", look]),
        env=sandbox.ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    inside, outside = ran.stdout.split(), map(os.readlink, links)
    shared = [kind for kind, *both in zip(kinds, inside, outside, strict=True) if len({*both}) < 2]
    assert shared == []


def test_without_bubblewrap_nothing_is_run(tmp_path, monkeypatch):
    save(Draft(), tmp_path / "handed-in" / "anna" / "assignment.ipynb")
    out = tmp_path / "grades.csv"
    done = run("grade", "--submissions", tmp_path / "handed-in", "--out", out, PATH=str(tmp_path))
    assert done.returncode == 2
    assert "apt-get install bubblewrap" in done.stderr
    assert "--unsafe" in done.stderr
    assert os.listdir(tmp_path) == ["handed-in"]


def test_unsafe_grades_without_a_sandbox_and_still_keeps_the_secret(tmp_path):
    prying = "import os\nassert 'SECRET' in os.environ\n"
    draft = Draft().say(submissions.HOLES, prying + submissions.body(submissions.HOLES))
    save(draft, tmp_path / "handed-in" / "anna" / "assignment.ipynb")
    out = tmp_path / "grades.csv"
    options = ("--submissions", tmp_path / "handed-in", "--out", out)
    done = run("grade", *options, "--unsafe", PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (rows(out)["anna"]["holes"], rows(out)["anna"]["saving"]) == ("0", "2")


def test_grading_can_be_called_and_gives_back_what_its_table_holds(tmp_path):
    save(Draft(), tmp_path / "handed-in" / "anna" / "assignment.ipynb")
    (tmp_path / "handed-in" / "ben").mkdir()
    learners, notes, _ = handed_in.look(tmp_path / "handed-in")
    assert notes == []
    out = tmp_path / "grades.csv"
    with batch.crew(unsafe=True, jobs=1) as crew:
        graded = batch.grade(batch.read(learners, SECRET), out, crew)
    table = rows(out)
    assert [*graded] == [*table] == ["anna", "ben"]
    assert all(f"{row.total:g}" == table[name]["total"] for name, row in graded.items())
    assert graded["anna"].total > graded["ben"].total == 0
    assert batch.by_hand(out).exists() and (tmp_path / "grades-feedback" / "anna.html").exists()


# ---------------------------------------------------------------------------------- assignments


@pytest.mark.parametrize("path", master.MASTERS, ids=lambda path: path.stem)
def test_the_secret_chooses_a_variant_that_is_never_the_published_one(path):
    published = master.read(path)
    for secret in ("spring", "autumn"):
        assert assignment.varied(path.stem, secret).cells != published.cells


def test_all_graded_variants_come_up():
    """Two of three are missed by chance in fewer than one of 10,000 hash functions."""
    found = {assignment.varied("hold-out", f"secret {number}").cells for number in range(30)}
    assert len(found) == len(master.variants(master.FOLDER / "hold-out.md")) - 1 == 3


def make_assignment(folder, *names, secret=SECRET, **options):
    """What `make assignment` does."""
    more = [part for name, value in options.items() for part in (f"--{name}", value)]
    return run("assignment", *names, "--out", folder, *more, secret=secret)


def test_what_is_handed_out_holds_no_secret_and_the_rest_lies_elsewhere(tmp_path):
    questions = tmp_path / "open.md"
    questions.write_text(f"## {OPEN.name} ({OPEN.points} points)\n\n{OPEN.text}\n")
    assert make_assignment(tmp_path / "made", *EXERCISES, open=questions).returncode == 0
    files = sorted(str(p.relative_to(tmp_path / "made")) for p in tmp_path.glob("made/*/*"))
    assert files == [
        "hand-out/assignment.ipynb",
        "instructor/hidden-tests.md",
        "instructor/solutions.ipynb",
    ]
    assert list(leaks.leaks(tmp_path / "made" / "hand-out", ASKED.exercises)) == []
    told = " ".join(leaks.leaks(tmp_path / "made" / "instructor", ASKED.exercises))
    for name in EXERCISES:
        assert f"a solution of {name}" in told
        assert f"a hidden test of {name}" in told
    handed = nbformat.read(tmp_path / "made" / "hand-out" / "assignment.ipynb", as_version=4)
    nbformat.validate(handed)
    text = "\n".join(cell.source for cell in handed.cells)
    assert ASKED.line in text
    assert OPEN.text in text
    assert text.count(master.YOUR_TURN) == 3
    assert SECRET not in json.dumps(handed)


def test_the_same_secret_makes_the_same_assignment_and_another_one_another(tmp_path):
    made = []
    for number, secret in enumerate(("one", "one", "two")):
        folder = tmp_path / str(number)
        assert make_assignment(folder, "field-of-a-chain", secret=secret).returncode == 0
        made.append((tmp_path / str(number) / "hand-out" / "assignment.ipynb").read_bytes())
    assert made[0] == made[1] != made[2]


NAMES = [path.stem for path in master.MASTERS]


@pytest.mark.parametrize(
    ("names", "secret", "told"),
    [
        (["hole"], "x", f"no exercise is called 'hole'; there are: {', '.join(NAMES)}"),
        ([], "x", "no exercise is named"),
        (["holes"], "", "there is no secret"),
        (["holes", "holes"], "x", "holes: named twice"),
        (["../holes"], "x", "no exercise is called '../holes'"),
    ],
)
def test_an_assignment_that_cannot_be_made_is_told_why(names, secret, told, tmp_path):
    done = make_assignment(tmp_path / "made", *names, secret=secret)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (tmp_path / "made").exists()


def test_an_assignment_never_replaces_another_one(tmp_path):
    """The first may have been handed out; and a key that is left fits one of the two."""
    folder = tmp_path / "week4"
    (folder / "hand-out").mkdir(parents=True)  # made beforehand, and empty
    assert make_assignment(folder, "holes").returncode == 0
    before = {path: path.read_bytes() for path in folder.glob("*/*")}
    for name in ("hand-out/assignment.ipynb", "instructor/solutions.ipynb"):
        done = make_assignment(folder, "saving", secret="")  # nobody is asked for it first
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert f"--out {folder}: an assignment lies there" in done.stderr
        assert {path: path.read_bytes() for path in folder.glob("*/*")} == before
        (folder / name).unlink()
        del before[folder / name]
    shutil.rmtree(folder / "instructor")  # what the message says
    shutil.rmtree(folder / "hand-out")
    assert make_assignment(folder, "saving").returncode == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Why?\n", "must begin with a heading"),
        ("", "must begin with a heading"),
        ("## Why (3 points)\n\nWhy?\n", "is no heading such as"),
        ("## why\n\nWhy?\n", "is no heading such as"),
    ],
)
def test_an_open_question_without_name_or_points_is_named(text, told, tmp_path):
    (tmp_path / "open.md").write_text(text)
    with pytest.raises(ValueError, match=told):
        assignment.read_open(tmp_path / "open.md")


# -------------------------------------------------------------------------------- the command


def grade_options(tmp_path, **changes):
    """The words of a command that would grade one solved notebook."""
    save(Draft(), tmp_path / "handed-in" / "anna" / "assignment.ipynb")
    options = {"submissions": tmp_path / "handed-in", "out": tmp_path / "grades.csv"} | changes
    return ["--unsafe", *(part for key, value in options.items() for part in (f"--{key}", value))]


@pytest.mark.parametrize(
    ("changes", "secret", "told"),
    [
        ({}, "another", "1 of 1 submissions: their assignment was made with another secret"),
        ({}, "", "there is no secret"),
        ({"out": "grades.xlsx"}, SECRET, "'grades.xlsx'; name a file that ends in .csv"),
        ({"submissions": "nowhere"}, SECRET, "SUBMISSIONS=nowhere: no such folder"),
        ({"timeout": "soon"}, SECRET, "'soon'; give a number from 1 to 86,400"),
        ({"timeout": "100000"}, SECRET, "'100000'; give a number from 1 to 86,400"),
        ({"jobs": "0"}, SECRET, "'0'; give a whole number from 1 to 256"),
    ],
)
def test_grading_that_cannot_begin_says_why_and_writes_nothing(changes, secret, told, tmp_path):
    done = run("grade", *grade_options(tmp_path, **changes), secret=secret)
    assert done.returncode == 2
    assert told in done.stderr
    assert os.listdir(tmp_path) == ["handed-in"]


def test_another_secret_is_told_of_also_where_the_exercises_are_named(tmp_path):
    """All would be checked for other numbers than they were asked for, and fail."""
    done = run("grade", *EXERCISES, *grade_options(tmp_path), secret="another")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "1 of 1 submissions: their assignment was made with another secret" in done.stderr
    assert "another secret than" in done.stderr and SECRET not in done.stderr
    assert os.listdir(tmp_path) == ["handed-in"]


def test_a_secret_is_another_one_if_most_submissions_say_so():
    """One of last year, or of whoever deleted the line, holds up nobody."""
    old = named("old", assignment.make(["holes"], "last year").line)
    own, none = named("own", ASKED.line), named("none")
    for folders in ([old, own], [old, none, none], [none], [grade.Folder(Learner("x"), 0, [], [])]):
        grade.check_secret(folders, SECRET)
    for folders in ([old], [old, old, own], [old, old, none]):
        with pytest.raises(ValueError, match=f"{folders.count(old)} of {len(folders)} subm"):
            grade.check_secret(folders, SECRET)


def named(learner, *lines):
    """A learner's folder with one notebook that holds these lines."""
    lines = [line.partition(")")[0] for line in lines]
    candidate = grade.Candidate(Path("a.ipynb"), "", lines, ())
    return grade.Folder(Learner(learner), 1, [candidate], [])


def test_an_assignment_without_its_line_can_be_named(tmp_path, runner):
    draft = Draft()
    submissions.assignment_line_deleted(draft)
    with pytest.raises(ValueError, match="name the exercises .* that were asked"):
        grade.assignment_of([named("anna")], SECRET)
    asked = assignment.make(EXERCISES, SECRET)
    right = {each.name: expected(runner, each) for each in asked.exercises}
    data = json.dumps(draft.notebook).encode()
    result = grade.graded(submission.read(data), asked, right, lambda imports: Lent(runner))
    assert sum(mark.points for marks in result.marks.values() for mark in marks) == 9


def test_two_assignments_in_one_folder_are_told_apart():
    other = assignment.make(["confusion"], SECRET)
    lines = [ASKED.line, ASKED.line, other.line]
    found = [named(str(n), line) for n, line in enumerate(lines)]
    assert grade.assignment_of(found, SECRET) == ASKED
    with pytest.raises(ValueError, match="of two assignments"):
        grade.assignment_of(found[1:], SECRET)


# ------------------------------------------------------------------------------------- the batch


class Lent:
    """A runner that somebody else stops."""

    def __init__(self, runner):
        self.runner = runner

    def __enter__(self):
        return self.runner

    def __exit__(self, *unused):
        pass


class Borrowed:
    """The same, as a batch makes runners: one for each submission, which it stops."""

    lasting = False

    def __init__(self, runner):
        self.run, self.seconds = runner.run, runner.seconds

    def stop(self):
        pass


@pytest.fixture(scope="module")
def right(runner):
    """What the references compute."""
    return {exercise.name: expected(runner, exercise) for exercise in ASKED.exercises}


@pytest.mark.parametrize(("characters", "kept"), [(100, True), (2 * grade.SMALL, False)])
def test_a_large_notebook_is_read_again_when_its_turn_comes(
    tmp_path, runner, right, characters, kept
):
    """All notebooks of a class at once might not fit into memory; its points are the same."""
    path = tmp_path / "anna" / "assignment.ipynb"
    save(Draft().first("#" * characters), path)
    folder = grade.opened(Learner("anna", places=(path.parent,)))
    (candidate,) = folder.candidates
    assert (candidate.notebook is not None) == kept
    handed_in = grade.chosen(folder, ASKED)
    results = grade.Kept(tmp_path / "results.jsonl")
    crew = grade.Crew(lambda imports: Borrowed(runner), seconds=30, jobs=1)
    graded = grade.grade([handed_in], ASKED, right, results, crew)
    assert sum(mark.points for marks in graded["anna"].marks.values() for mark in marks) == 9


def test_every_exercise_in_its_graded_variant_gives_a_solver_all_points(runner):
    asked = assignment.make(NAMES, "autumn")
    right = {each.name: expected(runner, each) for each in asked.exercises}
    data = nbformat.writes(assignment.notebook(asked, [], "All", solved=True)).encode()
    result = grade.graded(submission.read(data), asked, right, lambda imports: Lent(runner))
    got = {name: sum(mark.points for mark in marks) for name, marks in result.marks.items()}
    assert got == asked.most
    assert result.flags == []


def test_a_question_keeps_its_helpers_where_the_answer_above_ends_the_process(tmp_path, runner):
    """Tried from the top it never comes to its answer, and by itself it lacks the helper."""
    CASES["exit_above_an_answer_with_a_helper"].fill(tmp_path)
    notebook = submission.read((tmp_path / "assignment.ipynb").read_bytes())
    found = submission.pieces(notebook.cells, ASKED.exercises)
    saving = submissions.SAVING
    ways = submission.attempts(found, saving)
    marks, remarks = grade.best(runner, saving, expected(runner, saving), ways)
    assert (sum(mark.points for mark in marks), remarks) == (2, [])


def test_an_answer_is_tried_by_itself_where_the_time_was_over_before_its_last_check():
    """A slow cell above may use up the time; the first check, which passed, says nothing of it."""
    fine = {"text": "", "error": None}
    holes = submissions.HOLES
    right = [0 for check in holes.checks for _ in check.asked]
    late = Ran([fine], [fine], [], "it ran for more than 30 seconds", lasted=1)
    ran = [late, Ran([fine], [fine] * len(holes.checks), right, "")]

    class Slow:
        seconds = 30

        def run(self, *unused):
            return ran.pop(0)

    own = submission.Piece("# the answer", frozenset({"holes"}), answers=True)
    helper = submission.Piece("# slow", frozenset(), answers=False)
    marks, remarks = grade.best(Slow(), holes, right, [[helper, own], [own]])
    assert (sum(mark.points for mark in marks), remarks) == (holes.points, [])


def drafts(folder, count):
    """Submissions that differ, every second of them solved."""
    made = []
    for number in range(count):
        draft = (Draft() if number % 2 else Draft().stubs()).first(f"# learner {number}")
        path = folder / f"learner-{number}" / "assignment.ipynb"
        save(draft, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        made.append(grade.Submission(Learner(path.parent.name), path, digest))
    return made


def test_what_was_graded_is_not_graded_again_and_a_line_cut_in_the_middle_is(
    tmp_path, runner, right
):
    counted = []

    def make(imports):
        counted.append(imports)
        return Borrowed(runner)

    def batch(found):
        kept = grade.Kept(tmp_path / "results.jsonl")
        return grade.grade(found, ASKED, right, kept, grade.Crew(make, seconds=30, jobs=1))

    first = batch(drafts(tmp_path, 3))
    assert len(counted) == 3
    text = (tmp_path / "results.jsonl").read_text()
    (tmp_path / "results.jsonl").write_text(text[:-100])  # killed while it wrote
    assert batch(drafts(tmp_path, 4)) == first | batch(drafts(tmp_path, 4))
    assert len(counted) == 5


def test_results_stand_in_the_order_of_the_submissions_whoever_is_done_first(tmp_path):
    """The page on the class names mistakes in that order: it is the same from run to run."""
    last_is_done = threading.Event()

    class Backwards(grade.Crew):
        def grade(self, notebook, *unused):
            if "# learner 1" in [cell.source for cell in notebook.cells]:
                last_is_done.set()
            else:
                assert last_is_done.wait(60)
                time.sleep(0.2)  # the other one is kept
            return grade.Result()

    kept = grade.Kept(tmp_path / "results.jsonl")
    with contextlib.closing(Backwards(lambda imports: None, seconds=30, jobs=2)) as crew:
        results = grade.grade(drafts(tmp_path, 2), ASKED, {}, kept, crew)
    assert [*results] == ["learner-0", "learner-1"]


def test_a_sandbox_that_does_not_start_is_no_learners_fault(tmp_path, runner, right):
    def broken(*unused):
        raise NotStarted("no sandbox")

    made = [Borrowed(runner) for _ in range(3)]
    made[0].run = broken
    kept = grade.Kept(tmp_path / "results.jsonl")
    crew = grade.Crew(lambda imports: made.pop(0), seconds=30, jobs=1)
    with pytest.raises(NotStarted, match="no sandbox, for 1 of 3 submissions"):
        grade.grade(drafts(tmp_path, 3), ASKED, right, kept, crew)
    assert len(kept.known) == 2


def test_an_error_is_told_before_those_who_wait_are_graded(tmp_path):
    """A full disk would else be told of when a whole class had been graded in vain."""
    graded = []

    class Counting(grade.Crew):
        def grade(self, *unused):
            graded.append(None)
            time.sleep(0.2)
            return grade.Result()

    class Full(grade.Kept):
        def add(self, digest, result):
            raise OSError("No space left on device")

    kept = Full(tmp_path / "results.jsonl")
    with (
        pytest.raises(OSError, match="No space left"),
        contextlib.closing(Counting(lambda imports: None, seconds=30, jobs=1)) as crew,
    ):
        grade.grade(drafts(tmp_path, 10), ASKED, {}, kept, crew)
    assert len(graded) <= 2


@BOXED
@pytest.mark.long
def test_a_batch_killed_half_way_goes_on_and_ends_with_the_same_table(tmp_path):
    drafts(tmp_path / "handed-in", 12)
    options = ["--submissions", tmp_path / "handed-in", "--jobs", 2, "--out"]
    assert run("grade", *options, tmp_path / "whole.csv").returncode == 0
    command = [sys.executable, "-m", "cifarlab_course.cli", "grade", *options, tmp_path / "cut.csv"]
    cut = subprocess.Popen(list(map(str, command)), env=os.environ | {"SECRET": SECRET})
    results = tmp_path / "cut-results.jsonl"
    while not results.exists() or results.read_text().count("\n") < 5:
        time.sleep(0.2)
        assert cut.poll() is None
    children = psutil.Process(cut.pid).children(recursive=True)
    cut.send_signal(signal.SIGKILL)
    cut.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []  # the sandboxes ended with it
    assert not (tmp_path / "cut.csv").exists()
    assert run("grade", *options, tmp_path / "cut.csv").returncode == 0
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


# ------------------------------------------------------------------------------------ other things


def test_two_open_questions_of_one_name_are_refused():
    """One of them would have no points."""
    questions = [assignment.Open("why", 3, "Why?"), assignment.Open("why", 5, "Why not?")]
    with pytest.raises(ValueError, match="why: named twice"):
        assignment.make(["holes"], SECRET, questions)


def test_results_are_not_kept_when_a_line_of_code_changes(tmp_path, monkeypatch):
    """Of the grading, or of the package that an answer may call."""
    for module in (grade, master, cifarlab):
        here = Path(module.__file__)
        folder = tmp_path / here.parent.name
        for path in here.parent.rglob("*.py"):
            copy = folder / path.relative_to(here.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        monkeypatch.setattr(module, "__file__", str(folder / here.name))
    before = grade.settings_digest(ASKED, 30)
    for path in tmp_path.rglob("*.py"):
        code = path.read_bytes()
        path.write_bytes(code + b"# changed\n")
        assert grade.settings_digest(ASKED, 30) != before, path
        path.write_bytes(code)
    assert grade.settings_digest(ASKED, 30) == before


def test_results_are_kept_for_the_same_code_and_libraries_only(monkeypatch):
    before = grade.settings_digest(ASKED, 30)
    assert grade.settings_digest(ASKED, 30) == before != grade.settings_digest(ASKED, 31)
    monkeypatch.setattr(grade, "distributions", list)
    assert grade.settings_digest(ASKED, 30) != before
