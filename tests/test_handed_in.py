"""Protects a batch from what is handed in: one folder, file or name costs its own row at most."""

import csv
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import tracemalloc
from contextlib import closing
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cifarlab_course.grading import (
    assignment,
    batch,
    grade,
    gradebook,
    handed_in,
    reader,
    submission,
)
from cifarlab_course.grading.judge import Ran
from tests.submissions import SECRET, rows, run, save

pytestmark = pytest.mark.sandbox
WORDS = [assignment.Open("why", 3, "Why do dilations of 2 and 9 leave holes?")]
ASKED = assignment.make([], SECRET, WORDS)  # nothing to run: a batch is graded in no time
SOFTMAX = assignment.make(["softmax"], SECRET)
SAID = "Since both are even or odd together."


def notebook(words=SAID, asked=ASKED, questions=WORDS, **options) -> dict:
    """The assignment, its open question answered."""
    made = json.loads(nbformat.writes(assignment.notebook(asked, questions, "Words", **options)))
    for cell in made["cells"]:
        cell["source"] = "".join(cell["source"])
    made["cells"][-1]["source"] += words
    return made


def hand_in(place: Path, words=None, **options) -> Path:
    """Write that notebook as one file, with words of its own."""
    words = f"{SAID} {place.parent.name} {place.name}" if words is None else words
    save(json.dumps(notebook(words, **options)), place)
    return place


def grading(folder: Path, out="grades.csv", **options):
    """Grade what was handed in to `folder`; how it ended, and the rows of its table."""
    out = folder.parent / out
    words = {"submissions": folder, "out": out, "jobs": 2} | options
    done = run(
        "grade",
        "--unsafe",
        *(
            part
            for name, value in words.items()
            for part in (f"--{name}", value)
            if part is not None
        ),
    )
    return done, rows(out) if out.exists() else {}


@pytest.fixture
def folder(tmp_path):
    """Where one honest learner, Ben, has handed in."""
    hand_in(tmp_path / "handed-in" / "ben" / "assignment.ipynb", "Ben's own words.")
    return tmp_path / "handed-in"


# -------------------------------------------------------------------------------------- folders


def test_folders_fifteen_hundred_deep_cost_their_own_row_and_no_other(folder):
    (folder / "deep").mkdir()
    here = os.getcwd()
    try:
        os.chdir(folder / "deep")
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
        os.chdir(here)
        done, table = grading(folder)
    finally:
        os.chdir(here)
        subprocess.run(["rm", "-r", folder / "deep"], check=True)  # Python's own is recursive
    assert done.returncode == 0, done.stderr
    assert table["ben"]["flags"] == ""
    assert "no notebook" in table["deep"]["flags"]
    assert "not looked into" in table["deep"]["flags"]


def test_a_notebook_beside_too_many_files_is_found_and_the_flag_says_that_more_were_not(
    folder, monkeypatch
):
    monkeypatch.setattr(handed_in, "MOST", 20, raising=False)
    for number in range(40):
        save("x", folder / "ben" / f"data-{number}.txt")
    done, table = grading(folder)
    assert done.returncode == 0, done.stderr
    assert table["ben"]["waiting"] == "why"
    assert "more than 20 files" in table["ben"]["flags"]


def test_a_folder_that_cannot_be_opened_costs_its_own_row(folder, monkeypatch):
    hand_in(folder / "ada" / "assignment.ipynb")
    scan = os.scandir

    def barred(path="."):
        if Path(path).name == "ada":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", barred)
    done, table = grading(folder)
    assert done.returncode == 0, done.stderr
    assert table["ben"]["flags"] == ""
    assert "can't be opened: Permission denied" in table["ada"]["flags"]


@pytest.mark.parametrize("out", ["handed-in/week4.csv", "handed-in/ben/week4.csv"])
def test_a_table_written_among_the_submissions_is_no_submission_of_the_next_run(folder, out):
    for _ in range(2):
        done, table = grading(folder, out)
        assert done.returncode == 0, done.stderr
        assert list(table) == ["ben"]
        assert table["ben"]["flags"] == ""
    done, table = grading(folder, "elsewhere.csv")  # nor of a run with another name
    assert list(table) == ["ben"]
    assert "left out" not in done.stderr


