"""Colorize the bundled clip and stills through a real server, and put the results beside the originals.

What `make demo` runs. Only grey goes to the server: the clip's luma plane, and grey versions of the stills.
"""

import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from time import perf_counter
from types import FrameType

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_client import Client, Timings
from kinema_core.color import rgb_to_grey
from kinema_core.errors import KinemaError
from kinema_core.frames import ColorFrame, LumaFrame
from kinema_core.media.photos import decode_photo, list_photos, read_photo, write_photo
from kinema_core.media.reader import FilmReader
from kinema_core.media.writer import FilmWriter

HERE = Path(__file__).resolve().parent
FOOTAGE = HERE / "footage"
CLIP = FOOTAGE / "cockatoo.mp4"
COLOUR = HERE / "colour.mp4"
COMPARE = HERE / "compare.png"
STILLS = HERE / "stills.png"

COLUMNS = ("grey", "Kinema", "original")
NUM_COMPARED = 6
NUM_ONE_BY_ONE = 30
CELL = (440, 300)
"""Width and height into which a picture is fitted; three fit into 1400 pixels."""
GAP = 10
SECONDS_TO_ANSWER = 5
SECONDS_TO_START = 60
SECONDS_TO_STOP = 15

RGB = NDArray[np.uint8]


class DemoError(KinemaError):
    """The demo cannot go on."""


def main() -> int:
    """Run the demo and return its exit code."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        with running_server() as address, Client(address) as kinema:
            model = kinema.list_models()[0]
            print(f"The server is up at {address}, with model {model.name} {model.version}.")
            colorize_clip(kinema)
            colorize_stills(kinema)
    except KinemaError as err:
        print(f"demo: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; the server is stopped", file=sys.stderr)
        return 130
    return 0


@contextmanager
def running_server() -> Iterator[str]:
    """Run `kinema serve` on a free port, and stop it whatever happens; yields its address.

    Raises:
        DemoError: it did not start; the message holds what it said.
    """
    command = [sys.executable, "-m", "kinema_client.cli", "serve", "--port", "0"]
    with (
        tempfile.TemporaryFile("w+") as log,
        # A session of its own: Ctrl-C is for this process, which then stops the server in its turn.
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True) as server,
    ):
        late = threading.Timer(SECONDS_TO_START, server.kill)
        late.start()
        try:
            assert server.stdout is not None
            line = next((line for line in server.stdout if "serves on" in line), None)
            late.cancel()
            if line is None:
                log.seek(0)
                raise DemoError(f"the server did not start:\n{log.read()}")
            yield line.split()[-1]
        finally:
            late.cancel()
            stop(server)


def stop(server: "subprocess.Popen[str]") -> None:
    """End the server: in order, or at once if that takes too long."""
    server.terminate()
    try:
        server.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        server.kill()


def colorize_clip(kinema: Client) -> None:
    """Stream the clip's luma through the server, write the film and the comparison, and print how fast it was."""
    timings: list[Timings] = []
    with FilmReader(CLIP) as film:
        assert film.num_frames is not None
        chosen = [(2 * row + 1) * film.num_frames // (2 * NUM_COMPARED) for row in range(NUM_COMPARED)]
        results: dict[int, ColorFrame] = {}
        began = perf_counter()
        with FilmWriter.like(film, COLOUR, overwrite=True) as writer:
            stream = kinema.colorize_frames(film)
            for index, frame in enumerate(stream):
                writer.write(frame)
                if index in chosen:
                    results[index] = frame
                assert stream.timings is not None
                timings.append(stream.timings)
        seconds = perf_counter() - began
    write_comparison(results)

    assert stream.accepted is not None
    accepted = stream.accepted
    print(f"{_shown(COLOUR)}: {len(timings)} frames of {film.width}x{film.height}, H.264")
    print(f"{_shown(COMPARE)}: {' | '.join(COLUMNS)}")
    print(f"{len(timings) / seconds:.1f} frames a second: decoded, colorized on {accepted.engine} {accepted.precision} "
          "through gRPC, and encoded")  # fmt: skip
    print("Latency of a frame, from sending its luma to having its colour:")
    print(f"  {_percentiles(timings)}, at full speed with {accepted.credits} frames on their way")
    print(f"  {_percentiles(colorize_one_by_one(kinema))}, one frame at a time")
    print("Of that on the server, in the mean at full speed:")
    for stage in ("prepare", "queue", "engine", "finish"):
        mean = np.mean([getattr(timing, f"{stage}_seconds") for timing in timings])
        print(f"  {stage:<8}{1000 * mean:6.1f} ms")


def colorize_one_by_one(kinema: Client) -> list[Timings]:
    """Send frames as a live source does that waits for the colour of one before it sends the next."""
    timings = []
    answered = threading.Semaphore(1)

    def paced(frames: Iterable[LumaFrame]) -> Iterator[LumaFrame]:
        for frame in islice(frames, NUM_ONE_BY_ONE):
            answered.acquire(timeout=SECONDS_TO_ANSWER)  # not for ever: a stream that fails waits for this thread
            yield frame

    with FilmReader(CLIP) as film:
        stream = kinema.colorize_frames(paced(film))
        for _ in stream:
            assert stream.timings is not None
            timings.append(stream.timings)
            answered.release()
    return timings


def write_comparison(results: Mapping[int, ColorFrame]) -> None:
    """Write frames of the clip, by their index: grey, in Kinema's colour, and as they were."""
    rows = []
    with FilmReader(CLIP) as film:
        for index, original in enumerate(film.color_frames()):
            if index in results:
                pictures = [frame_to_rgb(original, saturation=0), frame_to_rgb(results[index]), frame_to_rgb(original)]
                rows.append((f"frame {index}, {float(original.pts * original.time_base):.1f} s", pictures))
    write_photo(COMPARE, draw_grid(rows), overwrite=True)


def colorize_stills(kinema: Client) -> None:
    """Send grey versions of the stills to the server, and write them beside the originals."""
    rows = []
    began = perf_counter()
    for path in list_photos(FOOTAGE):
        original = read_photo(path)
        grey = rgb_to_grey(original)
        _, encoded = cv2.imencode(".png", grey)
        colour = decode_photo(kinema.colorize_image(encoded.tobytes()))
        rows.append((path.stem, [cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), colour, original]))
    seconds = perf_counter() - began
    write_photo(STILLS, draw_grid(rows), overwrite=True)
    print(f"{_shown(STILLS)}: {len(rows)} photographs through ColorizeImage in {seconds:.1f} s")


