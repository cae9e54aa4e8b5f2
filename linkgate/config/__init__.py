"""The configuration: what can be set, where it is read from, and what makes it valid.

``load`` reads it (TOML file, then the environment) and reports every problem at once; ``parse``
does the same for values that are at hand; ``write_new`` writes a first file; ``document`` is the
text of docs/configuration.md. Each part of linkgate is handed its own section, never the whole.
"""

from linkgate.config.detection import Detection
from linkgate.config.loading import load, parse
from linkgate.config.sections import (
    Brand,
    Config,
    Links,
    Log,
    Server,
    Signing,
    Store,
    Stripe,
)
from linkgate.config.text import document, example, write_new

__all__ = [
    "Brand",
    "Config",
    "Detection",
    "Links",
    "Log",
    "Server",
    "Signing",
    "Store",
    "Stripe",
    "document",
    "example",
    "load",
    "parse",
    "write_new",
]
