"""The Models page: which recipes and weights there are, how good they are, and where they fail."""
