"""Captions that models write: asking, cleaning and judging. `spec/` reads their journal."""
