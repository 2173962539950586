"""The leaderboard's parts: which runs are ranked, and the people and figures next to them."""
