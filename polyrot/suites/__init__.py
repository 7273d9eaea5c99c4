"""Suites: models that should compute the same function, with their data and controls."""
