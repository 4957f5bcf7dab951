"""The capstone's leaderboard: check what is handed in, count and score it, write the page."""
