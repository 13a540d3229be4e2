"""What an interrupted film has kept: its finished segments, in a folder beside where the film is to be."""

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from kinema_client.commands.fingerprint import Fingerprint, difference
from kinema_client.errors import KeptWorkError
from kinema_core.errors import MediaError
from kinema_core.media.segments import Segment, is_intact

_log = logging.getLogger(__name__)

_JOB = "job.json"
_FORMAT = 1
"""Of the folder; what another one wrote is told like any other difference."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A finished segment in the journal."""

    segment: Segment
    ends_at_cut: bool
    """Whether a new shot begins behind it."""
    is_last: bool
    """Whether the film ends with it."""
    state_digest: str
    """SHA-256 of what its last frame leaves to the next."""
    record_digest: str
    """SHA-256 of what a report is to tell of it."""


class KeptWork:
    """The folder of one job, `.NAME.kinema` for `NAME`: locked while this is open, gone when nothing is left to keep.

    Every file is written under another name, and moved when it is complete and on disk; a segment counts once the
    journal has its entry, which is the last of its four files. So a run may be killed between any two steps.
    """

    def __init__(self, target: str | os.PathLike[str], fingerprint: Fingerprint, *, restart: bool = False) -> None:
        """Open the folder, or make it, and look at what is there.

        Segments that are damaged are dropped with all behind them, and told in the log.

        Args:
            target: what the film will be called.
            fingerprint: what its frames depend on.
            restart: whether what is there is dropped.

        Raises:
            KeptWorkError: what is there is of another fingerprint, or another process works on it.
            MediaError: the folder cannot be made or read.
        """
        self.folder = Path(target).with_name(f".{Path(target).name}.kinema")
        self.entries: list[Entry] = []
        """The finished segments, in order."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder, os.O_RDONLY)
        except OSError as err:
            raise MediaError(f"the folder {self.folder} cannot be made: {err.strerror}") from err
        try:
            self._take_lock()
            self._begin(fingerprint, restart=restart)
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def num_frames(self) -> int:
        """How many frames are finished."""
        return sum(entry.segment.num_frames for entry in self.entries)

    @property
    def is_complete(self) -> bool:
        """Whether all frames of the film are finished."""
        return bool(self.entries) and self.entries[-1].is_last

    @property
    def segments(self) -> list[tuple[Path, Segment]]:
        """The finished segments with their files."""
        return [(self._path(number, "packets"), entry.segment) for number, entry in enumerate(self.entries)]

    @property
    def next_path(self) -> Path:
        """Where the packets of the next segment are to be written."""
        return self._path(len(self.entries), "part")

    def add(self, segment: Segment, state: bytes, record: str = "", *, ends_at_cut: bool, is_last: bool) -> None:
        """Keep the segment that was written to `next_path`, and what a report is to tell of it.

        Raises:
            MediaError: the disk does not take it.
        """
        number = len(self.entries)
        entry = Entry(segment, ends_at_cut, is_last, _digest(state), _digest(record.encode()))
        try:
            self.next_path.replace(self._path(number, "packets"))
            _write(self._path(number, "state"), state)
            _write(self._path(number, "record"), record.encode())
            _write(self._path(number, "json"), _entry_to_bytes(entry))
            os.fsync(self._lock)  # the folder itself
        except OSError as err:
            raise MediaError(f"{self.folder} cannot be written on: {err.strerror}; is there space left?") from err
        self.entries.append(entry)

    def last_state(self) -> bytes:
        """Give what the last finished frame leaves to the next; nothing where there is none.

        Raises:
            MediaError: it cannot be read.
        """
        if not self.entries:
            return b""
        try:
            return self._path(len(self.entries) - 1, "state").read_bytes()
        except OSError as err:
            raise MediaError(f"{self.folder} cannot be read: {err.strerror}") from err

    def records(self) -> list[str]:
        """Give what a report is to tell of each segment; nothing where none was asked for.

        Raises:
            MediaError: it cannot be read.
        """
        try:
            records = [self._path(number, "record").read_text("utf-8") for number in range(len(self.entries))]
        except OSError as err:
            raise MediaError(f"{self.folder} cannot be read: {err.strerror}") from err
        return [record for record in records if record]

    def drop_from(self, number: int) -> None:
        """Forget the segments from that one on."""
        for dropped in range(len(self.entries) - 1, number - 1, -1):
            self._path(dropped, "json").unlink(missing_ok=True)
        del self.entries[number:]

    def drop_behind_last_cut(self) -> None:
        """Forget the segments behind the last cut, for somebody who can only begin at one."""
        while self.entries and not (self.entries[-1].ends_at_cut or self.is_complete):
            self.drop_from(len(self.entries) - 1)

    def remove(self) -> None:
        """Remove all of it: the film is there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        """Let go of the folder; one without a finished segment is removed."""
        if not self.entries:
            self.remove()
        os.close(self._lock)

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            raise KeptWorkError(f"another process is making this film ({self.folder} is locked); wait for it") from err

    def _begin(self, fingerprint: Fingerprint, *, restart: bool) -> None:
        job = self.folder / _JOB
        try:
            fingerprint = {"format": str(_FORMAT), **fingerprint}
            kept = None if restart else _read_fingerprint(job)
            if kept is not None and (differing := difference(kept, fingerprint)):
                raise KeptWorkError(
                    f"{self.folder} is what an interrupted run has kept, of another job: {differing}; "
                    "say the command of then, or --restart to drop it and begin anew"
                )
            if kept is None:
                for path in self.folder.iterdir():
                    path.unlink()
                _write(job, json.dumps(fingerprint, indent=1).encode())
            self._load()
        except OSError as err:
            raise MediaError(f"{self.folder} cannot be used: {err.strerror}; remove it, or mend that") from err

    def _load(self) -> None:
        while self._path(len(self.entries), "json").exists():
            number = len(self.entries)
            entry = self._read_entry(number)
            if entry is None:
                _log.warning(
                    "kept_segment_is_damaged folder=%s number=%d advice='it and what follows is made again'",
                    self.folder, number,
                )  # fmt: skip
                break
            self.entries.append(entry)
        number = len(self.entries)
        while self._path(number, "json").exists():  # or a later one would be found behind what comes in its place
            self._path(number, "json").unlink()
            number += 1

    def _read_entry(self, number: int) -> Entry | None:
        """Read an entry and all that it names; None where something is damaged."""
        entry = _entry_from_bytes(self._path(number, "json").read_bytes())
        if entry is None or not is_intact(self._path(number, "packets"), entry.segment):
            return None
        with suppress(OSError):
            digests = (_digest(self._path(number, suffix).read_bytes()) for suffix in ("state", "record"))
            return entry if tuple(digests) == (entry.state_digest, entry.record_digest) else None
        return None

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:06}.{suffix}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, data: bytes) -> None:
    """Write a file that is there complete or not at all."""
    partial = path.with_suffix(".new")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _read_fingerprint(path: Path) -> Fingerprint | None:
    """Give the fingerprint that a job has written; None where there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _entry_to_bytes(entry: Entry) -> bytes:
    segment = entry.segment
    content: Mapping[str, Any] = {
        "num_frames": segment.num_frames,
        "first_pts": int(segment.pts[0]),
        "last_pts": int(segment.pts[-1]),
        "ends_at_cut": entry.ends_at_cut,
        "is_last": entry.is_last,
        "extradata": segment.extradata.hex(),
        "packets": segment.packets.tolist(),
        "packets_sha256": segment.digest,
        "state_sha256": entry.state_digest,
        "record_sha256": entry.record_digest,
    }
    text = json.dumps(content)
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n".encode()


def _entry_from_bytes(data: bytes) -> Entry | None:
    digest, _, text = data.strip(b"\n").partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != digest:
        return None
    content = json.loads(text)  # our own, as the digest says
    packets = np.array(content["packets"], np.int64)
    segment = Segment(packets, bytes.fromhex(content["extradata"]), content["packets_sha256"])
    return Entry(segment, content["ends_at_cut"], content["is_last"], content["state_sha256"], content["record_sha256"])
