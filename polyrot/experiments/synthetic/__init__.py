"""Synthetic activations of known truth."""
