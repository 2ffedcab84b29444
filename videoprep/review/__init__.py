"""People look at clips and captions on a page, and decide which are used."""
