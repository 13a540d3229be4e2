"""Fields made whole pictures, by FFmpeg's bwdif."""

import enum
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction

import av
from av.filter import Graph
from av.filter.context import FilterContext

from kinema_core.media.ffmpeg_errors import ffmpeg_errors

_log = logging.getLogger(__name__)

_ADVICE = "say --deinterlace off to keep the fields as they are"


class Deinterlace(enum.Enum):
    """Which pictures of a film are made of two fields, and are to become whole ones."""

    AUTO = "auto"
    """Those that the film itself marks as interlaced."""
    ON = "on"
    """All of them; what the film says of the order of fields is believed, else the top one is first."""
    OFF = "off"
    """None: both fields stay in the picture."""


def deinterlace(frames: Iterable[av.VideoFrame], *, mode: Deinterlace, name: str) -> Iterator[av.VideoFrame]:
    """Give a picture for every picture, in its pixel format and with its pts and dts.

    From the first interlaced picture on, all go through bwdif (Weston 3 Field Deinterlacing with the edge-directed
    interpolation of yadif), which looks one picture ahead; those that are not interlaced leave it as they are.
    Telecined film is marked as interlaced, too, and is treated alike: pictures that hold fields of two film frames
    become pictures of one field, and none is dropped.

    Raises:
        MediaError: the pictures are too small for the filter.
    """
    pictures = iter(frames)
    for frame in pictures:
        if mode is Deinterlace.ON or (mode is Deinterlace.AUTO and frame.interlaced_frame):
            _log.warning(
                "film_is_deinterlaced name=%s filter=bwdif telecine='as interlaced' advice='%s'", name, _ADVICE
            )
            with ffmpeg_errors(f"{name} cannot be deinterlaced at {frame.width}x{frame.height}", advice=_ADVICE):
                bwdif = _Bwdif(frame, only_marked=mode is Deinterlace.AUTO)
            yield from bwdif.run(frame, pictures)
            return
        yield frame


class _Bwdif:
    """A filter graph that gives one picture for each that is pushed into it, one late."""

    def __init__(self, like: av.VideoFrame, *, only_marked: bool) -> None:
        self._graph = Graph()
        self._times: deque[tuple[int | None, int | None]] = deque()
        self._num_pushed = 0
        pix_fmt = like.format.name
        size = f"{like.width}x{like.height}"
        source = self._graph.add("buffer", video_size=size, pix_fmt=pix_fmt, time_base="1/1", pixel_aspect="0/1")
        bwdif = self._graph.add("bwdif", f"mode=send_frame:deint={'interlaced' if only_marked else 'all'}")
        # Left alone, FFmpeg would bring grey of more than 8 bit to RGB for bwdif.
        is_deep_grey = pix_fmt.startswith("gray") and pix_fmt != "gray"
        to_and_fro = (self._add_conversion("yuv420p10le"), self._add_conversion(pix_fmt)) if is_deep_grey else ([], [])
        back = self._graph.add("format", f"pix_fmts={pix_fmt}")
        nodes = [source, *to_and_fro[0], bwdif, *to_and_fro[1], back, self._graph.add("buffersink")]
        self._graph.link_nodes(*nodes)
        self._graph.configure()

    def run(self, first: av.VideoFrame, others: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        self._push(first)
        for frame in others:
            self._push(frame)
            yield from self._pull()
        self._graph.push(None)
        yield from self._pull()

    def _push(self, frame: av.VideoFrame) -> None:
        self._times.append((frame.pts, frame.dts))
        frame.pts, frame.time_base = self._num_pushed, Fraction(1)  # bwdif needs some; not every film has them
        self._num_pushed += 1
        self._graph.push(frame)

    def _pull(self) -> Iterator[av.VideoFrame]:
        with suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                frame = self._graph.vpull()
                frame.pts, frame.dts = self._times.popleft()
                yield frame

    def _add_conversion(self, pix_fmt: str) -> list[FilterContext]:
        """Convert without a change of range, so that Y' keeps its codes."""
        scale = self._graph.add("scale", "in_range=full:out_range=full")
        return [scale, self._graph.add("format", f"pix_fmts={pix_fmt}")]
