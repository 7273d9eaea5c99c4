"""Claims of "Transformers converge to invariant algorithmic cores" (arXiv 2602.22600)."""
