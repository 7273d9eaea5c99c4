"""Commands of `polyrot` that want a page of their own."""
