"""The parts of `gpu_check`, each run in a process of its own; each returns what JSON can hold."""

import asyncio
import itertools
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.bundle import Bundle, load_bundle
from kinema_core.engines.engine import Engine
from kinema_core.engines.onnxruntime import open_onnxruntime
from kinema_core.engines.select import open_engine
from kinema_core.engines.torch import open_torch_cuda
from kinema_core.errors import EngineError
from kinema_core.frame_way import HOST, way_for
from kinema_core.frames import ColorTags, LumaFrame
from kinema_core.pipeline import Colorizer, Options, colorize_frames
from kinema_server.batching import BatchPlan, measured_plan

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    sizes: tuple[tuple[int, int], ...]
    """(height, width) of what the model sees."""
    batches: tuple[int, ...]
    films: tuple[tuple[int, int], ...]
    """(height, width) of the frames of streams."""
    streams: tuple[int, ...]
    working_size: int
    seconds: float
    """That each measurement lasts."""


FULL = Scale(
    sizes=((256, 256), (512, 512), (544, 960)),  # 536 rows are no multiple of 32
    batches=(1, 2, 4, 8, 16, 32),
    films=((720, 1280), (1080, 1920)),
    streams=(1, 2, 4, 8, 16, 32),
    working_size=512,
    seconds=2.0,
)
COMPILED = "torch-cuda-compiled"
"""`torch-cuda` whose kernels torch.compile fuses: no engine of Kinema's, for it takes a minute for each new size."""
FILM_RATE = 24
"""Frames a second of a film; a frame that takes longer is late for one that is shown as it comes."""
DRY = Scale(sizes=((64, 64),), batches=(1, 2), films=((90, 120),), streams=(1, 2), working_size=64, seconds=0.05)
"""Shows on any machine that every part runs; its numbers mean nothing."""


def machine(*, is_dry: bool) -> Result:
    """Describe the device, and measure its rates."""
    import torch

    from benchmarks.gpu_rates import measure_rates

    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    facts = {"device": device, "name": name, "torch": torch.__version__, "cuda": torch.version.cuda}
    if device == "cuda":
        facts["compute_capability"] = ".".join(map(str, torch.cuda.get_device_capability()))
    return facts | {"rates": asdict(measure_rates(device, is_small=is_dry))}


def parity(engine_name: str, precision: Any, *, is_dry: bool) -> Result:
    """Compare the engine's colours with those of ONNX Runtime on the CPU, in f32."""
    bundle, size = load_bundle(), 64 if is_dry else 256
    lightness = _lightness(2 if is_dry else 8, size, size)
    with closing(open_onnxruntime(bundle)) as reference:
        expected = reference.infer(lightness)
    with _opened(bundle, engine_name, precision) as engine:
        ab = engine.infer(lightness)  # raises where a value is no number
        alone = np.concatenate([engine.infer(picture[None]) for picture in lightness])
        again = engine.infer(lightness)
        if is_dry:
            engine.takes_tensors = True  # type: ignore[attr-defined]  # as it does on a GPU
        by_both_ways = _compare_ways(engine, bundle, DRY if is_dry else FULL)
    return {
        "by_both_ways": by_both_ways,
        "delta_e": _mean_delta_e(lightness, ab, expected),
        "max_ab_difference": float(np.abs(ab - expected).max()),
        "is_same_again": bool(np.array_equal(ab, again)),
        "is_same_alone": bool(np.array_equal(ab, alone)),
        "max_difference_alone": float(np.abs(ab - alone).max()),
    }


def _compare_ways(engine: Engine, bundle: Bundle, scale: Scale) -> Result | None:
    """Compare the codes of chroma that a film gets on the device and by the CPU's way; None where there is one way."""
    height, width = scale.films[0]
    film, options = synthetic_film(height, width), Options(working_size=scale.working_size)
    planes: list[NDArray[np.int64]] = []
    for way in (way_for(engine), HOST):
        colorizer = Colorizer(bundle.manifest, height=height, width=width, tags=film[0].tags, options=options, way=way)
        if not planes and colorizer.way is HOST:
            return None
        colored = list(colorize_frames(film, colorizer, engine))
        planes.append(np.stack([[frame.cb, frame.cr] for frame in colored]).astype(np.int64))
    difference = np.abs(planes[0] - planes[1])
    return {"equal": float((difference == 0).mean()), "largest": int(difference.max())}


