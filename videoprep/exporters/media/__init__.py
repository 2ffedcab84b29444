"""Writes clips as video files with captions, and a config for each trainer that reads them."""
