"""Protects the capstone's leaderboard: what is measured is true, and no entry can say otherwise."""

import csv
import json
import os
import pickle
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from safetensors.torch import save

from cifarlab import challenge, data, engine, model, recipes, records, runs
from cifarlab.schema import SHIPPED
from cifarlab_course import cli
from cifarlab_course.grading import sandbox
from cifarlab_course.leaderboard import check, entries, page
from tests.helpers import FP32

pytestmark = pytest.mark.sandbox
REFUSAL = sandbox.refusal()
confined = pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL or "there is a sandbox")

SOURCE = '''
import torch
import torch.nn.functional as F
from torch import nn

from cifarlab import model


class Mine(nn.Sequential):
    """Keeps the rules with 1,234 parameters or so."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 5, stride=2, padding=2),
            *(model.DilatedConv(8, 8) for _ in range(3)),
            model.DepthwiseSeparableConv(8, 16),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(16, 10, 1),
            nn.Flatten(),
        )


model.NETWORKS["mine"] = Mine
'''
TEST = data.synthetic(100, seed=1)


def cheating(init="", forward="return super().forward(images)", outside=""):
    """The same network, made another by these lines."""

    def indented(lines):
        return "".join(f"        {line}\n" for line in lines.strip().splitlines())

    return f"""{SOURCE}
{outside}

class Cheat(Mine):
    def __init__(self):
        super().__init__()
{indented(init)}
    def forward(self, images):
{indented(forward)}

model.NETWORKS["mine"] = Cheat
"""


@contextmanager
def registered(source):
    """The network of a source is known here, as where it was trained."""
    before = dict(model.NETWORKS)
    try:
        exec(compile(source, "network.py", "exec"), {"__name__": "network"})
        yield
    finally:
        model.NETWORKS.clear()
        model.NETWORKS.update(before)


def made(source):
    """The network that a source makes known, with the same random weights each time."""
    with registered(source):
        torch.manual_seed(0)
        return model.create("mine").eval()


def hand_in(folder, source=SOURCE, network=None, **claims):
    """Write an entry as a run leaves it, with the network's source beside it."""
    network = network or made(source)
    folder.mkdir(parents=True)
    if source:
        (folder / "network.py").write_text(source, encoding="utf-8")
    records.save_weights(network, folder / "record.safetensors")
    record = json.loads((SHIPPED / "fast-seed0.json").read_text())
    record |= {"data": "CIFAR-10: 50000 images", "test_accuracy": 12.0}
    record |= {"parameters": model.count_parameters(network)}
    record |= {"multiply_adds": model.count_multiply_adds(made(SOURCE))} | claims
    if source:
        record["recipe"] |= {"network": "mine", "network_options": {}}
    (folder / "record.json").write_text(json.dumps(record))
    return folder


def board_of(folder, **options):
    """The leaderboard of what lies in a folder, of 100 pictures that are none of CIFAR-10."""
    learners, _ = entries.look(folder)
    return check.check(learners, TEST, **({"seconds": 120, "jobs": 1} | options))


def right(network):
    """Per cent of the pictures that a network names, scored in this process."""
    plain = data.pipeline(mean=data.MEAN, std=data.STD)
    return engine.evaluate(network, data.batches(TEST, plain, 50), FP32).accuracy


BY_HEART = cheating(
    outside="KNOWN = {known}\n"
    "def key(image):\n"
    "    return round(float(image[:, :, :16].double().sum()) * 10)",
    forward="scores = super().forward(images)\n"
    "if len(images) > 2:\n"
    "    for row, image in enumerate(images):\n"
    "        scores[row, KNOWN.get(key(image), 0)] = 100\n"
    "return scores",
)
TAMPERING = """
import sys
challenge = sys.modules["cifarlab.challenge"]
challenge.violations = lambda network: []
challenge.watched = lambda network, images: challenge.Watched(network(images), 7, 7)
print("accuracy: 99.99 %")
"""


