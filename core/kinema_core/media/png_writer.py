"""Films out as numbered PNG files, in a folder that appears complete or not at all."""

import logging
import shutil
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from kinema_core.color import ycbcr_to_rgb
from kinema_core.errors import InvalidInputError, MediaError, OutputExistsError, OutputMismatchError
from kinema_core.frames import ColorFrame, ColorTags
from kinema_core.media.image_sequence import TIMES_NAME, check_folder, name_of
from kinema_core.media.reader import FilmReader

_log = logging.getLogger(__name__)

_SPEED = [cv2.IMWRITE_PNG_COMPRESSION, 3]


class PngWriter:
    """Numbered PNG files under way: their folder gets its name when `close` has succeeded, and is not there otherwise.

    8-bit frames become 8-bit RGB, 10-bit frames 16-bit RGB, all of them sRGB. PNG holds no time, so the pts go into
    `timestamps.txt`. In a `with` block, an error or Ctrl-C aborts.
    """

    def __init__(
        self, pattern: str, *, tags: ColorTags, time_base: Fraction, first_number: int = 1, overwrite: bool = False
    ) -> None:
        """Make the folder under another name.

        Args:
            pattern: a folder of its own and numbered names in it, as in `colour/%05d.png`.
            tags: how every frame is to be read.
            time_base: seconds in a tick of every frame's pts.
            first_number: of the first picture.
            overwrite: whether a folder that holds such pictures and nothing else may be replaced.

        Raises:
            OutputExistsError: the folder is there already, and `overwrite` is False.
            MediaError: it is no pattern of PNG files, or the folder holds other files or cannot be made.
        """
        folder = check_folder(pattern, overwrite=overwrite)
        self.name = pattern
        self.num_frames = 0
        """How many frames were written so far."""
        self._tags = tags
        self._time_base = time_base
        self._first_number = first_number
        self._final = folder
        self._overwrite = overwrite
        self._partial = folder.with_name(f".{folder.name}.partial")
        self._shape: tuple[int, int] | None = None
        try:
            if self._partial.exists():  # a killed run has left it
                shutil.rmtree(self._partial)
            self._partial.mkdir(parents=True)
            self._times = (self._partial / TIMES_NAME).open("w")
        except OSError as err:
            raise MediaError(f"the folder {self._partial} cannot be made: {err.strerror}") from err
        self._times.write("# timestamp format v2\n")
        self._is_open = True

    @classmethod
    def like(cls, film: FilmReader, pattern: str, *, overwrite: bool = False) -> Self:
        """Begin with the tags, the time and, where it has numbers, the first number of `film`.

        The film's other streams, rotation and pixel aspect are left out, with a line in the log.
        """
        if film.display_matrix is not None or (film.sample_aspect_ratio or 1) != 1:
            _log.warning("shape_not_carried name=%s reason='PNG is shown unturned, with square pixels'", pattern)
        if film.other_streams:
            kinds = ", ".join(sorted({stream.type for stream in film.other_streams}))
            _log.warning("streams_not_copied name=%s kinds='%s' reason='pictures hold none'", pattern, kinds)
        first_number = 1 if film.first_number is None else film.first_number
        return cls(pattern, tags=film.tags, time_base=film.time_base, first_number=first_number, overwrite=overwrite)

    def write(self, frame: ColorFrame) -> None:
        """Write one frame.

        Raises:
            InvalidInputError: its tags are not the film's.
            MediaError: it cannot be written, for instance for want of space.
        """
        if frame.tags != self._tags:
            raise InvalidInputError("frame.tags", f"must be the film's, {self._tags}, got {frame.tags}")
        rgb = ycbcr_to_rgb(frame.luma, frame.cb, frame.cr, frame.tags)
        _, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), _SPEED)
        try:
            self._path_of(self.num_frames).write_bytes(data.tobytes())
            self._times.write(f"{float(1000 * frame.pts * self._time_base):.6f}\n")
        except OSError as err:
            raise MediaError(f"{self.name} cannot be written on: {err.strerror}; is there space left?") from err
        self._shape = frame.luma.shape
        self.num_frames += 1

    def close(self) -> None:
        """Read the last picture back and give the folder its name; after an abort, do nothing.

        Raises:
            OutputMismatchError: the last picture is not what was written; nothing is left behind.
            OutputExistsError: something else took the name meanwhile; the pictures are kept under the other name.
            MediaError: there is no frame, and nothing is left behind; or the folder cannot be moved, and is kept.
        """
        if not self._is_open:
            return
        self._is_open = False
        try:
            self._times.close()
            self._check_last()
        except BaseException:
            self.abort()
            raise
        try:
            check_folder(self.name, overwrite=self._overwrite)
            if self._final.exists():
                shutil.rmtree(self._final)
            self._partial.rename(self._final)
        except (OSError, MediaError) as err:
            kept = f"the pictures are complete in {self._partial}"
            failure = OutputExistsError if isinstance(err, OutputExistsError) else MediaError
            raise failure(f"{self._final} cannot be replaced: {err}; {kept}") from err

    def abort(self) -> None:
        """Drop what was written."""
        self._is_open = False
        with suppress(OSError):  # an error is on its way already, and that is the one to be seen
            self._times.close()
        shutil.rmtree(self._partial, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _path_of(self, index: int) -> Path:
        return self._partial / name_of(self.name, self._first_number + index)

    def _check_last(self) -> None:
        if not self.num_frames:
            raise MediaError(f"{self.name}: not one frame was written, so there is no film")
        path = self._path_of(self.num_frames - 1)
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        expected = ((*(self._shape or ()), 3), np.dtype(self._tags.dtype))
        found = None if picture is None else (picture.shape, picture.dtype)
        if found != expected:
            raise OutputMismatchError(f"{path} reads back as {found} instead of {expected}; is the disk sound?")
