"""Frames a second end to end, beside the bare engine and beside the naive way through full-size RGB.

    .venv/bin/python benchmarks/pipeline.py [--rounds 5] [--frames 96] [--engine auto] [--precision f32]

Three ways, in turn, round after round, so that whatever else the machine does falls on all of them alike:

- pipeline: what `kinema colorize` does. A film is decoded, colorized and encoded (H.264, the default preset), from
  opening the file to closing the other one; stages overlap.
- engine: the model alone, on the lightness of the same frames, made beforehand: the limit. It has all threads for
  itself, as in the pipeline.
- naive: the same reader, engine, encoder and overlap, but ab is brought to full size bilinearly, (L*, a, b) to RGB at
  full size, and RGB handed to the encoder, which converts it to Y'CbCr. It neither smooths over time nor follows edges.

Opening the model and the first, uncounted round of each way are left out. `benchmarks/README.md` says how to read it.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from kinema_client.commands.stage_times import time_engine, time_stages
from kinema_core.bundle import Bundle, load_bundle
from kinema_core.color import luma_to_lightness
from kinema_core.engines.engine import Engine
from kinema_core.engines.select import open_engine
from kinema_core.errors import KinemaError
from kinema_core.frames import ColorFrame, LumaFrame
from kinema_core.media.color_tags import write_tags
from kinema_core.media.reader import FilmReader
from kinema_core.media.writer import FilmWriter
from kinema_core.pipeline import FRAMES_AHEAD, Colorizer, Prepared, colorize_frames
from kinema_core.run_ahead import run_ahead

ROOT = Path(__file__).resolve().parent.parent
CLIP = ROOT / "demo" / "footage" / "cockatoo.mp4"
SIZES = ((360, 640), (720, 1280))
"""(height, width)."""
WAYS = ("pipeline", "engine", "naive")


def main() -> int:
    """Measure, print two tables for each size, and return an exit code."""
    options = parse_arguments()
    try:
        bundle = load_bundle(options.model)
        engine = open_engine(bundle, options.engine, precision=options.precision, num_threads=options.threads).engine
        describe(bundle, engine, options)
        for height, width in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                film = write_clip(Path(folder) / "clip.mp4", height, width, options.frames)
                rates = measure(film, bundle, engine, options.rounds)
                print_rates(f"{width}x{height}", rates)
                print_stages(f"{width}x{height}", stage_milliseconds(film, bundle, engine.name, options.precision))
        engine.close()
    except KinemaError as err:
        print(f"benchmark: {err}", file=sys.stderr)
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is measured (default: 5)")
    parser.add_argument("--frames", type=int, default=96, help="frames of the clip, at most 108 (default: 96)")
    parser.add_argument("--engine", default="auto", choices=("auto", "openvino", "onnxruntime"))
    parser.add_argument("--precision", default="f32", choices=("f32", "bf16", "int8"))
    parser.add_argument("--threads", type=int, help="threads of the engine (default: one a CPU)")
    parser.add_argument("--model", type=Path, default=os.environ.get("KINEMA_MODEL"), help="folder of a bundle")
    return parser.parse_args()


def write_clip(path: Path, height: int, width: int, num_frames: int) -> Path:
    """Write the bundled clip's first frames at another size."""
    with (
        FilmReader(CLIP) as film,
        FilmWriter(
            path, width=width, height=height, time_base=film.time_base, average_rate=film.average_rate, tags=film.tags
        ) as writer,
    ):
        for frame in islice(film.color_frames(), num_frames):
            luma = cv2.resize(frame.luma, (width, height), interpolation=cv2.INTER_AREA)
            cb, cr = (
                cv2.resize(p, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for p in (frame.cb, frame.cr)
            )
            writer.write(ColorFrame(luma, cb, cr, frame.pts, frame.time_base, frame.tags))
    return path


def measure(film: Path, bundle: Bundle, engine: Engine, num_rounds: int) -> dict[str, list[float]]:
    """Give frames a second of each way in each round."""
    lightness = [prepared.lightness for prepared in prepare_all(film, bundle)]
    ways: dict[str, Callable[[], int]] = {
        "pipeline": lambda: run_pipeline(film, bundle, engine),
        "engine": lambda: sum(len(engine.infer(item)) for item in lightness),
        "naive": lambda: run_naive(film, bundle, engine),
    }
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for round_ in range(num_rounds + 1):
        for way in WAYS:
            began = perf_counter()
            num_frames = ways[way]()
            if round_:  # the first warms up
                rates[way].append(num_frames / (perf_counter() - began))
    return rates


def run_pipeline(path: Path, bundle: Bundle, engine: Engine) -> int:
    """Colorize a film as `kinema colorize` does; gives the number of frames."""
    with FilmReader(path) as film:
        colorizer = Colorizer(bundle.manifest, height=film.height, width=film.width, tags=film.tags)
        with FilmWriter.like(film, path.with_name("pipeline.mp4"), overwrite=True) as writer:
            for frame in colorize_frames(film, colorizer, engine):
                writer.write(frame)
            return writer.num_frames


def run_naive(path: Path, bundle: Bundle, engine: Engine) -> int:
    """Colorize a film through full-size Lab and RGB; gives the number of frames."""
    with FilmReader(path) as film:
        colorizer = Colorizer(bundle.manifest, height=film.height, width=film.width, tags=film.tags)
        prepared = run_ahead((colorizer.prepare(frame) for frame in film), FRAMES_AHEAD)
        inferred = run_ahead(((item, engine.infer(item.lightness)) for item in prepared), FRAMES_AHEAD)
        pictures = run_ahead((compose_naively(item.frame, ab) for item, ab in inferred), FRAMES_AHEAD)
        return encode_rgb(path.with_name("naive.mp4"), pictures, film)


def compose_naively(frame: LumaFrame, ab: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Bring ab (1, 2, h, w) to the size of the frame, and (L*, a, b) to RGB (H, W, 3), clipped a channel at a time."""
    height, width = frame.luma.shape
    full = cv2.resize(ab[0].transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_LINEAR)
    lab = np.dstack([luma_to_lightness(frame.luma, frame.tags), full])
    rgb: NDArray[np.float32] = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)
    return (rgb * 255).round().clip(0, 255).astype(np.uint8)


def encode_rgb(path: Path, pictures: Iterator[NDArray[np.uint8]], film: FilmReader) -> int:
    """Encode as FilmWriter does by default, but from RGB, which FFmpeg converts; gives the number of frames."""
    num_frames = 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=film.average_rate or Fraction(25))
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, "yuv420p"
        stream.options = {"crf": "18", "preset": "veryfast"}
        write_tags(stream.codec_context, film.tags)
        for picture in pictures:
            rgb = av.VideoFrame.from_ndarray(picture, format="rgb24")
            converted = rgb.reformat(format="yuv420p", dst_colorspace="ITU709")
            converted.pts = num_frames
            container.mux(stream.encode(converted))
            num_frames += 1
        container.mux(stream.encode(None))
    return num_frames


def prepare_all(path: Path, bundle: Bundle) -> list[Prepared]:
    """Read a film, and make what the model sees of every frame."""
    with FilmReader(path) as film:
        colorizer = Colorizer(bundle.manifest, height=film.height, width=film.width, tags=film.tags)
        return [colorizer.prepare(frame) for frame in film]


def stage_milliseconds(path: Path, bundle: Bundle, engine_name: str, precision: str) -> dict[str, float]:
    """Give the CPU time of each stage by itself, the model and OpenCV on one thread; milliseconds a frame."""
    threads_before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    engine = open_engine(bundle, engine_name, precision=precision, num_threads=1).engine  # type: ignore[arg-type]  # argparse checked it
    try:
        began = process_time()
        with FilmReader(path) as film:
            frames = list(film)
        decode = (process_time() - began) * 1000 / len(frames)
        stages = time_stages(frames, bundle.manifest, engine, process_time)
        model = time_engine(frames, bundle.manifest, engine, process_time)
    finally:
        engine.close()
        cv2.setNumThreads(threads_before)
    return {
        "decode": decode,
        "prepare": stages.prepare,
        "engine": model,
        "finish": stages.finish,
        "compose": stages.compose,
        "encode": stages.encode,
    }


def describe(bundle: Bundle, engine: Engine, options: argparse.Namespace) -> None:
    """Print what was measured on what."""
    num_cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0]
    print(f"machine:  {cpu_name()}, {num_cpus} CPUs, load {load:.1f} before the start, {platform.platform(terse=True)}")
    print(f"commit:   {commit()}; Python {platform.python_version()}, {engine.name} {version(engine.name)}, "
          f"OpenCV {cv2.__version__}, PyAV {av.__version__}")  # fmt: skip
    manifest = bundle.manifest
    print(f"model:    {manifest.name} {manifest.version}, {manifest.num_parameters / 1e6:.1f} M parameters, "
          f"digest {bundle.digest[:12]}")  # fmt: skip
    print(f"engine:   {engine.name} {engine.precision}, threads: {options.threads or 'one a CPU'}")
    print(f"clip:     {CLIP.relative_to(ROOT)}, {options.frames} frames, {options.rounds} rounds\n")


def print_rates(size: str, rates: dict[str, list[float]]) -> None:
    """Print medians, and the medians of the ratios within a round."""
    print(f"{size}: frames a second")
    table = Table()
    for column in ("way", "median", "least", "most", "beside the engine"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for way in WAYS:
        ratio = statistics.median(a / b for a, b in zip(rates[way], rates["engine"], strict=True))
        numbers = (statistics.median(rates[way]), min(rates[way]), max(rates[way]))
        table.add_row(way, *(f"{number:.1f}" for number in numbers), f"{100 * ratio:.0f} %")
    Console().print(table)


def print_stages(size: str, milliseconds: dict[str, float]) -> None:
    """Print each stage's time, and its share of the whole."""
    print(f"{size}: CPU milliseconds a frame, each stage by itself on one thread (the encoder on its own threads)")
    table = Table()
    for column in ("stage", "ms", "share"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    total = sum(milliseconds.values())
    for stage, value in milliseconds.items():
        table.add_row(stage, f"{value:.1f}", f"{100 * value / total:.0f} %")
    Console().print(table)


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name the CPU, as far as the system tells."""
    lines: Sequence[str] = cpuinfo.read_text().splitlines() if cpuinfo.exists() else ()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str:
    """Name the commit that was measured, with a plus sign where files were changed since."""
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"],  # noqa: S607 - whichever git is there
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return answer.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
