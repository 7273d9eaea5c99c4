"""Questions that no paper asks."""
