"""What a stream takes along to another server: where it stood and what its frames left, under the servers' seal.

A token is the HMAC-SHA256 of all that follows it, a head of fixed size, and the temporal state as core writes it down.
Nothing of it is looked at before the seal is found to be ours. It is sealed, not hidden: the state tells no more than
the client's own frames. It is not compressed either: docs/adr/0018 has the numbers.
"""

import contextlib
import hashlib
import hmac
import json
import logging
import secrets
import struct
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from kinema_core.errors import InvalidInputError
from kinema_server.errors import StartError
from kinema_server.stream import StreamSpec

logger = logging.getLogger(__name__)

MAX_TOKEN_BYTES: Final = 16 << 20
"""A state at the largest working size was 6 MB."""
LIFETIME_SECONDS: Final = 15 * 60
"""Longer than any server takes to stop, and a paused client to ask again."""
MIN_SECRET_BYTES: Final = 32
FIELD: Final = "config.resume_token"
_VERSION: Final = b"kinema resume 1\n"
_SEAL_BYTES: Final = 32
_HEAD: Final = struct.Struct(">16sQ32s?Q")
"""The version; when the token expires, in seconds since 1970; what the stream is; whether a frame was answered, and the
seq of the last."""


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a stream stands."""

    last_answered_seq: int | None
    """None before the first answer."""
    state: bytes
    """As `Colorizer.export_state` wrote it."""


class Secrets:
    """The secrets of a file, one a line, read anew when it changes: the first seals, any of them opens."""

    def __init__(self, path: Path | None) -> None:
        """Read the file; without one, make a secret that nobody else knows.

        Raises:
            StartError: it cannot be read, or a secret is too short.
        """
        self._path = path
        if path is None:
            logger.info("resume_secret_is_own", extra={"advice": "give all servers the same --resume-secret FILE"})
            self._known = [secrets.token_bytes(MIN_SECRET_BYTES)]
        else:
            self._seen = _modified(path)
            self._known = _read_secrets(path)

    def known(self) -> list[bytes]:
        """Give the secrets, the one that seals first."""
        if self._path is not None and _modified(self._path) != self._seen:
            with contextlib.suppress(StartError):
                self.reload()
        return self._known

    def reload(self) -> None:
        """Read the file anew, if there is one.

        Raises:
            StartError: as above; what was read last stays.
        """
        if self._path is None:
            return
        self._seen = _modified(self._path)
        try:
            self._known = _read_secrets(self._path)
        except StartError as error:
            logger.warning("resume_secret_not_reloaded", extra={"reason": str(error)})
            raise
        logger.info("resume_secret_reloaded", extra={"num_secrets": len(self._known)})


class ResumeTokens:
    """Seals and opens the tokens of one server."""

    def __init__(self, secrets: Secrets, model_digest: str, *, clock: Callable[[], float] = time.time) -> None:
        self._secrets = secrets
        self._model_digest = model_digest
        self._clock = clock

    def seal(self, spec: StreamSpec, point: ResumePoint) -> bytes:
        """Make a token for a stream; empty where it would be too large."""
        seq = point.last_answered_seq
        expires = int(self._clock()) + LIFETIME_SECONDS
        digest = stream_digest(spec, self._model_digest)
        body = _HEAD.pack(_VERSION, expires, digest, seq is not None, seq or 0) + point.state
        token = _seal(self._secrets.known()[0], body) + body
        return token if len(token) <= MAX_TOKEN_BYTES else b""

    def open(self, spec: StreamSpec, token: bytes) -> ResumePoint:
        """Return where the stream stood that was given this token.

        Raises:
            InvalidInputError: no server of this deployment sealed it, it has expired, or it is of another stream, model
                or version.
        """
        if not _SEAL_BYTES + _HEAD.size <= len(token) <= MAX_TOKEN_BYTES:
            raise InvalidInputError(FIELD, f"must be a token of at most {MAX_TOKEN_BYTES} bytes, got {len(token)}")
        seal, body = token[:_SEAL_BYTES], token[_SEAL_BYTES:]
        # Every secret is tried, so that the time taken does not tell which one fits.
        if not any([hmac.compare_digest(seal, _seal(secret, body)) for secret in self._secrets.known()]):  # noqa: C419
            raise InvalidInputError(FIELD, "is damaged, or of a server with another secret; begin without it")
        version, expires, digest, is_behind_a_frame, seq = _HEAD.unpack_from(body)
        if version != _VERSION:
            raise InvalidInputError(FIELD, "is of another version of Kinema; begin without it")
        if self._clock() >= expires:
            raise InvalidInputError(FIELD, f"has expired: it is good for {LIFETIME_SECONDS} s; begin without it")
        if digest != stream_digest(spec, self._model_digest):
            raise InvalidInputError(FIELD, "is of a stream with another config, or of another model; begin without it")
        return ResumePoint(seq if is_behind_a_frame else None, body[_HEAD.size :])


def stream_digest(spec: StreamSpec, model_digest: str) -> bytes:
    """Return the SHA-256 of what a stream is: of all that its frames' colours depend on, beside the frames."""
    told = [
        model_digest,
        spec.height,
        spec.width,
        spec.pixel_format.value,
        [spec.tags.matrix.value, spec.tags.color_range.value, spec.tags.bit_depth],
        spec.output_form.value,
        asdict(spec.options),
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()


def _seal(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, body, "sha256")


def _read_secrets(path: Path) -> list[bytes]:
    try:
        known = path.read_bytes().split()
    except OSError as error:
        raise StartError(f"the secret in {path} cannot be read: {error}") from error
    if not known or min(map(len, known)) < MIN_SECRET_BYTES:
        raise StartError(
            f"{path} must hold secrets of at least {MIN_SECRET_BYTES} characters, one a line; "
            "`openssl rand -hex 32` makes one"
        )
    return known


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
