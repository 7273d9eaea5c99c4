"""Claims of "Transformers converge to invariant algorithmic cores" (2602.22600)."""
