"""One run of `pytest claims/`: its state, the data attached to its tests, its calibration."""
