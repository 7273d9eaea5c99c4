"""Renderings of records: terminal, JSON, Markdown, JUnit, the page and annotations of a CI job."""
