"""Synthetic tasks on which small transformers are trained."""
