"""Where the samples are, and the rules they must keep."""