def test_a_learners_files_that_are_no_notebook_are_named(folder):
    save("x", folder / "ada" / "assignment.zip")
    save("x", folder / "cy" / "assignment.ipynb.txt")
    (folder / "dora").mkdir()
    _, table = grading(folder)
    assert table["ada"]["flags"] == "no notebook (.ipynb) in it; it holds 'assignment.zip'"
    assert table["cy"]["flags"] == "no notebook (.ipynb) in it; it holds 'assignment.ipynb.txt'"
    assert table["dora"]["flags"] == "no notebook (.ipynb) in it"


def test_a_learner_who_is_called_like_a_table_of_another_one_is_a_learner(folder):
    hand_in(folder / "ada" / "assignment.ipynb")
    hand_in(folder / "ada-feedback" / "assignment.ipynb")
    save("x", folder / "ada.csv")
    done, table = grading(folder)
    assert list(table) == ["ada", "ada-feedback", "ben"]
    assert "left out, as no learner's: 'ada.csv'\n" in done.stderr


def test_what_lies_loose_is_its_namesakes_or_named_as_left_out(folder):
    hand_in(folder / "emmy.ipynb")
    hand_in(folder / "ben.IPYNB", "Ben again, who has a folder too.")
    save("x", folder / "late.zip")
    save("x", folder / ".DS_Store")
    done, table = grading(folder)
    assert list(table) == ["ben", "emmy"]
    assert table["emmy"]["waiting"] == "why"
    assert "2 notebooks" in table["ben"]["flags"]
    assert "left out, as no learner's: 'late.zip'\n" in done.stderr
    assert "DS_Store" not in done.stderr


def test_an_archive_unpacked_one_level_too_deep_still_gives_each_learner_a_row(folder):
    hand_in(folder / "ada" / "assignment.ipynb")
    outer = folder.with_name("outer")
    outer.mkdir()
    folder.rename(outer / "week4 submissions")
    save("junk", outer / "__MACOSX" / "._x")
    done, table = grading(outer)
    assert list(table) == ["ada", "ben"]
    assert "'week4 submissions' holds several learners' folders: took those" in done.stderr


def test_one_learner_with_folders_of_their_own_is_one_learner(tmp_path):
    hand_in(tmp_path / "handed-in" / "ada" / "week 4" / "a.ipynb")
    save("x", tmp_path / "handed-in" / "ada" / "notes.txt")
    save("x", tmp_path / "handed-in" / "ada" / "week 3" / "data.txt")
    _, table = grading(tmp_path / "handed-in")
    assert list(table) == ["ada"]


@pytest.mark.parametrize(
    ("name", "told"),
    [("week4.zip", "no zip that can be read"), ("no", "no such folder, and no zip")],
)
def test_submissions_that_are_neither_folder_nor_zip_are_told_what_to_do(tmp_path, name, told):
    save("x", tmp_path / "week4.zip")
    done, _ = grading(tmp_path / name)
    assert done.returncode == 2
    assert told in done.stderr


# ------------------------------------------------------------------------- what they are called


ODD = {
    "not UTF-8": (b"J\xfcrgen", "J\\xfcrgen"),
    "of DOS": (b"J\x81rgen", "J\\x81rgen"),
    "two lines": (b"a\nb\rc", "a\\nb\\rc"),
    "written backwards": ("a\u202eb".encode(), "a\\u202eb"),
    "of a Mac": ("Ju\u0308rgen".encode(), "J\u00fcrgen"),
    "a formula": (b'=HYPERLINK("http:evil")', '\'=HYPERLINK("http:evil")'),
    "another formula": (b"+49 30 1", "'+49 30 1"),
    "at a second column": (b"x;=1+1", "x;'=1+1"),
    "as long as can be": (b"L" * 255, "L" * 255),
    "long and not of ASCII": ("ü".encode() * 127, "ü" * 127),
    "a point at the end": (b"Ada.", "Ada."),
}


