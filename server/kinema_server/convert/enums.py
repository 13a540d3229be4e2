"""The wire's enums, looked up both ways."""

from collections.abc import Mapping
from typing import TypeVar

from kinema_core.errors import InvalidInputError

NumberT = TypeVar("NumberT", bound=int)
T = TypeVar("T")


def known(field: str, number: NumberT, meanings: Mapping[NumberT, T]) -> T:
    """Look an enum's number up; one from the future, or an unspecified one without a default, is refused."""
    if number not in meanings:
        raise InvalidInputError(field, f"must be one of the numbers {', '.join(map(str, meanings))}, got {number}")
    return meanings[number]


def key_of(value: object, meanings: Mapping[NumberT, object]) -> NumberT:
    """Look a value's number up: the last one that means it, which is never UNSPECIFIED."""
    return max(number for number, meaning in meanings.items() if meaning == value)
