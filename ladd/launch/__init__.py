"""Launches: what runs in a worktree of its own, so that the working tree stays as it is."""
