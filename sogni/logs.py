"""Logging: the handler behind `SOGNI_LOG` and `sogni -v`, and log records that both packages share.

Everything goes to the logger `sogni`. INFO covers connections, projects and retries; DEBUG adds every request and
frame. Records never contain secrets: URLs are cut at their query, and a filter redacts the rest.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO
from urllib.parse import urlsplit

from sogni.errors import ValidationError
from sogni.redaction import install_filter

__all__ = ["LEVELS", "configure", "log_exchange", "logger"]

logger: logging.Logger = logging.getLogger("sogni")

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class _Handler(logging.StreamHandler[TextIO]):
    """The handler of `configure`. It writes to the current standard error."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        if self.stream is not None:
            super().emit(record)


def configure(level: str | None) -> None:
    """Write the log of the package to standard error, from this level on.

    For scripts and support: applications configure logging themselves.

    Args:
        level: "debug", "info", "warning" or "error", regardless of case; None or "" changes nothing.

    Raises:
        ValidationError: The level is unknown.
    """
    if not level:
        return
    number = LEVELS.get(level.strip().lower())
    if number is None:
        allowed = ", ".join(LEVELS)
        raise ValidationError(f"SOGNI_LOG must be one of {allowed}, got {level[:40]!r}", field="SOGNI_LOG")
    logger.setLevel(number)
    if not any(isinstance(handler, _Handler) for handler in logger.handlers):
        install_filter()
        logger.addHandler(_Handler())


def log_exchange(method: str, url: str, status: int, seconds: float) -> None:
    """Log a response, without the query of its URL, which may be a signature."""
    if logger.isEnabledFor(logging.DEBUG):
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        logger.debug("%s %s%s: %d after %.3f s", method, host, parts.path, status, seconds)
