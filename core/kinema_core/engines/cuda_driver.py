"""Which GPU this machine has, asked of the CUDA driver itself.

It comes before any runtime that uses a GPU: some of them end the process where there is no driver, and none of them
says as plainly what is missing. The driver's library belongs to the driver, not to CUDA's toolkit: it is there wherever
a GPU can be used, and nowhere else.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kinema_core.errors import NoGpuError

_LIBRARY: Final = "libcuda.so.1"
_COMPUTE_CAPABILITY_MAJOR: Final = 75
_COMPUTE_CAPABILITY_MINOR: Final = 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""
_NAME_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first GPU that this process may use; CUDA_VISIBLE_DEVICES chooses another."""

    name: str
    compute_capability: tuple[int, int]
    """(9, 0) for a Hopper, (8, 9) for an Ada."""
    memory_bytes: int
    cuda_version: tuple[int, int]
    """The newest CUDA that the driver can run."""

    def __str__(self) -> str:
        capability, cuda = (".".join(map(str, version)) for version in (self.compute_capability, self.cuda_version))
        return (f"{self.name} (compute capability {capability}, {self.memory_bytes / 2**30:.0f} GiB, driver for "
                f"CUDA {cuda})")  # fmt: skip


def find_gpu(load_library: Callable[[str], Any] = ctypes.CDLL) -> Gpu:
    """Ask the CUDA driver for its first GPU.

    Args:
        load_library: loads a shared library by name, or raises OSError.

    Raises:
        NoGpuError: there is no driver, or it does not start, or it has no GPU for this process.
    """
    try:
        driver = load_library(_LIBRARY)
    except OSError as err:
        raise NoGpuError("no NVIDIA driver (libcuda.so.1 is not there)") from err
    device, number, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, memory, version = ctypes.create_string_buffer(_NAME_BYTES), ctypes.c_size_t(), ctypes.c_int()
    _call(driver, "cuInit", 0)
    _call(driver, "cuDriverGetVersion", ctypes.byref(version))
    _call(driver, "cuDeviceGetCount", ctypes.byref(number))
    if not number.value:
        raise NoGpuError("the NVIDIA driver has no GPU for this process; is CUDA_VISIBLE_DEVICES set to hide it?")
    _call(driver, "cuDeviceGet", ctypes.byref(device), 0)
    _call(driver, "cuDeviceGetName", name, _NAME_BYTES, device)
    _call(driver, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    for value, attribute in ((major, _COMPUTE_CAPABILITY_MAJOR), (minor, _COMPUTE_CAPABILITY_MINOR)):
        _call(driver, "cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
    return Gpu(
        name.value.decode(errors="replace"),
        (major.value, minor.value),
        memory.value,
        (version.value // 1000, version.value % 1000 // 10),
    )


def _call(driver: Any, function: str, *arguments: Any) -> None:
    status = getattr(driver, function)(*arguments)
    if status:
        raise NoGpuError(f"the NVIDIA driver does not work: {function} says {_describe(driver, status)}")


def _describe(driver: Any, status: int) -> str:
    text = ctypes.c_char_p()
    driver.cuGetErrorString(status, ctypes.byref(text))
    return f"{text.value.decode(errors='replace') if text.value else 'error'} ({status})"
