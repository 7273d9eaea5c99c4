"""Directory layouts in which libraries store autoencoders: all are read, SAELens's is written."""
