"""Structured logs: one JSON object a line, through ``logging.getLogger("sottovoce")``.

Fields are counts, states, names of servers and digests of headers.  No body, key, token, pseudonym or
address of a client is ever a field: a relay's log must not tell who was there.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, TextIO

LOGGER = logging.getLogger("sottovoce.fl.http")


def log(level: str, event: str, *, exc_info: bool = False, **fields: Any) -> None:
    """One line.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        event: What happened, always the same words.
        exc_info: Add the traceback of the exception at hand.
        **fields: JSON values.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    LOGGER.log(number, event, extra={"fields": fields}, exc_info=exc_info)


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: time, level, event, and its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """See :class:`logging.Formatter`."""
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def log_to(stream: TextIO | None = None, level: str = "info") -> None:
    """Send the logs of the package, and warnings of what is underneath, to a stream as JSON lines."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonLines())
    for name, least in (("sottovoce", level.upper()), ("uvicorn.error", "WARNING"), ("asyncio", "WARNING")):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(least)
        logger.propagate = False
