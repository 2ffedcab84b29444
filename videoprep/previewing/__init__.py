"""Looking at what was made: source beside reconstruction, or the crop drawn on the source."""
