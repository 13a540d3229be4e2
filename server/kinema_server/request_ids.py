"""Ids of requests, which every line of the log carries that is written on their behalf."""

import logging
import re
import secrets
from collections.abc import Iterable
from contextvars import ContextVar

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def begin_request(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """Take the id that the client sent as `x-request-id`, if it is a decent one, or make one, and return it."""
    given = next((value for key, value in metadata or () if key == "x-request-id"), None)
    request_id = given if isinstance(given, str) and re.fullmatch(r"[\w.:-]{1,64}", given) else secrets.token_hex(8)
    _request_id.set(request_id)
    return request_id


class RequestIds(logging.Filter):
    """Puts the request's id into a record's fields."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True, always."""
        if (request_id := _request_id.get()) is not None:
            record.request_id = request_id
        return True
