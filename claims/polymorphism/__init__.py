"""Claims of "Polymorphism Is Rotation" (arXiv 2605.24577)."""
