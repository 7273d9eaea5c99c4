"""Encoders that learn modular addition, and the delay of grokking."""
