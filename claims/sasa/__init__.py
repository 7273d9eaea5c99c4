"""Claims of "Subspace-Aware Sparse Autoencoders" (2606.06333)."""
