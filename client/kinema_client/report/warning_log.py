"""What the log says of a film, collected."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from kinema_client.report.record import Warned
from kinema_core.log_fields import FieldsFormatter

NUM_EXAMPLES: Final = 5
"""Lines that are kept of each event; a damaged film may say the same ten thousand times."""
LOGGERS: Final = ("kinema_core", "kinema_client")


class WarningLog(logging.Handler):
    """Counts log events by name, and keeps the first lines of each."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(FieldsFormatter("%(message)s"))
        self._events: dict[str, Warned] = {}
        self._taking = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Count an event."""
        line = self.format(record)
        event = line.partition(" ")[0]
        with self._taking:
            before = self._events.get(event) or Warned(record.levelname, 0, ())
            examples = (*before.examples, line)[:NUM_EXAMPLES]
            self._events[event] = Warned(before.level, before.num_times + 1, examples)

    def take(self) -> dict[str, Warned]:
        """Return what was counted since the last time, and begin anew."""
        with self._taking:
            taken, self._events = self._events, {}
        return taken


@contextmanager
def collected_warnings() -> Generator[WarningLog, None, None]:
    """Collect what Kinema logs, from INFO on; what else becomes of it is left as it is."""
    log = WarningLog()
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(log)
        logger.setLevel(min(logging.INFO, logger.getEffectiveLevel()))
    try:
        yield log
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(log)
            logger.setLevel(level)
