"""Protects who types `course`: one line for each mistake, no secret in sight, an answer at once."""

import re
import shutil
import subprocess
import sys

import pytest

from cifarlab import cli as lab
from cifarlab import model, numerics, recipes
from cifarlab_course import ROOT, cli
from cifarlab_course.exercises.master import MASTERS

HEAVY = "torch torchvision numpy scipy matplotlib albumentations cv2 nbformat jupytext yaml".split()


@pytest.fixture
def course(monkeypatch, tmp_path, capsys):
    """Call the command in an empty folder; its exit status, and what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SECRET", raising=False)

    def call(*words):
        try:
            status = cli.main([str(word) for word in words])
        except SystemExit as stopped:
            status = stopped.code
        return status, *capsys.readouterr()

    return call


# ----------------------------------------------------------------------------------- mistakes

GRADE = "grade --submissions . --out grades.csv --unsafe"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "COMMAND"),
        ("mark", "'mark'"),
        ("check --fast", "no --fast"),
        ("check README.md more --fast", "no --fast"),
        ("assignment holes", "--out"),
        ("assignment hole --out week4 --secret-file secret", "'hole'"),
        ("assignment --out week4 --secret-file secret", "no exercise is named"),
        ("assignment holes --out week4", "no secret"),
        (
            "assignment holes --out week4 --secret-file nowhere",
            "--secret-file: 'nowhere' is no file; name one that is there",
        ),
        ("assignment holes --out week4 --open .", "--open: '.' is no file; name one"),
        (f"{GRADE} --open nowhere", "--open: 'nowhere' is no file; name one"),
        (f"{GRADE} --roster nowhere", "--roster: 'nowhere' is no file; name one"),
        (f"{GRADE} --groups nowhere", "--groups: 'nowhere' is no file; name one"),
        ("assignment holes --out week4 --secret-file empty", "empty is empty"),
        ("assignment holes --out week4 --secret x", "no --secret x"),
        (f"{GRADE} --timeout 86401", "'86401'; give a number from 1 to 86,400"),
        (f"{GRADE} --timeout 0.5", "'0.5'; give a number from 1 to 86,400"),
        (f"{GRADE} --timeout nan", "'nan'; give a number from 1 to 86,400"),
        (f"{GRADE} --jobs 1.5", "'1.5'; give a whole number from 1 to 256"),
        ("grade --submissions . --out grades", "'grades'; name a file that ends in .csv"),
        ("exercise Holes", "'Holes'"),
        ("exercise holes", "exists already"),
        ("prove hole", f"'hole'; there are: {', '.join(path.stem for path in MASTERS)}"),
        ("prove ../holes", "'../holes'"),
        ("students nowhere", "nowhere holds no page"),
        ("students .", "holds no page"),
        ("check nowhere.ipynb", "nowhere.ipynb"),
        ("store nowhere.md", "nowhere.md"),
        ("store secret", "secret is no lesson"),
        (f"store {ROOT / 'lessons' / 'exercises' / 'holes.ipynb'}", "holes.md"),
        ("validate --only 99-nothing", "99-nothing; it is one of: 01-"),
        ("validate --jobs 0", "'0'; give a whole number"),
        ("colab-check --only newest", "'newest'"),
        ("experiment nothing", "'nothing'; there are: spread"),
        ("experiment spread --print --collect", "not allowed with"),
        ("publish nowhere", "nowhere"),
        ("export nowhere", "nowhere"),
        ("export fast-seed0 --out page.txt", "page.txt"),
    ],
)
def test_a_mistake_gets_one_line_that_names_it_and_leaves_nothing(course, words, told, tmp_path):
    (tmp_path / "secret").write_text("a sentence\n")
    (tmp_path / "empty").write_text("\n")
    status, out, err = course(*words.split())
    assert (status, out) == (2, "")
    assert err.startswith("course") and err.count("\n") == 1
    assert told in err
    assert {path.name for path in tmp_path.iterdir()} == {"secret", "empty"}


def test_outside_a_clone_the_command_says_that_it_needs_one(course, monkeypatch, tmp_path):
    """Colab has the package, and the command with it, but neither lessons nor exercises."""
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    status, _, err = course("check")
    assert status == 2 and "clone" in err and err.count("\n") == 1


def test_a_missing_library_is_told_with_what_installs_it(course, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbformat", None)
    status, _, err = course("check")
    assert status == 2 and "nbformat" in err and "make install" in err and err.count("\n") == 1


# ---------------------------------------------------------------------------------- the secret


def handed_out(tmp_path) -> bytes:
    """The assignment that was made; it's taken away, for the next one."""
    data = (tmp_path / "week4" / "hand-out" / "assignment.ipynb").read_bytes()
    shutil.rmtree(tmp_path / "week4")
    return data


def test_a_secret_comes_from_a_file_the_environment_or_whoever_is_asked(
    course, monkeypatch, tmp_path
):
    """The file goes before the variable, and nobody is asked where either is there."""
    made = []

    def ask(prompt):
        assert "spring" not in prompt
        return "spring"

    monkeypatch.setattr(cli.getpass, "getpass", ask)
    monkeypatch.setattr(cli.sys.stdin, "isatty", lambda: True, raising=False)
    words = ["assignment", "holes", "--out", "week4"]
    for variable, more in (("", []), ("spring", []), ("autumn", ["--secret-file", "secret"])):
        (tmp_path / "secret").write_text("spring\n")
        monkeypatch.setenv("SECRET", variable)
        status, out, err = course(*words, *more)
        assert status == 0 and "spring" not in out + err
        made.append(handed_out(tmp_path))
    assert made[0] == made[1] == made[2]
    monkeypatch.setenv("SECRET", "autumn")
    course(*words)
    assert handed_out(tmp_path) != made[0]


def test_a_new_secret_that_is_typed_in_two_ways_makes_no_assignment(course, monkeypatch, tmp_path):
    """Nobody could grade what was made with a slip of the finger."""
    typed = iter(["spring", "sprnig"])
    monkeypatch.setattr(cli.getpass, "getpass", lambda prompt: next(typed))
    monkeypatch.setattr(cli.sys.stdin, "isatty", lambda: True, raising=False)
    status, _, err = course("assignment", "holes", "--out", "week4")
    assert status == 2 and "differ" in err
    assert not (tmp_path / "week4").exists()


# --------------------------------------------------------------------------------- at once


@pytest.mark.parametrize("package", ["cifarlab", "cifarlab_course"])
def test_help_loads_no_library_that_takes_long(package):
    """Each takes from a tenth of a second to several; help is asked for in between."""
    code = (
        f"import sys\nfrom {package} import cli\nprint(cli.parser().format_help())\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_help_names_all_recipes_networks_and_precisions():
    """It writes them down, so as not to load PyTorch."""
    assert list(lab.RECIPES) == recipes.names()
    assert list(lab.NETWORKS) == model.names()
    assert list(lab.PRECISIONS) == list(numerics.PRECISIONS)


def test_makefile_guide_and_workflows_name_only_commands_that_there_are(course):
    paths = ["Makefile", "README.md", "CONTRIBUTING.md", "book/**/*.md", ".github/**/*.yml"]
    texts = [path.read_text("utf-8") for pattern in paths for path in ROOT.glob(pattern)]
    named = re.findall(r"(?:`|/bin/|&& )course ([a-z-]+)|\$\(COURSE\) ([a-z-]+)", "\n".join(texts))
    commands = {first or second for first, second in named}
    assert {"store", "check", "prove", "grade", "publish", "validate"} <= commands
    for command in commands:
        assert course(command, "--help")[0] == 0, command
