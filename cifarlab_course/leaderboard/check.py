"""Check entries, each in the sandbox: the referee's rules, what the network costs, its accuracy.

What a cheat can and can't do. An entry's code runs in the sandbox and gets its own weights and the
test images, no more: no labels, no training images, no record of the course and no network. It
gives ten scores for each image, and which is right is found out here, where none of its code has
run. The images come in an order that is drawn anew each time, so that their places say nothing.
So no code can claim an accuracy that its answers do not have; what it prints, nobody reads.

What the referee says, and what was counted, comes from a process in which the entry's code runs
too, and which it can tamper with. Three things bound what that is worth. The numbers in its file
of weights are counted here, and what learning has found out can lie nowhere else, for its source
is short. Parameters and multiply-adds are counted once more while the network answers a batch of
the images, which one its network is not told. And the larger count is the one that is told.

So a cheat could still: break a rule other than that of the parameters, or do more work than is
counted, in code that is written to deceive (elementwise products are no multiply-adds, either);
keep several small numbers in one of 4 bytes; keep up to a tenth of the limit as running
statistics; learn from the test images at home, which nobody can see afterwards; or know them by
heart, in so few characters of source, or in weights. This last one is looked for: of some images
the mirrored ones are asked about too. Before a prize is given, read the source.
"""

import base64
import json
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.torch import load_file

from cifarlab import challenge, data, records
from cifarlab.schema import SHIPPED
from cifarlab_course import ROOT
from cifarlab_course.grading import sandbox
from cifarlab_course.grading.grade import Runners
from cifarlab_course.grading.handed_in import Learner, shown
from cifarlab_course.grading.judge import NotStarted, Ran, Runner
from cifarlab_course.leaderboard.entries import Entry, Refused, fingerprint, read
from cifarlab_course.leaderboard.probe import BATCH

PROBE = Path(__file__).with_name("probe.py")
# What takes seconds to import; the last is what analysing a receptive field asks PyTorch for.
IMPORTS = "torch,safetensors.torch,cifarlab.challenge,torch._dynamo"
UNSEEN = [SHIPPED, ROOT / "cifarlab" / "figures"]  # the course's networks, their answers
MIRRORED = 1_000  # images that are asked about a second time, mirrored
BY_HEART = 15  # points that mirrored images may lose; trained without a flip, `fast` lost none
ROUNDING = 0.2  # points by which another precision may move an accuracy
LONGEST = 300  # characters of what an entry says


@dataclass(frozen=True)
class Row:
    """What the leaderboard says of a network."""

    name: str
    parameters: int
    multiply_adds: int
    accuracy: float  # per cent of the test images, measured here
    claimed: float | None  # by its record
    epochs: int
    notes: list[str] = field(default_factory=list)
    ours: bool = False  # a record that ships with the course


class Board(NamedTuple):
    """All networks, the best first, and why entries are not among them."""

    rows: list[Row]
    refused: dict[str, str]


class Questions(NamedTuple):
    """Images in an order that only this process knows, and what it asks about them."""

    images: np.ndarray  # (N, H, W, 3) uint8
    order: np.ndarray  # (N,) where each lies in the split; from its length on, a mirrored one
    mirrored: np.ndarray  # which images of the split are asked about mirrored too
    labels: np.ndarray
    watched: int  # the batch during which the network is watched


