"""How the command lines and the server show log events: the event, then its fields."""

import copy
import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime

_OWN_NAMES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRET = re.compile(r"kinema_[\w-]{16,}|(?<=Bearer )\S+")


def fields_of(record: logging.LogRecord) -> Mapping[str, object]:
    """Return what a caller gave as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _OWN_NAMES}


def redacted(text: str) -> str:
    """Return `text` without what looks like one of Kinema's keys or a bearer's token."""
    return _SECRET.sub("[redacted]", text)


class FieldsFormatter(logging.Formatter):
    """Show an event with its fields, and no secret: `server_started port=50051`."""

    def format(self, record: logging.LogRecord) -> str:
        """Put the fields behind the event, and a traceback behind both."""
        fields = [f"{name}={value}" for name, value in fields_of(record).items()]
        shown = copy.copy(record)
        shown.msg, shown.args = " ".join([record.getMessage(), *fields]), ()
        return redacted(super().format(shown))


class JsonFormatter(logging.Formatter):
    """Show an event as one line of JSON, with no secret: time (UTC), level, logger, event, its fields, and `error`."""

    def format(self, record: logging.LogRecord) -> str:
        """Put a traceback into `error`; what JSON has no form for becomes text."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": time,
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in fields_of(record).items() if name not in line}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return redacted(json.dumps(line, default=str, ensure_ascii=False))
