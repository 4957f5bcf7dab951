"""The numbers behind the decisions; README.md has them."""
