"""API keys: who may call what. A file holds their digests, never the keys themselves.

    [[key]]
    name = "studio-a"
    sha256 = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
    methods = ["ColorizeFrames", "ListModels"]   # all, if left out
    max_streams = 4                              # the server's limit, if left out
    max_pixels_per_second = 62208000             # the same; of all its streams together: here 1080p at 30

A key is 256 random bits: nobody guesses one from its SHA-256, so that no slow digest is needed.
"""

import contextlib
import hashlib
import logging
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema.v1 import colorizer_pb2 as pb
from kinema_server.errors import StartError

logger = logging.getLogger(__name__)

METHODS = frozenset(method.name for method in pb.DESCRIPTOR.services_by_name["Colorizer"].methods)
"""What a client's key may be limited to."""
NAME_RULE = "1 to 64 letters, digits or _.@-"
_LIMITS = ("max_streams", "max_pixels_per_second")
_PREFIX = "kinema_"
"""Of every key, so that scanners for secrets find one that got out."""


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who has a key."""

    name: str
    methods: frozenset[str]
    """The methods of the service that it may call."""
    max_streams: int | None
    """Streams and photographs at a time; None where only the server's own limit counts."""
    max_pixels_per_second: int | None = None
    """Of its streams together; None as above."""


def new_key() -> str:
    """Make a key that nobody has seen."""
    return _PREFIX + secrets.token_urlsafe(32)


def is_name(text: str) -> bool:
    """Tell whether a client may be called so."""
    return re.fullmatch(r"[\w.@-]{1,64}", text) is not None


def digest_of(key: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


class KeyRing:
    """The keys of a file, read anew when it changes."""

    def __init__(self, path: Path, methods: frozenset[str] = METHODS) -> None:
        """Read the file, of keys that may be limited to some of `methods`.

        Raises:
            StartError: it cannot be read, or an entry is wrong; names it.
        """
        self._path = path
        self._methods = methods
        self._seen = self._modified()
        self._clients = read_keys(path, methods)

    def find(self, key: str) -> Client | None:
        """Return whose key this is; None where it is nobody's."""
        if self._modified() != self._seen:
            with contextlib.suppress(StartError):
                self.reload()
        return self._clients.get(digest_of(key))

    def reload(self) -> None:
        """Read the file anew.

        Raises:
            StartError: as above; the keys that were read last stay.
        """
        self._seen = self._modified()
        try:
            self._clients = read_keys(self._path, self._methods)
        except StartError as error:
            logger.warning("keys_not_reloaded", extra={"reason": str(error)})
            raise
        logger.info("keys_reloaded", extra={"num_keys": len(self._clients)})

    def _modified(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return 0


def read_keys(path: Path, allowed: frozenset[str] = METHODS) -> Mapping[str, Client]:
    """Read a file of keys: clients by the digest of their key.

    Raises:
        StartError: it cannot be read, or an entry is wrong; names it.
    """
    try:
        entries = tomllib.loads(path.read_text("utf-8")).get("key", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StartError(f"the keys in {path} cannot be read: {error}") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise StartError(f"{path}: keys must be entries below [[key]]; `kinema key NAME` makes one")
    clients: dict[str, Client] = {}
    for number, entry in enumerate(entries, 1):
        try:
            digest, client = _read_entry(entry, allowed)
        except ValueError as error:
            raise StartError(f"{path}: key number {number}: {error}") from error
        if digest in clients or any(client.name == other.name for other in clients.values()):
            raise StartError(f"{path}: key number {number}: its name or digest is there already")
        clients[digest] = client
    if not clients:
        raise StartError(f"{path} holds no [[key]], so nobody could call; `kinema key NAME` makes one")
    return clients


def _read_entry(entry: Mapping[str, Any], allowed: frozenset[str]) -> tuple[str, Client]:
    if unknown := set(entry) - {"name", "sha256", "methods", *_LIMITS}:
        raise ValueError(f"{min(unknown)!r} is unknown; allowed are name, sha256, methods, {' and '.join(_LIMITS)}")
    name, digest = entry.get("name"), entry.get("sha256")
    if not isinstance(name, str) or not is_name(name):
        raise ValueError(f"name must be {NAME_RULE}, got {name!r}")
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError("sha256 must be the 64 hexadecimal digits that `kinema key` printed")
    methods = entry.get("methods", sorted(allowed))
    if not isinstance(methods, list) or not all(isinstance(method, str) and method in allowed for method in methods):
        raise ValueError(f"methods must be a list of {', '.join(sorted(allowed))}, got {methods!r}")
    limits = {limit: entry.get(limit) for limit in _LIMITS}
    for limit, value in limits.items():
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{limit} must be a number from 1, got {value!r}")
    return digest, Client(name, frozenset(methods), **limits)
