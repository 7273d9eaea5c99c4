"""Small transformers: architecture, training of cohorts, harvesting of activations."""
