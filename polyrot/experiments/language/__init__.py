"""Causal language models, described by suite files."""
