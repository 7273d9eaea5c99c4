"""Sparse autoencoders of planted subspaces."""
