"""The plan: every clip, its frames, its crop and its bucket, decided once, without a GPU."""
