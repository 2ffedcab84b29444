"""Forms of a validation report for other programs, one file each."""
