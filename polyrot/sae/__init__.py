"""Sparse autoencoders: training, transfer, metrics, formats."""
