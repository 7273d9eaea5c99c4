"""One run of `pytest claims/`: its state, what its tests carry, its calibration."""