@pytest.mark.parametrize(("raw", "shown"), ODD.values(), ids=ODD)
def test_a_name_has_its_row_and_page_and_is_read_back_as_it_was_written(folder, raw, shown):
    place = os.path.join(os.fsencode(folder), raw)
    os.mkdir(place)
    shutil.copy(folder / "ben" / "assignment.ipynb", os.path.join(place, b"mine.ipynb"))
    done, table = grading(folder)
    assert done.returncode == 0, done.stderr
    assert set(table) == {"ben", shown}
    assert table[shown]["waiting"] == "why"
    assert len(list(folder.parent.glob("grades-feedback/*.html"))) == 2
    by_hand = folder.parent / "grades-by-hand.csv"
    text = by_hand.read_bytes().decode("utf-8-sig")
    with by_hand.open("w", encoding="utf-8", newline="") as file:
        written = list(csv.reader(io.StringIO(text, newline="")))
        assert shown in [row[0] for row in written]
        csv.writer(file).writerows([[*row[:2], row[2] or "1", ""] for row in written[1:]])
    file = by_hand.read_bytes()
    by_hand.write_bytes(b"learner,question,points,comment\r\n" + file)
    done, table = grading(folder)
    assert done.returncode == 0, done.stderr
    assert table[shown]["total"] == "1"


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=255).filter(lambda raw: not {0, 47} & set(raw)))
def test_every_name_that_a_folder_may_have_is_shown_as_plain_text(raw):
    name = handed_in.shown(os.fsdecode(raw))
    assert name.encode().decode() == name
    assert not any(sign in name for sign in "\n\r\t\u202e")
    for column in name.replace("|", ";").replace(",", ";").split(";"):
        assert not column.lstrip(" ").startswith(("=", "+", "-", "@"))
    assert handed_in.shown(name).replace("'", "") == name.replace("'", "")


def test_two_folders_whose_names_are_shown_alike_keep_a_row_each_or_share_one(tmp_path):
    for raw in (b"J\xfcrgen", rb"J\xfcrgen"):
        os.makedirs(os.path.join(os.fsencode(tmp_path / "handed-in"), raw))
        place = os.path.join(os.fsencode(tmp_path / "handed-in"), raw, b"a.ipynb")
        hand_in(Path(os.fsdecode(place)))
    done, table = grading(tmp_path / "handed-in")
    assert done.returncode == 0, done.stderr
    assert "2 notebooks" in table["J\\xfcrgen"]["flags"]


