"""Assignments made from exercises, and submissions graded, each in a sandbox."""
