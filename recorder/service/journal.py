"""Logs to stderr, one line an event: JSON, or coloured text on a terminal.

Everything that a process says goes through here, what libraries log, warn and raise too, and nothing leaves
before `recorder.masking` has seen it. The events are listed in docs/logs.md.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import MutableMapping
from enum import StrEnum
from functools import partial
from types import TracebackType
from typing import Any

import structlog

from recorder.masking import mask_value

FORMAT = "DOELBAND_LOG_FORMAT"
"""The environment variable by which a process's children learn of the format."""


class Format(StrEnum):
    """`auto`: text on a terminal, JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


log = structlog.get_logger()


def start_logging(process: str, wanted: Format | None = None) -> None:
    """Set up this process's log; `process` is on every line. Without `wanted` the environment says how."""
    if wanted is not None:
        os.environ[FORMAT] = wanted.value
    structlog.configure(
        processors=[
            structlog.processors.format_exc_info,
            masked,
            partial(_of, process),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer()
            if is_for_machines()
            else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    _take_over()


def log_end(why: str) -> bool:
    """Log why a process ends, if its log is for machines; else it is for the command line to say."""
    if not structlog.is_configured() or not is_for_machines():
        return False
    log.critical("ended", why=why)
    return True


def is_for_machines() -> bool:
    """Whether lines are JSON."""
    wanted = os.environ.get(FORMAT, Format.AUTO)
    return wanted == Format.JSON or (wanted != Format.TEXT and not sys.stderr.isatty())


def masked(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor: what may be logged of an event."""
    return {key: mask_value(value) for key, value in event.items()}


def _of(
    process: str, _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """In every thread; context variables would stay behind."""
    return {**event, "process": process}


class _Foreign(logging.Handler):
    """What others log, asyncio's own complaints and Python's warnings among it."""

    def emit(self, record: logging.LogRecord) -> None:
        trace = {"exc_info": record.exc_info} if record.exc_info else {}
        log.log(
            max(record.levelno, logging.WARNING), "library", logger=record.name, said=_said(record), **trace
        )


def _said(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit the message
        return str(record.msg)


def _take_over() -> None:
    """Standard logging, warnings, and what nobody has caught."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(_Foreign(logging.WARNING))
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log.critical("uncaught exception", error=kind.__name__, exc_info=(kind, error, trace))


def _uncaught_in_thread(raised: threading.ExceptHookArgs) -> None:
    if raised.exc_value is not None:
        _uncaught(raised.exc_type, raised.exc_value, raised.exc_traceback)


def _unraisable(raised: Any) -> None:
    error = raised.exc_value
    log.error("exception that could not be raised", error=type(error).__name__, exc_info=error)
