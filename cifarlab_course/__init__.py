"""What instructors and authors run: exercises, grading, checks of lessons, artefacts, the book."""
