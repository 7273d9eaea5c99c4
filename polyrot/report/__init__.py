"""Renderings of records: terminal, JSON, Markdown."""
