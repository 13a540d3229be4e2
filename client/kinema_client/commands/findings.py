"""What `kinema doctor` looks at. Each check runs by itself: what is broken for one is a finding, never an error."""

import importlib
import importlib.metadata
import platform
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from kinema_client.commands.options import EngineName, Precision
from kinema_core.errors import KinemaError

_MODULES = {
    "grpcio": "grpc",
    "grpcio-health-checking": "grpc_health.v1",
    "grpcio-reflection": "grpc_reflection.v1alpha",
    "grpcio-status": "grpc_status",
    "googleapis-common-protos": "google.rpc",
    "opencv-python-headless": "cv2",
    "protobuf": "google.protobuf",
}
"""What to import to see whether a distribution works, where it is not called the same."""

_CPU_FEATURES = {
    "AVX2": ("avx2",),
    "bf16": ("avx512_bf16", "amx_bf16"),
    "VNNI": ("avx512_vnni", "avx_vnni"),
}
"""Linux's flags, any of which brings the feature."""

_ENCODERS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1", "ffv1": "ffv1", "prores": "prores_ks"}
_REINSTALL_AV = "install PyAV as PyPI has it: pip install --force-reinstall --no-deps --only-binary :all: av"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    detail: str
    is_fine: bool = True
    advice: str = ""
    """What to do, in one line; empty where there is nothing to be done."""


def check_packages() -> Iterator[Finding]:
    """Import everything that colorizing and serving need."""
    versions = []
    for text in importlib.metadata.requires("kinema") or []:
        requirement, _, marker = text.partition(";")
        found = re.match(r"[\w.-]+", requirement)
        if "extra ==" in marker or found is None:
            continue
        name = found[0]
        try:
            version = importlib.metadata.version(name)
            _import(_MODULES.get(name, name.replace("-", "_")))
        except Exception as err:  # noqa: BLE001 - a broken package may raise anything, and doctor is there to say so
            yield Finding(name, f"does not load: {_one_line(err)}", is_fine=False,
                          advice=f"pip install --force-reinstall '{requirement.strip()}'")  # fmt: skip
        else:
            versions.append(f"{name} {version}")
    yield Finding("packages", ", ".join(versions))


def check_system(
    cpuinfo: Path = Path("/proc/cpuinfo"), driver: Path = Path("/proc/driver/nvidia/version")
) -> Iterator[Finding]:
    """Tell what Kinema runs on. Nothing here can be lacking: all of it is optional."""
    yield Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("CPU", _describe_cpu(cpuinfo))
    driver_text = "an NVIDIA driver is there" if driver.exists() else "no NVIDIA driver"
    yield Finding("GPU", f"{driver_text}; not needed: this release colorizes on the CPU, TensorRT is not part of it")


def check_codecs() -> Iterator[Finding]:
    """Look for the encoders that films are written with."""
    present = []
    for codec, encoder in _ENCODERS.items():
        try:
            import av

            av.Codec(encoder, "w")
        except Exception as err:  # noqa: BLE001 - as above
            yield Finding(codec, f"cannot be encoded: {_one_line(err)}", is_fine=False, advice=_REINSTALL_AV)
        else:
            present.append(codec)
    yield Finding("codecs", ", ".join(present))


def check_bundles(model: Path | None) -> Iterator[Finding]:
    """Verify every digest of the models that ship, and of the one that was asked for."""
    from kinema_core.bundle import DEFAULT_BUNDLE, list_bundles, load_bundle

    folders = {DEFAULT_BUNDLE, *list_bundles(), *([model] if model else [])}
    for folder in sorted(folders):
        try:
            bundle = load_bundle(folder)
        except KinemaError as err:
            advice = "take another bundle" if folder == model else "install Kinema anew, or name a bundle with --model"
            yield Finding(f"model {folder.name}", str(err), is_fine=False, advice=advice)
        else:
            manifest = bundle.manifest
            size = f"{manifest.num_parameters / 1e6:.1f} M parameters"
            yield Finding(f"model {manifest.name}", f"{manifest.version}, {size}, digests match, {bundle.digest[:12]}")


def check_engines(model: Path | None) -> Iterator[Finding]:
    """Open every engine in every precision."""
    from kinema_core.bundle import load_bundle
    from kinema_core.engines.select import open_engine

    try:
        bundle = load_bundle(model)
    except KinemaError:  # check_bundles tells why
        yield Finding("engines", "not looked at for want of a model", is_fine=False, advice="mend the model first")
        return
    for name in get_args(EngineName)[1:]:  # less "auto"
        present, absent = [], []
        for precision in get_args(Precision):
            try:
                open_engine(bundle, name, precision=precision).engine.close()
            except KinemaError as err:
                absent.append(f"not {precision}: {_one_line(err)}")
            else:
                present.append(precision)
        detail = "; ".join(filter(None, [", ".join(present), *absent]))
        # One precision is enough: whether there is bf16 is up to the CPU, and nothing can be done about it.
        advice = "" if present else f"pip install --force-reinstall {name}"
        yield Finding(f"engine {name}", detail, is_fine=bool(present), advice=advice)


def check_colorizing(model: Path | None) -> Finding:
    """Colorize a small picture, as `kinema colorize` would."""
    began = time.perf_counter()
    try:
        import numpy as np

        from kinema_client.commands.backends import local_backend
        from kinema_core.pipeline import Options

        ramp = np.linspace(0, 255, 64, dtype=np.uint8)
        with local_backend(model, "auto", "f32", Options()) as backend:
            backend.colorize_photo(np.broadcast_to(ramp[None, :, None], (64, 64, 3)).copy())
    except Exception as err:  # noqa: BLE001 - as above
        return Finding("colorizing", _one_line(err), is_fine=False, advice="mend what is named above")
    seconds = time.perf_counter() - began
    return Finding("colorizing", f"works: {backend.description}; model opened and a photo done in {seconds:.1f} s")


def _describe_cpu(cpuinfo: Path) -> str:
    try:
        text = cpuinfo.read_text()
    except OSError:
        return "this system does not tell its features"
    flags = set(text.partition("flags")[2].partition("\n")[0].split())
    present = [name for name, any_of in _CPU_FEATURES.items() if flags & set(any_of)]
    absent = [name for name in _CPU_FEATURES if name not in present]
    return ", ".join([f"has {name}" for name in present] + [f"no {name}" for name in absent])


def _import(module: str) -> None:
    if module == "openvino":
        from kinema_core.engines.telemetry import without_openvino_telemetry

        with without_openvino_telemetry():
            importlib.import_module(module)
    elif module == "onnxruntime":
        from kinema_core.engines.telemetry import disable_onnxruntime_telemetry

        disable_onnxruntime_telemetry()
    importlib.import_module(module)


def _one_line(err: Exception) -> str:
    return " ".join(str(err).split()) or type(err).__name__
