"""Encoders that learn modular addition, and when they grok it."""