def _mean_delta_e(lightness: NDArray[np.float32], ab: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    from kinema_core.quality.ciede2000 import ciede2000

    stride = lightness.shape[2] // ab.shape[2]
    small = lightness[:, 0, ::stride, ::stride, None].astype(np.float64)
    labs = [np.concatenate([small, values.transpose(0, 2, 3, 1)], axis=-1) for values in (ab, expected)]
    return float(ciede2000(*labs).mean())


def speed(engine_name: str, precision: Any, *, is_dry: bool) -> Result:
    """Time the engine from array to array, by size and batch, with the memory that it holds."""
    from benchmarks.gpu_rates import layers_of

    bundle, scale, before = load_bundle(), DRY if is_dry else FULL, _used_mebibytes()
    rows: list[Result] = []
    with _opened(bundle, engine_name, precision) as engine:
        for height, width in scale.sizes:
            for batch in scale.batches:
                lightness = _lightness(batch, height, width)
                try:
                    seconds = _seconds(lambda given=lightness: engine.infer(given), scale.seconds)
                except Exception as err:  # noqa: BLE001 - out of memory at one batch leaves the others
                    rows.append({"height": height, "width": width, "batch": batch, "error": str(err)})
                    continue
                layers = [asdict(layer) for layer in layers_of(bundle, batch, height, width)]
                rows.append({
                    "height": height, "width": width, "batch": batch, "milliseconds": 1e3 * seconds / batch,
                    "layers": layers,
                })  # fmt: skip
        after = _used_mebibytes()
    held = after - before if before is not None and after is not None else None
    return {"rows": rows, "gpu_mebibytes": held}


def frames(engine_name: str, precision: Any, *, is_dry: bool) -> Result:
    """Count frames a second from luma to chroma in host memory, by size and number of streams that share the engine.

    Each stream is a thread that asks for its next frame when it has the last one; a server's scheduler puts pictures
    of several streams together where that was measured to save time. Nothing is decoded or encoded. With an engine
    that takes tensors, frames stay on the device the whole way.
    """
    bundle, scale, before = load_bundle(), DRY if is_dry else FULL, _used_mebibytes()
    rows: list[Result] = []
    with _opened(bundle, engine_name, precision) as engine:
        if is_dry:
            engine.takes_tensors = True  # type: ignore[attr-defined]  # as it does on a GPU
        plan = measured_plan(engine, bundle.manifest)
        for height, width in scale.films:
            film = synthetic_film(height, width)
            for num_streams in scale.streams:
                latencies = asyncio.run(_run_beside_each_other(film, num_streams, bundle, engine, scale, plan))
                rows.append({
                    "height": height, "width": width, "streams": num_streams,
                    "frames_per_second": len(latencies) / scale.seconds,
                    "p99_milliseconds": float(1e3 * np.percentile(latencies, 99)) if latencies else None,
                    "slow_share": float(np.mean(np.array(latencies) > 1 / FILM_RATE)) if latencies else None,
                })  # fmt: skip
        after = _used_mebibytes()
        is_on_device = way_for(engine) is not HOST
    held = after - before if before is not None and after is not None else None
    return {
        "rows": rows, "working_size": scale.working_size, "gpu_mebibytes": held, "is_on_device": is_on_device,
        "max_batch": plan.max_size,
    }  # fmt: skip


async def _run_beside_each_other(
    film: list[LumaFrame], num_streams: int, bundle: Bundle, engine: Engine, scale: Scale, plan: BatchPlan
) -> list[float]:
    """Return the seconds of each frame that came out in time, of streams whose pictures a scheduler puts together."""
    from kinema_server.lane_engine import LaneEngine
    from kinema_server.scheduler import Scheduler  # with gRPC, which no other part needs

    async with Scheduler(engine, max_lanes=num_streams, batching=plan) as scheduler:
        with ExitStack() as stack:
            lanes = [stack.enter_context(scheduler.lane(1)) for _ in range(num_streams)]
            engines = [LaneEngine(scheduler, lane) for lane in lanes]
            return await asyncio.to_thread(_run_streams, film, bundle, engines, scale)


def _run_streams(film: list[LumaFrame], bundle: Bundle, engines: Sequence[Engine], scale: Scale) -> list[float]:
    """Run one stream for each of `engines`; return the seconds of each frame that came out in time."""
    height, width = film[0].luma.shape
    options = Options(working_size=scale.working_size)
    colorizers = [
        Colorizer(bundle.manifest, height=height, width=width, tags=film[0].tags, options=options, way=way_for(engine))
        for engine in engines
    ]
    latencies: list[float] = []
    failures: list[BaseException] = []
    start = threading.Barrier(len(engines))

    def run(colorizer: Colorizer, engine: Engine) -> None:
        try:
            _colorize(colorizer, engine, film[0])  # warms up
            _colorize(colorizer, engine, film[1])
            start.wait(timeout=120)
            began = perf_counter()
            deadline = began + scale.seconds
            for frame in itertools.cycle(film):
                _colorize(colorizer, engine, frame)
                done = perf_counter()
                if done > deadline:
                    break
                latencies.append(done - began)
                began = done
        except BaseException as err:  # noqa: BLE001 - raised again below, on the main thread
            start.abort()
            failures.append(err)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(colorizers, engines, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return latencies


def _colorize(colorizer: Colorizer, engine: Engine, frame: LumaFrame) -> None:
    prepared = colorizer.prepare(frame)
    colorizer.compose(prepared, colorizer.finish(prepared, colorizer.infer(engine, prepared)))


def _seconds(work: Any, least_seconds: float) -> float:
    """Return the seconds of one call in the median, after two that are not counted; the results lie in host memory."""
    for _ in range(2):
        work()
    times: list[float] = []
    while sum(times) < least_seconds or len(times) < 3:
        began = perf_counter()
        work()
        times.append(perf_counter() - began)
    return float(np.median(times))


@contextmanager
def _opened(bundle: Bundle, name: str, precision: Any) -> Iterator[Engine]:
    if name == COMPILED:
        opened: Engine = open_torch_cuda(bundle, precision=precision, with_compiler=True)
    else:
        opened = open_engine(bundle, name, precision=precision).engine
    with closing(opened) as engine:
        if engine.precision != precision:
            raise EngineError(f"{precision} colours otherwise than the CPU here, {engine.precision} was taken")
        yield engine


def _lightness(batch: int, height: int, width: int) -> NDArray[np.float32]:
    """Make what the model sees: (batch, 1, height, width), L*."""
    pictures = np.stack([_picture(height, width, seed)[None] for seed in range(batch)])
    return pictures.astype(np.float32) / np.float32(2.55)


def _picture(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Make smooth patches with an edge and grain: (height, width), 0-255."""
    rng = np.random.default_rng(seed)
    picture = cv2.resize(rng.uniform(0, 255, (6, 6)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    picture[height // 4 : height // 2, width // 4 : width // 2] = rng.uniform(0, 255)
    picture += rng.normal(0, 3, picture.shape)
    codes: NDArray[np.uint8] = np.clip(picture, 0, 255).astype(np.uint8)
    return codes


def synthetic_film(height: int, width: int) -> list[LumaFrame]:
    """Make eight frames of a picture that moves by two pixels a frame."""
    wide = _picture(height, width + 16, 0)
    frames = [np.ascontiguousarray(wide[:, 2 * index : 2 * index + width]) for index in range(8)]
    return [LumaFrame(luma, index, Fraction(1, 24), ColorTags()) for index, luma in enumerate(frames)]


def _used_mebibytes() -> int | None:
    """Ask the driver how much of the first GPU's memory is taken; None where there is none."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
        return int(told.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
