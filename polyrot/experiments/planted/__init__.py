"""Sparse autoencoders trained on planted subspaces."""
