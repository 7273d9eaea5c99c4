"""Interventions on a model's activations, and what follows from them."""
