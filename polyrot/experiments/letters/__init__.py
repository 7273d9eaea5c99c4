"""Group and TopK SAEs of language models: how well they represent first letters."""
