"""Plans, and what else a runtime made of a model on this machine, kept from one start to the next.

A plan is a program for the GPU, so that nothing is read that somebody else may have put there: the folder must be this
user's own and closed to all others, each file must carry a code (HMAC-SHA256) made with a secret of this folder, and
its key must say the same model, runtime, GPU, precision and sizes. Whatever does not fit is built anew; a cache that
cannot be used costs time and nothing else.
"""

import hashlib
import hmac
import json
import logging
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

_log = logging.getLogger(__name__)

FOLDER_VARIABLE: Final = "XDG_CACHE_HOME"
MAX_FILE_BYTES: Final = 2 << 30
_MAGIC: Final = b"kinema plan cache 1\n"
_KEY_FILE: Final = "hmac-key"
_NUM_SECRET_BYTES: Final = 32
_DIGEST_BYTES: Final = 32

Kind = Literal["plan", "timings", "kernels"]
"""What TensorRT runs; how long its kernels took when it was built; and the kernels that TensorRT-RTX compiled for it.
"""


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What something was made of; where anything differs, it is something else."""

    kind: Kind
    fields: Mapping[str, str]

    @property
    def text(self) -> bytes:
        """All of it, in one order."""
        return json.dumps({"kind": self.kind, **self.fields}, sort_keys=True).encode()

    @property
    def file_name(self) -> str:
        """One for each key."""
        return f"{hashlib.sha256(self.text).hexdigest()[:32]}.{self.kind}"


def default_folder() -> Path:
    """Return where caches are kept: below XDG_CACHE_HOME, or the user's `.cache`."""
    base = os.environ.get(FOLDER_VARIABLE, "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "kinema" / "engines"


class PlanCache:
    """A folder of such files. Neither method raises: what went wrong is logged."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()

    def load(self, key: CacheKey) -> bytes | None:
        """Return what was kept under `key`; None where nothing was, or nothing that can be trusted."""
        path = self.folder / key.file_name
        try:
            secret = self._secret()
            content = _read_own(path)
        except FileNotFoundError:
            return None
        except (OSError, _UntrustedError) as err:
            _log.warning("plan_cache_not_used", extra={"path": str(path), "reason": str(err)})
            return None
        head = _MAGIC + len(key.text).to_bytes(4, "big") + key.text
        code, payload = content[len(head) : len(head) + _DIGEST_BYTES], content[len(head) + _DIGEST_BYTES :]
        if not content.startswith(head) or not hmac.compare_digest(code, _code(secret, head, payload)):
            _log.warning("plan_cache_not_used", extra={"path": str(path), "reason": "it is damaged or from elsewhere"})
            return None
        return payload

    def save(self, key: CacheKey, payload: bytes) -> None:
        """Keep `payload` under `key`: all of it or nothing."""
        path = self.folder / key.file_name
        try:
            head = _MAGIC + len(key.text).to_bytes(4, "big") + key.text
            _write_own(path, head + _code(self._secret(), head, payload) + payload)
        except (OSError, _UntrustedError) as err:
            _log.warning("plan_not_kept", extra={"path": str(path), "reason": str(err)})

    def _secret(self) -> bytes:
        """Return the folder's secret; both are made where there are none."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise _UntrustedError(
                f"{self.folder} must be a folder of this user's own that nobody else may enter; `chmod 700` it, or "
                f"remove it, or set {FOLDER_VARIABLE}"
            )
        path = self.folder / _KEY_FILE
        try:
            secret = _read_own(path)
        except FileNotFoundError:
            secret = secrets.token_bytes(_NUM_SECRET_BYTES)
            _write_own(path, secret)
            secret = _read_own(path)  # another process's, if that was later
        if len(secret) != _NUM_SECRET_BYTES:
            raise _UntrustedError(f"{path} is damaged; remove it")
        return secret


class _UntrustedError(Exception):
    """Somebody else may have written there."""


def _code(secret: bytes, head: bytes, payload: bytes) -> bytes:
    code = hmac.new(secret, head, hashlib.sha256)
    code.update(payload)
    return code.digest()


def _read_own(path: Path) -> bytes:
    """Read a plain file that this user owns and nobody else may write.

    Raises:
        OSError: it is not there, or a link, or cannot be read.
        _UntrustedError: it is another user's, or others may write it, or it is no plain file.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:  # no pipe blocks it
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
            raise _UntrustedError(f"{path} must be a plain file that only this user may write; remove it")
        if found.st_size > MAX_FILE_BYTES:
            raise _UntrustedError(f"{path} is larger than any that Kinema writes; remove it")
        return file.read()


def _write_own(path: Path, content: bytes) -> None:
    """Write a file beside `path`, then put it in its place by a rename."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
