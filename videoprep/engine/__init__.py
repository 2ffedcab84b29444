"""Resumable, distributed work cut into units. Knows nothing of what the work is."""
