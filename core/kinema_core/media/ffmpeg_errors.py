"""FFmpeg's errors as ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import av

from kinema_core.errors import MediaError, OutOfMemoryError


@contextmanager
def ffmpeg_errors(doing: str, *, advice: str = "") -> Iterator[None]:
    """Turn what FFmpeg raises inside the block into a MediaError, or OutOfMemoryError.

    Args:
        doing: what was being done, as in `"old.mp4: cannot read on"`; the message begins with it.
        advice: what the person can do; the message ends with it.
    """
    try:
        yield
    except MemoryError as err:  # FFmpeg's own is one, too
        raise OutOfMemoryError(f"{doing}: there is not enough memory") from err
    except av.FFmpegError as err:
        reason = err.strerror or type(err).__name__
        raise MediaError(f"{doing}: {reason}" + (f"; {advice}" if advice else "")) from err
