"""Logs to stderr, one line an event: JSON, or coloured text on a terminal. No number is ever logged."""

from __future__ import annotations

import sys

import structlog


def start_logging(process: str) -> None:
    """Set up this process's log; `process` is on every line."""
    machine = not sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer() if machine else structlog.dev.ConsoleRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(process=process)
