"""Rules that a dataset must keep: the protocol, the registry, the built-in rules, the report."""
