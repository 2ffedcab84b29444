"""Looking into video files: what they hold, their frames, and how frames are fitted."""