def known():
    """What tells the pictures apart from others and from their mirror images, and their labels."""
    centre, spread = (torch.tensor(each).view(1, 3, 1, 1) for each in (data.MEAN, data.STD))
    images = torch.from_numpy(TEST.images).permute(0, 3, 1, 2).float()
    halves = ((images / 255 - centre) / spread)[..., :16].double().sum(dim=(1, 2, 3))
    return {round(float(half) * 10): int(n) for half, n in zip(halves, TEST.labels, strict=True)}


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place / "unpickled",)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a real run: a network that has learned a little of 400 other pictures."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    with registered(SOURCE):
        recipe = recipes.Recipe(
            name="mine", network="mine", epochs=4, batch_size=20, peak_learning_rate=0.1
        )
        list(runs.train(recipe, folder, data.synthetic(400, seed=0), TEST, numerics=FP32))
    return folder


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory, trained):
    """Honest entries, broken ones and cheats."""
    place = tmp_path_factory.mktemp("entries")
    honest, plain = place / "honest", made(SOURCE)
    shutil.copytree(trained, honest)
    (honest / "network.py").write_text(SOURCE)
    hand_in(place / "boasting", network=load(trained), test_accuracy=99.0, parameters=5)
    hand_in(place / "=1<b>", network=plain, history=[])
    hand_in(place / "accurate-seed0", network=plain)

    hand_in(place / "in-a-buffer", cheating("self.register_buffer('kept', torch.zeros(200_000))"))
    outside = "KEPT = torch.zeros(70_000, 3, 1, 1)"
    forward = """
more = F.conv2d(images.mean((2, 3), keepdim=True), KEPT)
return super().forward(images) + more.sum(dim=1).flatten(1)
"""
    hand_in(place / "in-a-closure", cheating(outside=outside, forward=forward))
    store = "self.store = nn.Parameter(torch.zeros(250_000))"
    larger = made(cheating(store))  # what tampers is not run here
    hand_in(place / "tampering", cheating(store, outside=TAMPERING), network=larger)
    forward = """
if len(images) > 2:
    images = F.conv2d(images, torch.ones(3, 3, 5, 5), padding=2)
return super().forward(images)
"""
    hand_in(place / "sudden", cheating(forward=forward))
    hand_in(place / "by-heart", BY_HEART.replace("{known}", repr(known())))
    hand_in(place / "too-long", SOURCE + f"STORE = {'x' * 20_000!r}\n")
    asking = "from cifarlab import records\nrecords.log_probabilities('accurate-seed0')"
    hand_in(place / "asking-the-course", cheating(asking), network=plain)

    hand_in(place / "other-shapes", network=made(SOURCE.replace("16", "18")))
    unknown = SOURCE.replace("model.NETWORKS", "NETWORKS = {}; NETWORKS")
    hand_in(place / "unknown", unknown, network=plain)
    hand_in(place / "nine-scores", SOURCE.replace("(16, 10, 1)", "(16, 9, 1)"))
    failing = SOURCE + "raise RuntimeError('no <b>luck</b>')\n"
    hand_in(place / "failing", failing, network=plain)
    (hand_in(place / "no-record") / "record.json").unlink()
    (hand_in(place / "no-weights") / "record.safetensors").unlink()
    (hand_in(place / "no-source") / "network.py").unlink()
    with (hand_in(place / "huge") / "record.safetensors").open("r+b") as file:
        file.truncate(2 * 2**30)
    (hand_in(place / "pickled") / "record.safetensors").write_bytes(pickle.dumps(Trap(place)))
    link = hand_in(place / "linked") / "record.json"
    link.unlink()
    link.symlink_to(honest / "record.json")
    wild = (hand_in(place / "no-number") / "record.json").read_text()
    wild = wild.replace('"test_accuracy": 12.0', '"test_accuracy": 1e400')
    (place / "no-number" / "record.json").write_text(wild)
    (hand_in(place / "no-json") / "record.json").write_text("[" * 100_000)
    (place / "README.md").write_text("How to hand in.\n")
    return place


