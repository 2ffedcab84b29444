"""How the captioner of `videoprep demo --from-footage` is made and measured."""
