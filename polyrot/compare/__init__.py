"""`polyrot align`: the rotation between two language models."""
