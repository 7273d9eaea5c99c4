"""Claims of the paper on subspace-aware sparse autoencoders (arXiv 2606.06333)."""
