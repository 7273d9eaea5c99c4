"""Moments, Procrustes fits, Haar sampling and tests."""
