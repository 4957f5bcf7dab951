"""Prove an exercise: right work gets all points; the stub, mistakes and tricks get none or fewer.

The proof is what stands between a learner and an unfair check, so every exercise must pass it.
"""

from collections.abc import Iterator

from cifarlab_course.exercises.master import Exercise, names_defined
from cifarlab_course.grading.judge import Runner, answer, expected, marks

LEAST = 4  # wrong answers that an exercise lists

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


def gaps(runner: Runner, exercise: Exercise, published: Exercise) -> Iterator[str]:
    """What the exercise's checks let through, or refuse wrongly; nothing if the proof holds.

    `published` is the variant whose solution stands in the book: it must not solve another one.
    """
    right = expected(runner, exercise)
    again = marks(exercise.checks, right, answer(runner, exercise, exercise.reference))
    if (points := sum(mark.points for mark in again)) < exercise.points:
        yield f"its own solution, run again, gets {points} of {exercise.points} points"
    if exercise != published:
        ran = answer(runner, exercise, published.reference)
        half = exercise.points // 2
        yield from earns(exercise, right, unchecked(ran), "the published solution", most=half)
    if len(exercise.wrong) < LEAST:
        yield f"{len(exercise.wrong)} wrong answers are listed; {LEAST} must be"
    for name, source in tricks(exercise).items():
        ran = answer(runner, exercise, source)
        yield from earns(exercise, right, ran, name, most=0)
        yield from earns(exercise, right, unchecked(ran), f"{name}, checks deleted", most=0)
    for mistake in exercise.wrong:
        ran = answer(runner, exercise, mistake.source)
        most = exercise.points - 1
        yield from earns(exercise, right, ran, repr(mistake.message), most)
        # Whoever deletes the asserts must not be better off: the hidden tests know it too.
        yield from earns(
            exercise, right, unchecked(ran), f"{mistake.message!r}, checks deleted", most
        )
        told = " ".join(mark.told for mark in marks(exercise.checks, right, ran))
        if mistake.message not in told:
            yield f"the mistake {mistake.message!r} is told: {told!r}"


def earns(exercise: Exercise, right: list, ran, name: str, most: int) -> Iterator[str]:
    """A complaint if this run gets more than `most` points."""
    points = sum(mark.points for mark in marks(exercise.checks, right, ran))
    if points > most:
        yield f"{name} gets {points} of {exercise.points} points"


def unchecked(ran):
    """The same run with all asserts deleted from the checks."""
    return ran._replace(checks=[{"text": "", "error": None} for _ in ran.checks])
