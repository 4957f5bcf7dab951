"""Prove an exercise: right work gets all points; the stub, mistakes and tricks get none or fewer.

The proof is what stands between a learner and an unfair check, so every exercise must pass it. It
is made with many draws of the hidden tests' random numbers, for any of them may come up.
"""

from collections.abc import Iterator
from dataclasses import replace

from cifarlab_course.exercises.master import Exercise, hidden_steps, names_defined
from cifarlab_course.grading.judge import Ran, Runner, expected, judged, marks, same

LEAST = 4  # wrong answers that an exercise lists
DRAWS = 12  # of the random numbers

# Equal to everything, callable, with any attribute and item: passes any bare `==`.
YES = """\
class Yes:
    def __call__(self, *args, **kwargs): return self
    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        return self
    def __getitem__(self, item): return self
    def __iter__(self): return iter([self])
    def __bool__(self): return True
    def __hash__(self): return 0
for name in "eq ne lt le gt ge".split():
    setattr(Yes, f"__{name}__", lambda self, other: True)
for name in "add radd sub rsub mul rmul truediv rtruediv abs neg".split():
    setattr(Yes, f"__{name}__", lambda self, *other: self)
"""
# A number that answers every call, index and comparison as zero.
ZERO = """\
class Zero(float):
    def __call__(self, *args, **kwargs): return 0
"""


def tricks(exercise: Exercise) -> dict[str, str]:
    """Answers without an idea in them, each under a name."""
    names = names_defined(exercise.reference)
    return {
        "the stub": exercise.stub,
        "an object equal to everything": YES + "".join(f"{name} = Yes()\n" for name in names),
        "zero, whatever is asked": ZERO + "".join(f"{name} = Zero()\n" for name in names),
        "nothing": "".join(f"{name} = lambda *a, **k: None\n" for name in names),
    }


def slips(exercise: Exercise) -> dict[str, str]:
    """Solutions that hand over their result in a way that no check compares: what it is, how."""
    name = names_defined(exercise.reference)[-1]
    source = f"{exercise.reference}\nwhole = {name}\n"
    if f"def {name}(" not in exercise.reference:
        return {"None": f"{name} = None", "str": f"{source}{name} = str(whole)"}
    return {
        "None": f"{source}def {name}(*given, **named):\n    whole(*given, **named)",
        "str": f"{source}def {name}(*given, **named):\n    return str(whole(*given, **named))",
    }


class Proof:
    """One variant of an exercise, with its right values for each draw."""

    def __init__(self, runner: Runner, exercise: Exercise) -> None:
        draws = DRAWS if any("draw" in check.hidden for check in exercise.checks) else 1
        self.runner, self.exercise = runner, exercise
        self.drawn = [replace(exercise, seed=f"draw {number}") for number in range(draws)]
        self.right = [expected(runner, draw) for draw in self.drawn]

    def runs(self, source: str) -> list[Ran]:
        """An answer, run once; for each draw what became of it."""
        cells = [*self.exercise.sources("given"), source]
        visible = [check.visible for check in self.exercise.checks]
        hidden = [step for draw in self.drawn for step in hidden_steps(draw)]
        ran = self.runner.run(cells, visible, hidden)
        count = len(ran.values) // len(self.drawn)
        parts = [ran.values[number * count :][:count] for number in range(len(self.drawn))]
        return [
            judged(self.runner, draw, ran._replace(values=part))
            for draw, part in zip(self.drawn, parts, strict=True)
        ]

    def points(self, number: int, ran: Ran) -> list[int]:
        """The points of a run for each check, by the right values of a draw."""
        return [mark.points for mark in marks(self.exercise.checks, self.right[number], ran)]

    def told(self, ran: Ran) -> list[str]:
        """What a learner is told of each check, by the right values of the first draw."""
        return [mark.told for mark in marks(self.exercise.checks, self.right[0], ran)]


def gaps(runner: Runner, exercise: Exercise, published: Exercise) -> Iterator[str]:
    """What the exercise's checks let through, or refuse wrongly; nothing if the proof holds.

    `published` is the variant whose solution stands in the book: it must not solve another one.
    """
    proof = Proof(runner, exercise)
    for number, ran in enumerate(proof.runs(exercise.reference)):
        if (points := sum(proof.points(number, ran))) < exercise.points:
            yield f"its own solution, run again, gets {points} of {exercise.points} points"
    yield from repeated(proof)
    if exercise != published:
        yield from earns(
            proof,
            proof.runs(published.reference),
            "the published solution",
            most=exercise.points // 2,
        )
    if len(exercise.wrong) < LEAST:
        yield f"{len(exercise.wrong)} wrong answers are listed; {LEAST} must be"
    for name, source in tricks(exercise).items():
        yield from earns(proof, proof.runs(source), name, most=0)
    for kind, source in slips(exercise).items():
        yield from misnamed(proof.runs(source)[0], kind)
    for mistake in exercise.wrong:
        runs = proof.runs(mistake.source)
        yield from earns(proof, runs, repr(mistake.message), most=exercise.points - 1)
        messages = proof.told(runs[0])
        if not any(mistake.message in message for message in messages):
            yield f"the mistake {mistake.message!r} is told: {' '.join(messages)!r}"
        others = {other.message for other in exercise.wrong if other.source != mistake.source}
        for text in messages:
            if mistake.message not in text and (strays := [m for m in others if m in text]):
                yield f"the mistake {mistake.message!r} is also told what is {strays[0]!r}"


def earns(proof: Proof, runs: list[Ran], name: str, most: int) -> Iterator[str]:
    """A complaint if an answer gets more than `most` points, or more without asserts.

    An answer can have deleted them, and can say of itself that it passed them. So the hidden
    tests alone must take each check's points that its asserts take, in every draw.
    """
    for number, ran in enumerate(runs):
        points = proof.points(number, ran)
        silent = ran._replace(checks=[{"text": "", "error": None} for _ in ran.checks])
        alone = proof.points(number, silent)
        if sum(points) > most:
            yield f"{name} gets {sum(points)} of {proof.exercise.points} points (draw {number})"
        for check, some, more in zip(proof.exercise.checks, points, alone, strict=True):
            if more > some:
                yield f"{name}, asserts deleted, gets the points of {check.name} (draw {number})"


def repeated(proof: Proof) -> Iterator[str]:
    """A complaint for each check that another draw's right values pass: a list would do, then."""
    for check, first, second in zip(
        proof.exercise.checks, by_check(proof, 0), by_check(proof, -1), strict=True
    ):
        if not check.verdict and same(first, second):
            yield f"{check.name} has the same values for each draw; let it use `draw`"


def by_check(proof: Proof, number: int) -> Iterator[list]:
    """The right values of each check in a draw."""
    left = list(proof.right[number])
    for check in proof.exercise.checks:
        yield left[: len(check.asked)]
        del left[: len(check.asked)]


def misnamed(ran: Ran, kind: str) -> Iterator[str]:
    """A complaint if the first check does not say that it was given None, or a text."""
    error, text = ran.checks[0]["error"] or ("no error", "")
    shown = kind in text or (kind == "str" and "'" in text)  # its type, or itself in its marks
    if error != "AssertionError" or not shown:
        yield f"an answer that is {kind} is told: {error}: {text!r}"
