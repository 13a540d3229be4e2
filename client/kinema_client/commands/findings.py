"""What `kinema doctor` looks at. Each check runs by itself: what is broken for one is a finding, never an error."""

import importlib
import importlib.metadata
import platform
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from kinema_client.commands.options import Precision
from kinema_core.errors import KinemaError

if TYPE_CHECKING:
    from kinema_core.bundle import Bundle

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
_REPLACEMENTS = {"onnxruntime": "onnxruntime-gpu"}
"""The same package, in another distribution."""

_CPU_FEATURES = {
    "AVX2": ("avx2",),
    "bf16": ("avx512_bf16", "amx_bf16"),
    "VNNI": ("avx512_vnni", "avx_vnni"),
}
"""Linux's flags, any of which brings the feature."""

_DRIVER_ADVICE = (
    "install NVIDIA's driver (on Debian: apt-get install nvidia-driver, and restart); "
    "for a container: docker run --gpus all"
)
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
            version = _version(name)
            _import(_MODULES.get(name, name.replace("-", "_")))
        except Exception as err:  # noqa: BLE001 - a broken package may raise anything, and doctor is there to say so
            yield Finding(name, f"does not load: {_one_line(err)}", is_fine=False,
                          advice=f"pip install --force-reinstall '{requirement.strip()}'")  # fmt: skip
        else:
            versions.append(f"{name} {version}")
    yield Finding("packages", ", ".join(versions))


def check_system(cpuinfo: Path = Path("/proc/cpuinfo")) -> Iterator[Finding]:
    """Tell what Kinema runs on. Nothing here can be lacking: all of it is optional."""
    yield Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("CPU", _describe_cpu(cpuinfo))


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


def check_gpu(devices: Path = Path("/sys/bus/pci/devices")) -> Iterator[Finding]:
    """Ask for a GPU; none is needed, but one that lies idle for want of its driver is a lack."""
    from kinema_core.engines.cuda_driver import find_gpu
    from kinema_core.errors import NoGpuError

    try:
        yield Finding("GPU", str(find_gpu()))
    except NoGpuError as err:
        if _has_nvidia_gpu(devices):
            yield Finding("GPU", f"there is one of NVIDIA's, but {err}", is_fine=False, advice=_DRIVER_ADVICE)
        else:
            yield Finding("GPU", f"{err}; not needed: Kinema colorizes on the CPU")


def check_engines(model: Path | None) -> Iterator[Finding]:
    """Open every engine in every precision."""
    from kinema_core.bundle import load_bundle
    from kinema_core.engines.select import CPU_ENGINES, GPU_ENGINES

    try:
        bundle = load_bundle(model)
    except KinemaError:  # check_bundles tells why
        yield Finding("engines", "not looked at for want of a model", is_fine=False, advice="mend the model first")
        return
    yield from _check_gpu_engines(bundle, list(GPU_ENGINES))
    for name in CPU_ENGINES:
        present, told, _ = _open_in_every_precision(bundle, name)
        # One precision is enough: whether there is bf16 is up to the CPU, and nothing can be done about it.
        is_fine = present or name == "torch"  # an extra, and the last resort
        advice = "" if is_fine else f"pip install --force-reinstall {name}"
        yield Finding(f"engine {name}", told, is_fine=is_fine, advice=advice)


def _check_gpu_engines(bundle: "Bundle", names: Sequence[str]) -> Iterator[Finding]:
    """Open the engines for a GPU. One that runs is enough, and where there is no GPU none is missed."""
    from kinema_core.engines.cuda_driver import find_gpu
    from kinema_core.errors import NoGpuError

    try:
        find_gpu()
    except NoGpuError:
        yield Finding("engines for a GPU", f"{', '.join(names)}: not looked at for want of a GPU")
        return
    tried = {name: _open_in_every_precision(bundle, name) for name in names}
    runs = any(present for present, _, _ in tried.values())
    for name, (present, told, reason) in tried.items():
        command = re.search("`(.+?)`", reason)  # what the error says to do
        is_lacking = not present and not runs
        advice = command[1] if command else "see docs/gpu.md"
        yield Finding(f"engine {name}", told, is_fine=not is_lacking, advice=advice if is_lacking else "")
    if runs:
        yield _where_frames_are()


def _where_frames_are() -> Finding:
    """Say whether more than the model runs on the GPU; it need not, so that it is no lack."""
    from kinema_core.engines.tensors import find_tensors

    if find_tensors() is not None:
        return Finding("frames on the GPU", "from luma to chroma")
    told = "no: there is no PyTorch with CUDA, so that only the model runs there; pip install 'kinema[torch]'"
    return Finding("frames on the GPU", told)


def _open_in_every_precision(bundle: "Bundle", name: str) -> tuple[bool, str, str]:
    """Return whether it opens in any, what to tell of it, and the first reason why it does not."""
    from kinema_core.engines.select import open_engine

    present: list[str] = []
    absent: dict[str, list[str]] = {}
    for precision in get_args(Precision):
        try:
            engine = open_engine(bundle, name, precision=precision).engine
            engine.close()
        except KinemaError as err:
            absent.setdefault(_one_line(err), []).append(precision)
        else:
            present.append(precision if engine.precision == precision else f"{engine.precision} for {precision}")
    lacks = [f"not {', '.join(precisions)}: {reason}" for reason, precisions in absent.items()]
    return bool(present), "; ".join(filter(None, [", ".join(present), *lacks])), next(iter(absent), "")


def _has_nvidia_gpu(devices: Path) -> bool:
    """Look for a display controller (PCI class 0x03) of NVIDIA's (vendor 0x10de)."""
    for device in devices.glob("*"):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor == "0x10de" and kind.startswith("0x03"):
            return True
    return False


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


def _version(name: str) -> str:
    """Return a distribution's version, or that of the one that takes its place."""
    other = _REPLACEMENTS.get(name)
    if other is not None and any(importlib.metadata.distributions(name=other)):
        return f"of {other} {importlib.metadata.version(other)}"
    return importlib.metadata.version(name)


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
