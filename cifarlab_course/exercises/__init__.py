"""Exercises: read their masters, prove them, write pages and notebooks, assign and grade them."""
