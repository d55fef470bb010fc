"""Blocks in, bytes out: each writer says the same in its own language, and knows nothing of records."""
