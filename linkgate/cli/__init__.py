"""The command line. `main` is the entry point; docs/cli.md describes every command.

Each command turns its options into values, makes one call, and prints the outcome. What a command
needs is imported when it runs, so that `linkgate --help` does not wait for Stripe's library.
"""

from linkgate.cli.root import app, main

__all__ = ["app", "main"]
