"""``python -m videoprep``."""

from videoprep.cli.app import main

main()