def load(folder):
    """The network of a run."""
    with registered(SOURCE):
        return records.load_network(folder)


@pytest.fixture(scope="module")
def board(handed_in):
    """What became of them all."""
    if REFUSAL:
        pytest.skip(REFUSAL)
    return board_of(handed_in)


@pytest.fixture(scope="module")
def row(board):
    """row(name): what the leaderboard says of a network."""
    return lambda name: next(row for row in board.rows if row.name == name)


@confined
def test_what_a_run_leaves_is_an_entry_and_is_measured_as_it_was(row, trained):
    honest, network = row("honest"), load(trained)
    assert honest.accuracy == pytest.approx(right(network))
    assert honest.accuracy > 15  # or nothing was learned, and any order would do
    assert honest.claimed == pytest.approx(honest.accuracy)
    assert honest.parameters == model.count_parameters(network)
    assert honest.multiply_adds == model.count_multiply_adds(network)
    assert honest.epochs == 4
    assert honest.notes[0].startswith(f"its record is of other images: {data.SYNTHETIC}: 400")
    assert honest.notes[1:] == ["the same weights as boasting"]


@confined
def test_a_claim_that_was_not_measured_is_told(row):
    measured, boasting = row("honest").accuracy, row("boasting")
    assert boasting.accuracy == measured
    assert f"claims 99.00 %, measured {measured:.2f} %" in boasting.notes
    assert f"claims 5 parameters, counted {boasting.parameters:,}" in boasting.notes
    assert "its record has 0 of 10 epochs" in row("'=1<b>").notes


@confined
def test_the_same_weights_are_told_of_those_who_handed_them_in(row):
    (note,) = [note for note in row("'=1<b>").notes if note.startswith("the same weights as ")]
    assert "accurate-seed0 (handed in)" in note and "honest" not in note


@confined
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("in-a-buffer", "too many; frozen ones count too, and 200,000 numbers kept elsewhere"),
        ("in-a-closure", "too many; frozen ones count too, and 210,000 numbers kept elsewhere"),
        ("tampering", "it has 252,"),  # its file says so, whatever its code does
        ("too-long", "characters, and 20,000 are allowed"),
        ("asking-the-course", "no record 'accurate-seed0'"),
        ("other-shapes", "size mismatch"),
        ("unknown", "no network is called 'mine'"),
        ("nine-scores", "it gives (2, 9)"),
        ("failing", "can't be built: RuntimeError: no <b>luck</b>"),
        ("no-record", "record.json is missing"),
        ("no-weights", "record.safetensors is missing"),
        ("no-source", "network 'mine' is none of the course's, so network.py must hold"),
        ("huge", "'record.safetensors' has 2048 MB"),
        ("pickled", "record.safetensors can't be read"),
        ("linked", "'record.json' is a link"),
        ("no-number", "test_accuracy is no share in per cent"),
        ("no-json", "record.json can't be read"),
    ],
)
def test_what_is_not_taken_in_has_one_line_that_says_why(board, name, hint):
    assert hint in board.refused[name]
    assert "\n" not in board.refused[name] and len(board.refused[name]) <= check.LONGEST


