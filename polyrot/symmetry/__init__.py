"""The weight-space symmetry group of the transformers."""
