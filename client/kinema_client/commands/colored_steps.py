"""The frames of a film in colour: every one of them, or an error that names the first that is not."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager

import cv2

from kinema_client.commands.backends import Backend
from kinema_client.errors import ClientError
from kinema_core.errors import EngineError, OutOfMemoryError, UncolorizedFrameError
from kinema_core.frames import LumaFrame
from kinema_core.media.reader import FilmReader
from kinema_core.pipeline import Step
from kinema_core.stage_clock import StageClock


def colored_steps(
    backend: Backend,
    film: FilmReader,
    frames: Iterable[LumaFrame],
    *,
    first_number: int = 0,
    state: bytes = b"",
    clock: StageClock | None = None,
) -> Generator[Step, None, None]:
    """Yield a step for every frame, in order; closing the generator ends all work on the film.

    Args:
        backend: what colorizes.
        film: of which the frames are.
        frames: as `Backend.colorize_film` takes them.
        first_number: how many frames of the film came before these.
        state: what those left.
        clock: counts the time of the stages.

    Raises:
        UncolorizedFrameError: a frame got no colour; raised from the reason, behind the frames before it.
        OutOfMemoryError: the first frame could not even be read, for want of memory.
        MediaError: the film cannot be read on.
    """
    on_their_way: deque[int] = deque()
    number = first_number
    try:
        with closing(backend.colorize_film(film, _noting(frames, on_their_way), state, clock)) as steps:
            for step in steps:
                if not on_their_way or on_their_way[0] != step.frame.pts:
                    raise _uncolorized(film, number, on_their_way, f"one of pts {step.frame.pts} came instead")
                on_their_way.popleft()
                yield step
                number += 1
    except (EngineError, ClientError, MemoryError) as err:
        raise _uncolorized(film, number, on_their_way, str(err) or "there is not enough memory") from err
    except cv2.error as err:
        if err.code != cv2.Error.StsNoMem:
            raise
        raise _uncolorized(film, number, on_their_way, "there is not enough memory") from err
    if on_their_way:
        raise _uncolorized(film, number, on_their_way, "nothing came back for it")


@contextmanager
def naming_frame(film: FilmReader, number: int, step: Step) -> Generator[None, None, None]:
    """Name the frame of `step` where there is not enough memory to write it.

    Raises:
        UncolorizedFrameError: so it is.
    """
    try:
        yield
    except MemoryError as err:
        on_their_way = deque([step.frame.pts])
        raise _uncolorized(film, number, on_their_way, "there is not enough memory to write it") from err


def _noting(frames: Iterable[LumaFrame], on_their_way: deque[int]) -> Iterator[LumaFrame]:
    for frame in frames:
        on_their_way.append(frame.pts)
        yield frame


def _uncolorized(
    film: FilmReader, number: int, on_their_way: deque[int], reason: str
) -> UncolorizedFrameError | OutOfMemoryError:
    if not on_their_way:
        return OutOfMemoryError(f"{film.name}: behind frame {number}: {reason}")
    pts = on_their_way[0]
    where = f"frame {number} at {float(pts * film.time_base):.2f} s (pts {pts})"
    return UncolorizedFrameError(f"{film.name}: {where} got no colour: {reason}", number=number, pts=pts)
