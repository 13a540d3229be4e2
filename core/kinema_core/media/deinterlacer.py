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

_MARKING_CODECS = {"av1", "h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "vp8", "vp9"}
"""Mark each picture themselves, so that a film may be interlaced here and whole there."""

_ADVICE = "say --deinterlace off to keep the fields as they are"


class Deinterlace(enum.Enum):
    """Which pictures of a film are made of two fields, and are to become whole ones."""

    AUTO = "auto"
    """Those that are marked as interlaced; of a codec whose pictures have no marks, all if the container says so."""
    ON = "on"
    """All of them; what the film says of the order of fields is believed, else the top one is first."""
    OFF = "off"
    """None: both fields stay in the picture."""


class FieldOrder(enum.Enum):
    """Which field of a picture is shown first; the values are bwdif's."""

    TOP_FIRST = "tff"
    BOTTOM_FIRST = "bff"


_ORDERS = {2: FieldOrder.TOP_FIRST, 3: FieldOrder.BOTTOM_FIRST, 4: FieldOrder.BOTTOM_FIRST, 5: FieldOrder.TOP_FIRST}
"""By FFmpeg's AVFieldOrder, whose last two store the other field first."""


def read_field_order(codec: av.VideoCodecContext) -> FieldOrder | None:
    """Return what the container says of all pictures; None where it says nothing, or the pictures say it themselves."""
    if codec.codec.canonical_name in _MARKING_CODECS:
        return None
    return _ORDERS.get(codec.field_order)


def deinterlace(
    frames: Iterable[av.VideoFrame], *, mode: Deinterlace, name: str, field_order: FieldOrder | None = None
) -> Iterator[av.VideoFrame]:
    """Give a picture for every picture, in its pixel format and with its pts and dts.

    From the first interlaced picture on, all go through bwdif (Weston 3 Field Deinterlacing with the edge-directed
    interpolation of yadif), which looks one picture ahead; those that are not interlaced leave it as they are.
    Telecined film is marked as interlaced, too, and is treated alike: pictures that hold fields of two film frames
    become pictures of one field, and none is dropped.

    Args:
        frames: the film's pictures.
        mode: which of them are two fields.
        name: what messages call the film.
        field_order: of all pictures, as `read_field_order` found it; a mark that a picture has itself goes before it.

    Raises:
        MediaError: the pictures are too small for the filter.
    """
    pictures = iter(frames)
    is_whole_film = mode is Deinterlace.ON or (mode is Deinterlace.AUTO and field_order is not None)
    for frame in pictures:
        if is_whole_film or (mode is Deinterlace.AUTO and frame.interlaced_frame):
            _log.warning(
                "film_is_deinterlaced name=%s filter=bwdif telecine='as interlaced' advice='%s'", name, _ADVICE
            )
            with ffmpeg_errors(f"{name} cannot be deinterlaced at {frame.width}x{frame.height}", advice=_ADVICE):
                parity = None if frame.interlaced_frame else field_order
                bwdif = _Bwdif(frame, only_marked=not is_whole_film, parity=parity)
            yield from bwdif.run(frame, pictures)
            return
        yield frame


class _Bwdif:
    """A filter graph that gives one picture for each that is pushed into it, one late."""

    def __init__(self, like: av.VideoFrame, *, only_marked: bool, parity: FieldOrder | None) -> None:
        self._graph = Graph()
        self._times: deque[tuple[int | None, int | None]] = deque()
        self._num_pushed = 0
        pix_fmt = like.format.name
        size = f"{like.width}x{like.height}"
        source = self._graph.add("buffer", video_size=size, pix_fmt=pix_fmt, time_base="1/1", pixel_aspect="0/1")
        which, order = "interlaced" if only_marked else "all", parity.value if parity else "auto"
        bwdif = self._graph.add("bwdif", f"mode=send_frame:deint={which}:parity={order}")
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
