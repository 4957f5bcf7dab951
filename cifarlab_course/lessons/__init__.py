"""The lessons: run and stored, checked, and tried with other versions and machines."""
