"""Experiments: a task, the models trained on it, their suites and worlds; one folder each."""
