"""Questions that no paper asks, their bars fixed before the first run."""