def questions(test: data.Split) -> Questions:
    """All images of `test` and some mirrored ones, shuffled."""
    random = np.random.default_rng()  # seeded by the system: nobody can foresee it
    mirrored = random.permutation(len(test))[:MIRRORED]
    images = np.concatenate([test.images, test.images[mirrored, :, ::-1]])
    order = random.permutation(len(images))
    watched = int(random.integers(-(-len(images) // BATCH)))
    return Questions(images[order], order, mirrored, test.labels, watched)


def ours() -> list[Row]:
    """The records that ship with the course; a test scores them."""
    rows = []
    for name in records.names():
        record = records.load(name)
        if record.test_accuracy is not None:
            costs = record.parameters, record.multiply_adds
            accuracy = record.test_accuracy
            rows.append(Row(name, *costs, accuracy, accuracy, record.recipe.epochs, ours=True))
    return rows


def check(learners: Sequence[Learner], test: data.Split, *, seconds: float, jobs: int) -> Board:
    """The leaderboard of what `learners` handed in, and of the course's own records.

    An entry has so many `seconds` to be looked at, and as many to be scored; `jobs` are checked
    at a time.

    Raises: NotStarted if there is no sandbox.
    """
    runners = Runners(lambda imports: sandbox.runner(seconds, imports, unseen=UNSEEN))
    rows, refused, prints = ours(), {}, our_prints()

    def one(learner: Learner) -> tuple[Entry, Row]:
        entry = read(learner, own_name(learner.name))
        with runners.lend(IMPORTS) as runner:
            return entry, measured(entry, runner, test)

    with closing(runners), ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(one, learner): own_name(learner.name) for learner in learners}
        try:
            for number, future in enumerate(as_completed(running), start=1):
                name = running[future]
                print(f"checked {number} of {len(running)}: {name}", file=sys.stderr, flush=True)
                try:
                    entry, row = future.result()
                except Refused as reason:
                    refused[name] = in_a_line(reason)
                except NotStarted:
                    raise
                except Exception as error:  # whatever it is, the others are to be checked
                    refused[name] = in_a_line(f"it can't be checked: {error!r}")
                else:
                    rows.append(row)
                    prints.setdefault(entry.fingerprint, []).append(name)
        except BaseException:
            runners.cancel()
            pool.shutdown(cancel_futures=True)
            raise
    tell_the_same(rows, prints.values())
    rows.sort(key=lambda row: (-row.accuracy, row.parameters, row.name))
    return Board(rows, dict(sorted(refused.items())))


def own_name(name: str) -> str:
    """The name of an entry, which is none of the course's own."""
    return f"{name} (handed in)" if name in records.names() else name


def measured(entry: Entry, runner: Runner, test: data.Split) -> Row:
    """What an entry's network is and can do.

    Raises: Refused; NotStarted.
    """
    ran = run(entry, runner, "facts(network)")
    match ran.values:
        case [[[*broken], int(parameters), int(multiply_adds)]] if multiply_adds >= 0:
            pass
        case _:
            raise Refused(f"its network can't be looked at: {trouble(ran)}")
    if broken:
        raise Refused(" ".join(map(str, broken)))
    asked = questions(test)
    pixels = base64.b64encode(asked.images.tobytes()).decode()
    recipe = entry.recipe
    settings = (asked.images.shape, recipe.mean, recipe.std, asked.watched)
    ran = run(entry, runner, f"answers(network, {pixels!r}, *{settings!r})")
    match ran.values:
        case [[[*scores], int(more_parameters), int(more_multiply_adds)]]:
            pass
        case _:
            raise Refused(f"its network can't be scored: {trouble(ran)}")
    parameters = max(parameters, more_parameters, entry.numbers)
    multiply_adds = max(multiply_adds, more_multiply_adds)
    if parameters >= challenge.LIMIT:
        raise Refused(
            f"it has {parameters:,} parameters, {parameters - challenge.LIMIT + 1:,} too many, if "
            "those count that lie in its file of weights or that it takes only for some images"
        )
    accuracy, of_mirrored, of_the_same = scored(scores, asked)
    claimed = entry.record.test_accuracy
    notes = [*differences(entry, parameters, multiply_adds, accuracy)]
    if of_the_same - of_mirrored > BY_HEART:
        notes.append(
            f"names {of_the_same:.1f} % of {len(asked.mirrored):,} images, and {of_mirrored:.1f} % "
            "of their mirror images: it may know the test images by heart"
        )
    epochs = recipe.epochs
    return Row(entry.name, parameters, multiply_adds, accuracy, claimed, epochs, notes)


def run(entry: Entry, runner: Runner, question: str) -> Ran:
    """Have the sandbox build an entry's network and answer a question.

    Raises: Refused if it does not come so far; NotStarted.
    """
    weights = base64.b64encode(entry.weights).decode()
    given = json.dumps([entry.source, entry.network, entry.options, weights])
    build = f"import json\nnetwork = build(*json.loads({given!r}))"
    cells = [PROBE.read_text(encoding="utf-8"), build]
    ran = runner.run(cells, [], [("ask", question, "")])
    for output in ran.cells:
        if output["error"]:
            raise Refused(f"its network can't be built: {': '.join(output['error'])}")
    return ran


def trouble(ran: Ran) -> str:
    """Why an answer is none."""
    match ran.values:
        case [{"error": str(kind)}]:
            return f"it ends with {kind}"
    return ran.trouble or "it gives something else than was asked for"


def scored(scores: list, asked: Questions) -> tuple[float, float, float]:
    """Per cent that are right of all images, of the mirrored ones, and of the same as they are.

    Raises: Refused if they are no scores.
    """
    count = len(asked.labels)
    try:
        table = np.asarray(scores, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise Refused("its scores are no table of numbers") from error
    if table.shape != (len(asked.order), 10) or not np.isfinite(table).all():
        raise Refused("it does not give ten finite scores for each image")
    labels = np.concatenate([asked.labels, asked.labels[asked.mirrored]])
    right = np.empty(len(labels), bool)
    right[asked.order] = table.argmax(axis=1) == labels[asked.order]
    parts = right[:count], right[count:], right[asked.mirrored]
    of_all, of_mirrored, of_the_same = (100 * float(part.mean()) for part in parts)
    return of_all, of_mirrored, of_the_same


def differences(
    entry: Entry, parameters: int, multiply_adds: int, accuracy: float
) -> Iterable[str]:
    """Where a record claims something else than was measured."""
    record = entry.record
    if record.test_accuracy is None or record.scored_on != "test":
        yield "its record claims nothing for the test images"
    elif abs(record.test_accuracy - accuracy) > ROUNDING:
        yield f"claims {record.test_accuracy:.2f} %, measured {accuracy:.2f} %"
    if len(record.history) != entry.recipe.epochs:
        yield f"its record has {len(record.history)} of {entry.recipe.epochs} epochs"
    if not str(record.data).startswith("CIFAR-10:"):
        yield in_a_line(f"its record is of other images: {str(record.data)[:50]}")
    if record.parameters != parameters:
        yield f"claims {record.parameters:,} parameters, counted {parameters:,}"
    if record.multiply_adds != multiply_adds:
        yield f"claims {record.multiply_adds:,} multiply-adds, counted {multiply_adds:,}"


def our_prints() -> dict[str, list[str]]:
    """The course's own records by the fingerprints of their weights."""
    return {
        fingerprint(load_file(SHIPPED / f"{name}.safetensors").values()): [name]
        for name in records.names()
    }


def tell_the_same(rows: Iterable[Row], groups: Iterable[Sequence[str]]) -> None:
    """Note in each row whose weights are those of another."""
    others = {name: [*group] for group in groups for name in group}
    for row in rows:
        same = [name for name in others.get(row.name, []) if name != row.name]
        if same and not row.ours:
            row.notes.append(f"the same weights as {', '.join(same)}")


def in_a_line(said: object) -> str:
    """A short line of text, whatever an entry wrote."""
    text = shown(" ".join(str(said).split()))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]} …"
