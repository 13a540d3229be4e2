"""How the command lines show log events: the event, then its fields."""

import copy
import logging


class FieldsFormatter(logging.Formatter):
    """Show an event with its fields: `server_started port=50051`."""

    _OWN_NAMES = frozenset(vars(logging.makeLogRecord({})))

    def format(self, record: logging.LogRecord) -> str:
        """Put the fields behind the event, and a traceback behind both."""
        fields = [f"{name}={value}" for name, value in vars(record).items() if name not in self._OWN_NAMES]
        shown = copy.copy(record)
        shown.msg, shown.args = " ".join([record.getMessage(), *fields]), ()
        return super().format(shown)
