"""What a frame whose pixels are worked on by a GPU still costs the CPU: cuts and optical flow, from the small picture.

    python -m benchmarks.cpu_beside_gpu

It needs no GPU. Times are of one thread (`thread_time`), the median of `NUM_FRAMES` frames of a 720p picture that
moves; launching kernels and copying are not in them.
"""

from collections.abc import Callable
from statistics import median
from time import thread_time
from typing import ParamSpec, TypeVar

from benchmarks.gpu_parts import synthetic_film
from kinema_core.bundle import load_bundle
from kinema_core.frame_way import prepare_lightness
from kinema_core.frames import ColorTags
from kinema_core.pipeline import working_shape
from kinema_core.temporal.cuts import CutDetector
from kinema_core.temporal.motion import find_motion, see

P = ParamSpec("P")
R = TypeVar("R")

NUM_FRAMES = 200
WORKING_SIZES = (256, 512)


def main() -> None:
    """Print a table."""
    manifest = load_bundle().manifest
    print(
        "| working size | the model sees | cuts, ms | flow, ms | frames a second of one core |\n|---|---|---|---|---|"
    )
    for working_size in WORKING_SIZES:
        height, width = working_shape(720, 1280, manifest, working_size)
        cuts, flow = measure(height, width, manifest.output_stride)
        rate = f"{1e3 / (cuts + flow):.0f}"
        print(f"| {working_size} | {width}x{height} | {cuts:.2f} | {flow:.2f} | {rate} |")


def measure(height: int, width: int, stride: int) -> tuple[float, float]:
    """Return the milliseconds of cut detection and of finding the motion, for pictures of that size."""
    tags = ColorTags()
    film = [prepare_lightness(frame.luma, tags, (height, width))[0, 0] for frame in synthetic_film(720, 1280)]
    detector = CutDetector()
    cuts, flow = [], []
    before = None
    for number in range(NUM_FRAMES):
        lightness = film[number % len(film)]
        cuts.append(_timed(detector.is_cut, lightness)[0])
        seconds, seen = _timed(see, lightness, (height // stride, width // stride))
        if before is not None:
            flow.append(seconds + _timed(find_motion, before, seen)[0])
        before = seen
    return 1e3 * median(cuts), 1e3 * median(flow)


def _timed(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> tuple[float, R]:
    began = thread_time()
    result = work(*args, **kwargs)
    return thread_time() - began, result


if __name__ == "__main__":
    main()
