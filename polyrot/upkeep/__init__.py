"""The state of an installation and of the cache."""
