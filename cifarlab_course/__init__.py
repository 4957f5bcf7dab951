"""What instructors and authors run: exercises, grading, checks of lessons, artefacts, the book."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # of the repository
