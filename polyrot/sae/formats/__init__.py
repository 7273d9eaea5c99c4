"""Directories in which libraries store autoencoders, read and (SAELens's) written."""
