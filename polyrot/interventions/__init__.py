"""Interventions on a model's activations, and their effects."""
