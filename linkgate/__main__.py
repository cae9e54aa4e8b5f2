"""``python -m linkgate`` does what ``linkgate`` does."""

from linkgate.cli import main

main()
