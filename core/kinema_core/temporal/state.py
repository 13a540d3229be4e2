"""What the frames so far leave to the next one, as bytes: to go on in another process with the very same bits.

A digest, a header in JSON, then the arrays as they are, little-endian. Nothing is unpickled or decompressed, so that
bytes from elsewhere can do no more than be refused; arrays that several names share are stored once.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError

Value: TypeAlias = "NDArray[Any] | float | str | None"
State: TypeAlias = Mapping[str, Value]
"""By dotted name. The arrays are never written to again, so a state may refer to those that are in use."""

MAX_BYTES: Final = 1 << 26
"""A state at the largest working size is a sixth of this."""
_MAGIC: Final = b"kinema temporal state 2\n"
"""With the version: what another one wrote is refused."""
_DIGEST_BYTES: Final = 32
_LENGTH_BYTES: Final = 4
_DTYPES: Final = ("<f4", "<f8", "|u1")


def state_to_bytes(state: State) -> bytes:
    """Write a state down; float numbers keep every bit."""
    places: dict[int, int] = {}
    arrays: list[NDArray[Any]] = []
    named: dict[str, int] = {}
    plain: dict[str, float | str | None] = {}
    for name, value in state.items():
        if not isinstance(value, np.ndarray):
            plain[name] = value
            continue
        if id(value) not in places:
            places[id(value)] = len(arrays)
            arrays.append(np.ascontiguousarray(value, value.dtype.newbyteorder("<")))
        named[name] = places[id(value)]
    forms = [[array.dtype.str, array.shape] for array in arrays]
    header = json.dumps({"values": plain, "names": named, "arrays": forms}, allow_nan=False).encode()
    body = b"".join([len(header).to_bytes(_LENGTH_BYTES, "big"), header, *(array.tobytes() for array in arrays)])
    return _MAGIC + hashlib.sha256(body).digest() + body


def state_from_bytes(data: bytes) -> "StateReader":
    """Read what `state_to_bytes` wrote.

    Raises:
        InvalidInputError: it is something else, of another version, or damaged.
    """
    start = len(_MAGIC) + _DIGEST_BYTES
    if len(data) > MAX_BYTES or not data.startswith(_MAGIC):
        raise _invalid(f"is no temporal state of this version of Kinema ({len(data)} bytes)")
    body = data[start:]
    if hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
        raise _invalid("is damaged: its digest is another one")
    try:
        length = int.from_bytes(body[:_LENGTH_BYTES], "big")
        header = json.loads(body[_LENGTH_BYTES : _LENGTH_BYTES + length])
        arrays = _split(body[_LENGTH_BYTES + length :], header["arrays"])
        state: dict[str, Value] = {**header["values"], **{name: arrays[at] for name, at in header["names"].items()}}
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as err:
        raise _invalid(f"is not as it should be: {err}") from err
    return StateReader(state)


def _split(data: bytes, forms: Any) -> list[NDArray[Any]]:
    arrays: list[NDArray[Any]] = []
    at = 0
    for dtype, shape in forms:
        if dtype not in _DTYPES or any(not isinstance(side, int) or side < 0 for side in shape):
            raise ValueError(f"an array of {dtype} {shape}")
        count = math.prod(shape)
        array = np.frombuffer(data, dtype, count, at).reshape(shape)  # raises where the data are too short
        if not np.isfinite(array).all():
            raise ValueError("an array holds what is no number")
        arrays.append(array.astype(array.dtype.newbyteorder("=")))
        at += array.nbytes
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many")
    return arrays


class StateReader:
    """Takes values out of a state, and refuses those that are not what is expected."""

    def __init__(self, state: State) -> None:
        self._state = state

    def has(self, name: str) -> bool:
        """Tell whether there is such a value."""
        return name in self._state

    def is_set(self, name: str) -> bool:
        """Tell whether there is such a value, and it is not None."""
        return self._state.get(name) is not None

    def array(self, name: str, dtype: type[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Give an array.

        Raises:
            InvalidInputError: it is missing, or of another type or shape.
        """
        value = self._state.get(name)
        if not isinstance(value, np.ndarray) or value.dtype != dtype or value.shape != shape:
            raise _invalid(f"has no {name} of {dtype.__name__} {shape}; it is of another film or other options")
        return value

    def arrays(self, name: str, dtype: type[Any], shape: tuple[int, ...], *, most: int) -> list[NDArray[Any]]:
        """Give those that are called `name.0`, `name.1` and so on.

        Raises:
            InvalidInputError: one is of another type or shape, or there are more than `most`.
        """
        count = 0
        while self.has(f"{name}.{count}"):
            count += 1
        if count > most:
            raise _invalid(f"has {count} of {name}, {most} at most are allowed")
        return [self.array(f"{name}.{index}", dtype, shape) for index in range(count)]

    def vector(self, name: str, dtype: type[Any], *, most: int) -> NDArray[Any]:
        """Give an array of one dimension.

        Raises:
            InvalidInputError: it is missing, of another type, or longer than `most`.
        """
        value = self._state.get(name)
        if not isinstance(value, np.ndarray) or value.dtype != dtype or value.ndim != 1 or len(value) > most:
            raise _invalid(f"has no {name} of at most {most} {dtype.__name__}")
        return value

    def number(self, name: str) -> float:
        """Give a number.

        Raises:
            InvalidInputError: it is missing, or none.
        """
        value = self._state.get(name)
        if not isinstance(value, int | float) or type(value) is bool or not math.isfinite(value):
            raise _invalid(f"has no number {name}")
        return value

    def integer(self, name: str) -> int:
        """Give a whole number.

        Raises:
            InvalidInputError: it is missing, or none.
        """
        value = self.number(name)
        if not isinstance(value, int):
            raise _invalid(f"{name} is no whole number")
        return value

    def text(self, name: str, allowed: tuple[str, ...]) -> str:
        """Give one of some words.

        Raises:
            InvalidInputError: it is missing, or another.
        """
        value = self._state.get(name)
        if not isinstance(value, str) or value not in allowed:
            raise _invalid(f"{name} is none of {', '.join(allowed)}")
        return value


def _invalid(reason: str) -> InvalidInputError:
    return InvalidInputError("state", reason)