def test_canvas_own_download_is_graded_as_it_comes_with_canvas_number_of_each(tmp_path):
    folder = tmp_path / "handed-in"
    hand_in(folder / "lovelaceada_12345_678901_assignment.ipynb")
    hand_in(folder / "noetheremmy_LATE_12346_678902_assignment-1.ipynb")
    save("<p>", folder / "hoppergrace_12347_text.html")
    done, table = grading(folder)
    assert done.returncode == 0, done.stderr
    assert {name: row["number"] for name, row in table.items()} == {
        "hoppergrace": "12347",
        "lovelaceada": "12345",
        "noetheremmy": "12346",
    }
    assert "handed in late" in table["noetheremmy"]["flags"]
    assert table["lovelaceada"]["flags"] == ""
    assert "it holds 'hoppergrace_12347_text.html'" in table["hoppergrace"]["flags"]
    lines = (tmp_path / "grades-canvas.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[2:4] == ["hoppergrace,12347,,,,0", "lovelaceada,12345,,,,"]


def test_moodles_own_download_has_a_row_for_each_learner_whatever_kinds_there_are(tmp_path):
    folder = tmp_path / "handed-in"
    hand_in(folder / "Ada Byron_123_assignsubmission_file_" / "assignment.ipynb")
    save("<p>", folder / "Ada Byron_123_assignsubmission_onlinetext_" / "onlinetext.html")
    hand_in(folder / "Emmy Noether_124_assignsubmission_file" / "assignment.ipynb")
    save("<p>", folder / "Grace Hopper_125_assignsubmission_onlinetext" / "onlinetext.html")
    hand_in(folder / "Sofia_126_assignsubmission_file_assignment.ipynb")
    done, table = grading(folder)
    assert done.returncode == 0, done.stderr
    assert {name: row["number"] for name, row in table.items()} == {
        "Ada Byron": "123",
        "Emmy Noether": "124",
        "Grace Hopper": "125",
        "Sofia": "126",
    }
    assert table["Ada Byron"]["flags"] == ""
    assert "it holds 'onlinetext.html'" in table["Grace Hopper"]["flags"]
    lines = (tmp_path / "grades-canvas.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[2].startswith("Ada Byron,,,Ada Byron,")  # Moodle's number is not Canvas's


def test_learners_of_one_name_are_told_apart_by_the_platforms_number(tmp_path):
    folder = tmp_path / "handed-in"
    for number in (7, 8):
        hand_in(folder / f"Participant_{number}_assignsubmission_file_" / "assignment.ipynb")
    _, table = grading(folder)
    assert list(table) == ["Participant (7)", "Participant (8)"]


# ------------------------------------------------------------------------ which notebook counts


def test_this_weeks_notebook_counts_however_much_last_weeks_is_answered(folder):
    other = assignment.make(["softmax"], SECRET)
    hand_in(folder / "ada" / "week4.ipynb", "Ada's words.")
    hand_in(folder / "ada" / "week3.ipynb", asked=other, questions=[], solved=True)
    hand_in(folder / "cy" / "assignment.ipynb")
    _, table = grading(folder)
    assert table["ada"]["waiting"] == "why"
    assert table["ada"]["flags"] == "2 notebooks; graded 'week4.ipynb'"


def test_the_very_same_file_of_two_learners_is_flagged_unless_nothing_was_written(folder):
    for name in ("ada", "cy"):
        hand_in(folder / name / "assignment.ipynb", "A copied answer.")
    for name in ("dora", "emmy"):
        hand_in(folder / name / "assignment.ipynb", "")
    _, table = grading(folder)
    assert table["ada"]["flags"] == "the very same file as that of cy"
    assert table["cy"]["flags"] == "the very same file as that of ada"
    assert (table["ben"]["flags"], table["dora"]["flags"]) == ("", "")


# ------------------------------------------------------------------------- reading: time and memory

SHAPES = {  # a cell of about so many characters
    "blank lines": lambda size: "\n" * size,
    "lines of blanks": lambda size: (" " * 99 + "\n") * (size // 100),
    "one line of blanks": lambda size: " " * size,
    "tabs and blank lines": lambda size: "\t\n" * (size // 2),
    "number signs": lambda size: "#" * size,
    "lines of number signs": lambda size: "#\n" * (size // 2),
    "signs and blanks": lambda size: "# " * (size // 2),
    "almost marks": lambda size: "# exercise\n" * (size // 11),
    "marks": lambda size: "# exercise: softmax\n" * (size // 20),
    "marks of other questions": lambda size: "# check: " + "a" * size,
    "open marks": lambda size: "`open: why\n" * (size // 11),
    "almost open marks": lambda size: "`" * size,
    "comments": lambda size: "<!-- " * (size // 5),
    "lines of an assignment": lambda size: "# assignment: " + "a 0 " * (size // 4),
    "definitions": lambda size: "def " * (size // 4),
    "lines of definitions": lambda size: "def\n" * (size // 4),
    "a name": lambda size: "probabilities " * (size // 14),
    "assigned": lambda size: "probabilities =\n" * (size // 16),
    "carriage returns": lambda size: "\r" * size,
    "odd ends of lines": lambda size: "\v\f\u2028\x85" * (size // 4),
    "backticks": lambda size: "`" * size,
    "brackets": lambda size: "[" * size,
    "stars": lambda size: "*a" * (size // 2),
}


@pytest.mark.parametrize("kind", ["code", "markdown"])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_grader_does_with_a_cell_grows_with_its_size_and_no_faster(shape, kind):
    """A megabyte takes a second at most, of this process; for a square it would take hours."""
    made = notebook(asked=SOFTMAX, questions=[])
    made["cells"].append({"cell_type": kind, "source": SHAPES[shape](10**6), "metadata": {}})
    data = json.dumps(made).encode()
    began = time.process_time()
    found = submission.read(data)
    pieces = submission.pieces(found.cells, SOFTMAX.exercises)
    list(submission.attempts(pieces, SOFTMAX.exercises[0]))
    submission.written(found.cells, ASKED)
    submission.answered(found.cells)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("shape", ["backticks", "brackets", "stars", "blank lines"])
def test_an_answer_that_cannot_be_shown_in_time_is_shown_as_it_was_typed(
    shape, folder, monkeypatch
):
    monkeypatch.setattr(submission, "PATIENCE", 8)
    said = "Now read this. " + SHAPES[shape](3 * 10**5)
    hand_in(folder / "ada" / "assignment.ipynb", said)
    done, table = grading(folder)
    assert done.returncode == 0, done.stderr
    assert table["ada"]["waiting"] == "why"
    assert "Now read this." in (folder.parent / "grades-feedback" / "ada.html").read_text()


def test_twenty_megabytes_of_empty_cells_are_refused_in_bounded_memory(tmp_path):
    data = b'{"cells":[' + b"{}," * (6_900_000) + b"{}]}"
    began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(submission.Unreadable, match="6,900,001 cells; 10,000 are allowed"):
        submission.read(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - began < 100_000  # KiB


def test_a_notebook_that_takes_too_much_memory_to_read_is_refused_by_its_reader():
    script = (
        "import runpy, sys; sys.argv = ['reader.py', 'cells'];"
        f"import resource; read = runpy.run_path({str(submission.READER)!r});"
        "read['limit'].__globals__['MEMORY'] = 2**30 // 10; read['main']()"
    )
    data = b'{"cells":[' + b"{}," * 3_000_000 + b"{}]}"
    done = subprocess.run([sys.executable, "-c", script], input=data, capture_output=True)
    assert done.returncode == reader.REFUSED
    assert done.stdout.startswith(b"reading it takes more than 0.1")


def test_a_reader_that_hangs_or_dies_is_one_submissions_reason(folder, monkeypatch, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import os, sys, time\nif b'Ben' in sys.stdin.buffer.read(): time.sleep(99)\n"
        "os.kill(os.getpid(), 9)"
    )
    hand_in(folder / "ada" / "assignment.ipynb")
    monkeypatch.setattr(submission, "READER", broken)
    monkeypatch.setattr(submission, "PATIENCE", 2)
    done, _ = grading(folder)
    assert "No notebook can be read. ada: " in done.stderr
    found = grade.opened(handed_in.Learner("ben", places=(folder / "ben",)))
    assert found.reasons == ["reading it takes more than 2 seconds"]
    found = grade.opened(handed_in.Learner("ada", places=(folder / "ada",)))
    assert "too much memory" in found.reasons[0]


def test_thirty_notebooks_are_graded_in_the_memory_of_a_few(folder):
    size = 10**6
    for number in range(30):
        made = notebook(f"{number}")
        output = {"output_type": "stream", "name": "stdout", "text": "x" * size}
        made["cells"].append({"cell_type": "code", "source": "", "outputs": [output]})
        save(json.dumps(made), folder / f"learner-{number}" / "assignment.ipynb")
    tracemalloc.start()
    try:
        done, table = grading(folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert done.returncode == 0, done.stderr
    assert len(table) == 31
    assert peak < 6 * size


@pytest.mark.parametrize("where", ["answer", "check", "open", "question"])
@pytest.mark.parametrize("odd", [[], {}, ["why"], 7, None, "x" * 10**6])
def test_odd_metadata_costs_nobody_a_point(where, odd):
    made = notebook(asked=SOFTMAX, questions=[], solved=True)
    for cell in made["cells"]:
        cell["metadata"] = {"cifarlab": {where: odd}}
    found = submission.read(json.dumps(made).encode())
    (piece,) = [p for p in submission.pieces(found.cells, SOFTMAX.exercises) if p.answers]
    assert "def probabilities" in piece.source


# --------------------------------------------------------------------------------- graded again


class Busy:
    """A runner on a machine so busy that every second answer runs out of time."""

    lasting = False

    def __init__(self, troubles):
        self.troubles = troubles
        self.seconds = 30

    def stop(self):
        pass

    def run(self, cells, checks, asked, *unused):
        return Ran([], [], [], self.troubles.pop(0) if self.troubles else "it ended")


def flags_of(folder, kept, troubles, again=()):
    """Grade what lies there; the flags of each learner."""
    learners = handed_in.look(folder).learners
    found = [grade.chosen(grade.opened(learner), SOFTMAX) for learner in learners]
    crew = grade.Crew(lambda imports: Busy(troubles), seconds=30, jobs=1)
    right = grade.references(SOFTMAX)
    results = grade.grade(found, SOFTMAX, right, grade.Kept(kept), crew, again=again)
    return {name: result.flags for name, result in results.items()}


def test_a_result_that_ran_out_of_time_is_graded_again_by_the_next_run_and_no_other(tmp_path):
    folder, kept = tmp_path / "handed-in", tmp_path / "results.jsonl"
    for name in ("ada", "ben"):
        made = notebook(asked=SOFTMAX, questions=[], solved=True)
        made["cells"].append({"cell_type": "code", "source": f"# {name}", "metadata": {}})
        save(json.dumps(made), folder / name / "a.ipynb")
    late = "it ran for more than 30 seconds"
    first = flags_of(folder, kept, [late] * 4)
    assert first["ada"] == [f"softmax: {late}"]
    second = flags_of(folder, kept, ["now it ended"] * 9)
    assert second["ada"] == ["softmax: now it ended"]
    third = flags_of(folder, kept, ["a third time"] * 9)
    assert third == second
    fourth = flags_of(folder, kept, ["a fourth time"] * 9, again={"ada"})
    assert fourth == second | {"ada": ["softmax: a fourth time"]}
    assert flags_of(folder, kept, []) == fourth


def test_who_is_to_be_graded_again_must_have_handed_in(folder):
    done, _ = grading(folder, again="dora")
    assert done.returncode == 2
    assert "--again 'dora': no submission is of that learner" in done.stderr


class Watched(grade.Crew):
    """Counts what it grades."""

    graded = 0

    def grade(self, *what):
        self.graded += 1
        return super().grade(*what)


@pytest.mark.parametrize(("counts", "anew"), [("best", 2), ("last", 1)])
def test_of_who_is_to_be_graded_again_all_notebooks_are_that_may_count(folder, counts, anew):
    for name in ("one.ipynb", "two.ipynb"):
        hand_in(folder / "ada" / name)
    learners = handed_in.look(folder).learners
    out = folder.parent / "grades.csv"
    for again, count in (("", 1 + anew), ("", 0), ("ada", anew)):
        handed = batch.read(learners, SECRET, counts=counts)
        with closing(Watched(Busy, seconds=30, jobs=1)) as crew:
            batch.grade(handed, out, crew, again=again)
        assert crew.graded == count


def test_points_that_are_typed_while_a_class_is_being_graded_are_kept(folder):
    grading(folder)
    hand_in(folder / "ada" / "assignment.ipynb")
    out = folder.parent / "grades.csv"

    class Meanwhile(grade.Crew):
        def grade(self, *what):
            typed = "learner,question,points,comment\nben,why,2,Good.\n"
            batch.by_hand(out).write_text(typed)
            return super().grade(*what)

    with closing(Meanwhile(Busy, seconds=30, jobs=1)) as crew:
        batch.grade(batch.read(handed_in.look(folder).learners, SECRET), out, crew)
    table = batch.by_hand(out).read_text("utf-8-sig").splitlines()
    assert table[1:] == ["ben,why,2,Good.", "ada,why,,"]
    assert rows(out)["ben"]["why"] == "2"


def test_where_the_best_counts_the_first_table_names_no_other_and_leaves_none_out(folder):
    hand_in(folder / "ben" / "again.ipynb")
    save("x", folder / "ben" / "data.txt")
    done, _ = grading(folder, counts="best")
    assert done.returncode == 0, done.stderr
    ben = rows(folder.parent / "grades-read.csv")["ben"]
    assert (ben["notebook that counts"], ben["left out"]) == ("the best", "data.txt")


def test_where_no_notebook_can_be_read_its_reason_is_told_and_no_secret_is_blamed(tmp_path):
    (tmp_path / "handed-in" / "ada").mkdir(parents=True)
    save("{", tmp_path / "handed-in" / "ben" / "a.ipynb")
    done, _ = grading(tmp_path / "handed-in")
    assert done.returncode == 2 and "secret" not in done.stderr
    assert "No notebook can be read. ben: it is no notebook: its JSON is damaged." in done.stderr


def test_where_there_is_no_terminal_lines_say_how_far_it_is(folder):
    for number in range(29):
        hand_in(folder / f"learner-{number}" / "assignment.ipynb", str(number))
    done, _ = grading(folder)
    told = [line for line in done.stderr.splitlines() if line.startswith("graded ")]
    assert len(told) == 10
    assert told[-1] == "graded 30 of 30"


def test_what_an_earlier_run_has_graded_is_not_counted_as_graded_now(folder):
    """Who comes back to a batch that was cut wants to know what is still to be done."""
    for number in range(3):
        hand_in(folder / f"learner-{number}" / "assignment.ipynb", str(number))
    (folder / "nothing").mkdir()
    grading(folder)
    for number in range(3, 5):
        hand_in(folder / f"learner-{number}" / "assignment.ipynb", str(number))
    done, _ = grading(folder)
    told = done.stderr.splitlines()
    assert told[0] == "4 of 7 kept from before"
    assert told[1:] == [f"graded {number} of 7" for number in (5, 6, 7)]
    done, _ = grading(folder, again="ben")
    told = done.stderr.splitlines()
    assert told == ["5 of 7 kept from before", "graded 6 of 7", "graded 7 of 7"]


def test_a_first_run_keeps_nothing_from_before_even_where_the_best_notebook_counts(folder):
    hand_in(folder / "ben" / "again.ipynb")
    done, _ = grading(folder, counts="best")
    assert done.returncode == 0 and "before" not in done.stderr


def test_open_answers_are_graded_where_no_notebook_says_what_was_asked(folder, tmp_path):
    for path in folder.glob("*/*.ipynb"):
        path.write_text(path.read_text().replace("# assignment:", "# was:"))
    questions = tmp_path / "open.md"
    questions.write_text(f"## why (3 points)\n\n{WORDS[0].text}\n")
    save(json.dumps(notebook(asked=SOFTMAX, questions=[])), folder / "ada" / "a.ipynb")
    done = run(
        *("grade", "softmax", "--open", questions, "--submissions", folder, "--unsafe"),
        *("--out", tmp_path / "grades.csv"),
    )
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "grades.csv")["ben"]["waiting"] == "why"


def test_open_questions_alone_need_no_exercise_named_where_no_notebook_says_what_was_asked(
    folder, tmp_path
):
    for path in folder.glob("*/*.ipynb"):
        path.write_text(path.read_text().replace("# assignment:", "# was:"))
    questions = tmp_path / "open.md"
    questions.write_text(f"## why (3 points)\n\n{WORDS[0].text}\n")
    done, table = grading(folder, open=questions)
    assert done.returncode == 0, done.stderr
    assert table["ben"]["waiting"] == "why"

    made = notebook(asked=SOFTMAX, questions=[])  # it has an exercise, which nobody named
    text = json.dumps(made).replace("# assignment:", "# was:")
    save(text, folder / "ada" / "a.ipynb")
    done, _ = grading(folder, "more.csv", open=questions)
    assert done.returncode == 2 and "name the exercises" in done.stderr


def test_the_page_of_a_long_name_has_a_name_of_its_own():
    from cifarlab_course.grading import feedback

    names = ["ü" * 100 + end for end in "abc"] + ["ada"]
    files = {feedback.file_name(name) for name in names}
    assert len(files) == 4
    assert max(len(name.encode()) for name in files) < 200
    assert gradebook.beside(Path("w.csv"), "feedback").name == "w-feedback"


def test_the_page_of_a_name_with_a_slash_stays_in_its_folder(folder, tmp_path):
    """Names of a roster and of groups are typed by a person, not taken from folders."""
    from cifarlab_course.grading import feedback

    names = ["a/b", "a b", "a\\b", "a/../../b", "Mon/Tue", "/etc/x", "x/" * 100]
    files = {feedback.file_name(name) for name in names}
    assert len(files) == len(names)
    assert not any(sign in name for name in files for sign in "/\\")
    assert "a b.html" in files

    (tmp_path / "roster.csv").write_text("name\nben\na/../../b\n")
    done, table = grading(folder, roster=tmp_path / "roster.csv")
    assert done.returncode == 0 and set(table) == {"ben", "a/../../b"}
    pages = [path for path in tmp_path.rglob("*.html") if not path.name.startswith("grades-")]
    assert [path.parent.name for path in pages] == ["grades-feedback"] * 2
