"""Group and TopK autoencoders of language models: how well they hold first letters."""
