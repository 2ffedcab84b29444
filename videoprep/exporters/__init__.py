"""Writes a store in the form that another trainer reads."""
