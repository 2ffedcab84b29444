"""Where the scenes of a film begin and end, and which ranges of them become samples."""
