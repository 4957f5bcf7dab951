"""Extensions of Sphinx: what the book makes of records, lessons, exercises and figures."""