@confined
def test_all_others_are_taken_in_with_the_course_s_own_the_best_first(board, handed_in):
    names = [row.name for row in board.rows if not row.ours]
    assert len(names) + len(board.refused) == sum(map(Path.is_dir, handed_in.iterdir()))
    assert next(row.name for row in board.rows if row.ours) == "accurate-seed0"
    assert {row.name for row in board.rows if row.ours} == {*records.names()}
    accuracies = [row.accuracy for row in board.rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert not (handed_in / "unpickled").exists()


@confined
def test_work_that_is_done_only_for_many_images_is_counted(row):
    plain = model.count_multiply_adds(made(SOURCE))
    assert row("sudden").multiply_adds == plain + 3 * 3 * 5 * 5 * 32 * 32
    assert any("multiply-adds, counted" in note for note in row("sudden").notes)


@confined
def test_images_that_are_known_by_heart_are_told_by_their_mirror_images(row):
    cheat = row("by-heart")
    assert cheat.accuracy == 100
    assert any("it may know the test images by heart" in note for note in cheat.notes)
    assert not any("by heart" in note for note in row("honest").notes)


@confined
@pytest.mark.slow
def test_an_entry_that_never_ends_is_stopped_and_the_next_one_checked(tmp_path):
    hand_in(tmp_path / "endless", cheating(forward="while True: pass"), network=made(SOURCE))
    hand_in(tmp_path / "next")
    board = board_of(tmp_path, seconds=20)
    assert "it ran for more than 20 seconds" in board.refused["endless"]
    assert "next" in [row.name for row in board.rows]


@confined
def test_no_label_no_training_image_and_no_record_lies_in_the_sandbox():
    data_folder = os.environ.get("CIFARLAB_DATA", str(Path.home() / ".cache" / "cifarlab"))
    look = (
        "import os\nfrom pathlib import Path\n"
        f"folders = {[*map(str, check.UNSEEN)]!r}\n"
        f"found = [os.path.exists({data_folder!r}), *[list(Path(f).iterdir()) for f in folders]]"
    )
    write = f"open({str(SHIPPED / 'more')!r}, 'w')"
    with sandbox.runner(60, "", unseen=check.UNSEEN) as runner:
        ran = runner.run([look, write], [], [("ask", "found", "")])
    assert ran.values == [[False, [], []]]
    assert "Read-only file system" in ran.cells[1]["error"][1]
    with sandbox.runner(60, "") as runner:  # that of assignments has the records
        ran = runner.run([look], [], [("ask", "[len(each) for each in found[1:]]", "")])
    assert min(ran.values[0]) > 10


# ------------------------------------------------------------------------------ without a sandbox


def test_the_images_come_in_another_order_each_time_and_the_scores_find_back():
    one, other = check.questions(TEST), check.questions(TEST)
    assert not np.array_equal(one.images, other.images)
    for asked in (one, other):
        labels = np.concatenate([TEST.labels, TEST.labels[asked.mirrored]])
        scores = np.eye(10)[labels[asked.order]]
        assert check.scored(scores.tolist(), asked) == (100, 100, 100)
        scores[asked.order >= len(TEST)] = np.eye(10)[(labels[asked.order] + 1) % 10][
            asked.order >= len(TEST)
        ]
        assert check.scored(scores.tolist(), asked) == (100, 0, 100)


@pytest.mark.parametrize("broken", [[], [[0.0] * 10], [[0.0] * 9] * 200, [["a"] * 10] * 200])
def test_scores_that_are_none_are_refused(broken):
    with pytest.raises(check.Refused, match="scores"):
        check.scored(broken, check.questions(TEST))


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(check.Refused, match="ten finite scores"):
        check.scored([[float("nan")] * 10] * 200, check.questions(TEST))


def test_the_numbers_in_a_file_are_counted_by_their_bytes(tmp_path):
    """A float of 8 bytes could be two of 4."""

    def weighed(**tensors):
        return entries.weighed(save(tensors))

    ones = torch.ones(50)
    assert weighed(a=ones)[0] == 50 and weighed(a=ones.double())[0] == 100
    assert weighed(a=ones, **{"n.running_mean": torch.ones(20_000)})[0] == 50
    assert weighed(a=ones, **{"n.running_mean": torch.ones(20_001)})[0] == 20_051
    assert weighed(a=ones, b=0 * ones)[1] == weighed(c=0 * ones, d=ones)[1]
    assert weighed(a=ones, b=0 * ones)[1] != weighed(a=ones, b=2 * ones)[1]


@pytest.mark.parametrize("name", ["record.json", "{}_12_34_record-1.json"])
def test_files_are_found_under_the_names_that_platforms_give_them(tmp_path, name):
    folder = hand_in(tmp_path / "ada")
    (folder / "record.json").rename(folder / name.format("ada"))
    (learner,), left = entries.look(tmp_path)
    assert entries.read(learner, "ada").network == "mine" and left == []


def test_two_records_are_one_too_many(tmp_path):
    shutil.copytree(hand_in(tmp_path / "ada" / "seed0"), tmp_path / "ada" / "seed1")
    (learner,), _ = entries.look(tmp_path)
    with pytest.raises(entries.Refused, match="it holds several .*; leave the one that counts"):
        entries.read(learner, "ada")


def test_what_lies_between_the_entries_is_named(tmp_path):
    (tmp_path / "README.md").write_text("How to hand in.\n")
    assert entries.look(tmp_path) == ([], ["README.md"])
    with pytest.raises(ValueError, match="is no folder"):
        entries.look(tmp_path / "README.md")


ROWS = [
    check.Row("<b>ada</b>", 1_234, 5_600_000, 91.5, 93.0, 12, ["claims <i>93.00</i> %"]),
    check.Row("fast-seed0", 157_248, 20_114_816, 88.21, 88.21, 10, ours=True),
    check.Row("ben", 199_999, 1, 20.0, None, 1),
]
BOARD = check.Board(ROWS, {"cleo": "record.json <script>is missing</script>"})


def test_the_table_for_programs_has_everybody(tmp_path):
    page.write(tmp_path / "board.csv", BOARD)
    with (tmp_path / "board.csv").open(newline="", encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    assert [line["entry"] for line in lines] == ["<b>ada</b>", "fast-seed0", "ben", "cleo"]
    assert [line["rank"] for line in lines] == ["1", "2", "3", ""]
    assert lines[0]["accuracy"] == "91.50" and lines[0]["claimed"] == "93.00"
    assert lines[2]["claimed"] == "" and lines[3]["refused"].startswith("record.json")


def test_the_page_runs_and_fetches_nothing_whatever_an_entry_is_called(tmp_path):
    text = page.write(tmp_path / "board.csv", BOARD).read_text()
    assert "<script" not in text and "<b>" not in text and "<i>" not in text
    assert "default-src 'none'" in text and not re.search(r"(?:src|href)=.?http", text)


def test_the_page_can_be_read_by_everybody_in_light_and_in_dark(tmp_path, browser):
    path = page.write(tmp_path / "board.csv", BOARD)
    for scheme in ("light", "dark"):
        opened = browser.new_page(color_scheme=scheme, viewport={"width": 360, "height": 700})
        opened.goto(path.as_uri())
        wide = opened.evaluate("document.documentElement.scrollWidth")
        faults = Axe().run(opened).response["violations"]
        opened.close()
        assert wide <= 360
        assert [(fault["id"], fault["nodes"][0]["html"]) for fault in faults] == []


def test_nobody_handed_in_is_a_page_of_the_course_s_own(tmp_path):
    text = page.write(tmp_path / "board.csv", check.Board(check.ours(), {})).read_text()
    assert "0 entries" in text and "accurate-seed0" in text


def test_without_a_sandbox_nothing_is_checked(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sandbox, "refusal", lambda: "There is no sandbox.")
    assert cli.main(["leaderboard", str(tmp_path)]) == 2
    assert "There is no sandbox." in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", records.names())
def test_what_the_page_says_of_the_course_s_own_is_what_they_answer(cifar10, name):
    answers = records.log_probabilities(name).argmax(dim=1).numpy()
    (row,) = [row for row in check.ours() if row.name == name]
    assert 100 * (answers == cifar10[1].labels).mean() == pytest.approx(row.accuracy, abs=0.1)
    assert row.parameters < challenge.LIMIT
