"""Programs that make what is part of the package; not part of the package themselves."""