def frame_to_rgb(frame: ColorFrame, saturation: float = 1.0) -> RGB:
    """Show 8-bit limited-range Y'CbCr as RGB (H, W, 3), clipped as a player does; ITU-T H.273, 8.3."""
    height, width = frame.luma.shape
    kr, kg, kb = frame.tags.matrix.luma_weights
    luma = (frame.luma.astype(np.float32) - 16) / 219
    chroma = [
        cv2.resize((plane.astype(np.float32) - 128) * (saturation / 224), (width, height))
        for plane in (frame.cb, frame.cr)
    ]
    blue = luma + 2 * (1 - kb) * chroma[0]
    red = luma + 2 * (1 - kr) * chroma[1]
    green = (luma - kr * red - kb * blue) / kg
    rgb = np.stack([red, green, blue], axis=2)
    return (rgb * 255).round().clip(0, 255).astype(np.uint8)


def draw_grid(rows: Sequence[tuple[str, Sequence[RGB]]]) -> RGB:
    """Set pictures in columns with white gaps, a caption under each row and the columns' names on top."""
    fitted = [[fit(picture) for picture in pictures] for _, pictures in rows]
    cell = max(picture.shape[1] for row in fitted for picture in row)
    width = len(COLUMNS) * cell + (len(COLUMNS) + 1) * GAP
    lefts = [GAP + column * (cell + GAP) for column in range(len(COLUMNS))]
    strips = [caption(width, zip(COLUMNS, lefts, strict=True))]
    for (text, _), pictures in zip(rows, fitted, strict=True):
        strip = np.full((pictures[0].shape[0], width, 3), 255, np.uint8)
        for left, picture in zip(lefts, pictures, strict=True):
            strip[:, left : left + picture.shape[1]] = picture
        strips += [strip, caption(width, [(text, GAP)])]
    return np.concatenate(strips)


def fit(picture: RGB) -> RGB:
    """Scale a picture (H, W, 3) down so that it fits into CELL."""
    height, width = picture.shape[:2]
    scale = min(CELL[0] / width, CELL[1] / height)
    fitted: RGB = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    return fitted


def caption(width: int, texts: Iterable[tuple[str, int]]) -> RGB:
    """Write texts on a white strip, each from its left edge."""
    strip = np.full((28, width, 3), 255, np.uint8)
    for text, left in texts:
        cv2.putText(strip, text, (left, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60, 60, 60), 1, cv2.LINE_AA)
    return strip


def _percentiles(timings: Sequence[Timings]) -> str:
    milliseconds = [1000 * timing.round_trip_seconds for timing in timings]
    return ", ".join(f"p{p} {np.percentile(milliseconds, p):.0f} ms" for p in (50, 90, 99))


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
