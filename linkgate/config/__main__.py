"""``python -m linkgate.config [--example]``: docs/configuration.md, or config.example.toml."""

import sys

from linkgate.config.text import document, example

sys.stdout.write(example() if "--example" in sys.argv[1:] else document())
