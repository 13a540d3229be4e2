"""What a film's frames depend on, so that an interrupted job goes on with nothing but the same."""

import dataclasses
import hashlib
import importlib.metadata
import os
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import av

from kinema_core.engines.cuda_driver import find_gpu
from kinema_core.engines.engine import Engine
from kinema_core.errors import MediaError
from kinema_core.frame_way import HOST, way_for
from kinema_core.media.image_sequence import find_sequence, name_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Fingerprint: TypeAlias = dict[str, str]
"""What there is by what it is of."""

HEAD_BYTES: Final = 1 << 20
_ENGINE_DISTRIBUTIONS: Final = {
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "onnxruntime-cuda": ("onnxruntime-gpu",),
    "tensorrt": ("tensorrt", "tensorrt-cu12", "tensorrt-cu13"),
    "tensorrt-rtx": ("tensorrt-rtx-cu12", "tensorrt-rtx-cu13"),
    "torch-cuda": ("torch",),
    "torch": ("torch",),
}
"""The packages that an engine may have come in."""
_DISTRIBUTIONS: Final = ("kinema", "av", "numpy", "opencv-python-headless")


def fingerprint_of_source(source: str) -> Fingerprint:
    """Tell a film, or numbered pictures, from others: by size, time of change and beginning, not by where it lies.

    Raises:
        MediaError: it cannot be read.
    """
    sequence = find_sequence(source)
    paths = [Path(source)]
    if sequence is not None:
        numbers = range(sequence.first_number, sequence.first_number + sequence.num_pictures)
        paths = [Path(source).parent / name_of(source, number) for number in numbers]
    try:
        return _fingerprint_of_files(paths)
    except OSError as err:
        raise MediaError(f"{source} cannot be read: {err.strerror}") from err


def _fingerprint_of_files(paths: Iterable[Path]) -> Fingerprint:
    size, changed, head = 0, hashlib.sha256(), hashlib.sha256()
    for number, path in enumerate(paths):
        status = path.stat()
        size += status.st_size
        changed.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
        if not number:
            with path.open("rb") as file:
                head.update(file.read(HEAD_BYTES))
    return {
        "the film's size": f"{size} bytes",
        "the film's time of change": changed.hexdigest()[:16],
        "the film's beginning": head.hexdigest()[:16],
    }


def fingerprint_of_choices(choices: "DataclassInstance", *, without: Iterable[str] = ()) -> Fingerprint:
    """Write down every field of a dataclass, but for those that no frame depends on."""
    fields = {field.name: getattr(choices, field.name) for field in dataclasses.fields(choices)}
    return {name: _text(value) for name, value in fields.items() if name not in set(without)}


def fingerprint_of_programs() -> Fingerprint:
    """Write down the versions of what makes the frames."""
    versions = {name: importlib.metadata.version(name) for name in _DISTRIBUTIONS}
    return versions | {"libavcodec": ".".join(map(str, av.library_versions["libavcodec"]))}


def fingerprint_of_engine(engine: Engine) -> Fingerprint:
    """Write down what runs the model, by which version, in which precision and on which GPU, and where frames stay."""
    versions = {
        name: importlib.metadata.version(name)
        for name in _ENGINE_DISTRIBUTIONS.get(engine.name, ())
        if any(importlib.metadata.distributions(name=name))
    }
    gpu = {"GPU": str(find_gpu())} if engine.device == "cuda" else {}
    way = way_for(engine)
    frames = {} if way is HOST else {"frames stay on": f"{way.device}, by torch {importlib.metadata.version('torch')}"}
    return {"engine": engine.name, "precision": engine.precision} | versions | gpu | frames


def fingerprint_of_threads(codec: str) -> Fingerprint:
    """Write down how many processors there are, where an encoder takes its threads and with them its bits from that."""
    if codec not in {"h264", "hevc"}:
        return {}
    return {"processors": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())}


def difference(kept: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Say what differs, as in "codec (h264, now ffv1)"; nothing where nothing does."""
    names = [name for name in {**kept, **now} if kept.get(name) != now.get(name)]
    return ", ".join(f"{name} ({kept.get(name, 'none')}, now {now.get(name, 'none')})" for name in names)


def _text(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)
