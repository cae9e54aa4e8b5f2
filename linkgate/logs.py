"""Logging: to standard error, as text or as one JSON object a line.

Nothing personal is logged: no recipient, no token, no full address. Callers log ids.
"""

import json
import logging
import sys
from datetime import UTC, datetime

from linkgate.config import Log


class _Lines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(config: Log) -> None:
    """Send linkgate's and its libraries' messages to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(_Lines() if config.format == "json" else text)
    logging.basicConfig(level=config.level.upper(), handlers=[handler], force=True)
    # The libraries' own chatter, request lines with tokens in them included, stays out.
    for name in ("stripe", "aiohttp", "asyncio", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
