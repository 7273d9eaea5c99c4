"""Intervals, calibrated nulls, multiplicity."""
