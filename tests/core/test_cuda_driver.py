"""The driver is asked first, and whatever it lacks has a name. FakeDriver stands in for libcuda.so.1."""

import ctypes
from typing import Any

import pytest

from kinema_core.engines.cuda_driver import Gpu, find_gpu
from kinema_core.errors import EngineUnavailableError, NoGpuError


class FakeDriver:
    """Answers as a driver with one GPU does; `failing` maps a function to the status that it returns."""

    def __init__(self, *, num_gpus: int = 1, failing: dict[str, int] | None = None) -> None:
        self._num_gpus = num_gpus
        self._failing = failing or {}

    def __getattr__(self, function: str) -> Any:
        def call(*arguments: Any) -> int:
            status = self._failing.get(function, 0)
            if not status:
                self._answer(function, *arguments)
            return status

        return call

    def _answer(self, function: str, *arguments: Any) -> None:
        numbers = {"cuDriverGetVersion": 13010, "cuDeviceGetCount": self._num_gpus, "cuDeviceGet": 0}
        if function in numbers:
            arguments[0]._obj.value = numbers[function]
        elif function == "cuDeviceGetName":
            arguments[0].value = b"NVIDIA Fake 90"
        elif function == "cuDeviceTotalMem_v2":
            arguments[0]._obj.value = 80 << 30
        elif function == "cuDeviceGetAttribute":
            arguments[0]._obj.value = {75: 9, 76: 0}[arguments[1]]
        elif function == "cuGetErrorString":
            arguments[1]._obj.value = b"no CUDA-capable device is detected" if arguments[0] == 100 else None


def test_a_gpu_is_described_by_what_its_driver_says() -> None:
    gpu = find_gpu(lambda name: FakeDriver() if name == "libcuda.so.1" else pytest.fail(name))

    assert gpu == Gpu("NVIDIA Fake 90", (9, 0), 80 << 30, (13, 1))
    assert str(gpu) == "NVIDIA Fake 90 (compute capability 9.0, 80 GiB, driver for CUDA 13.1)"


def test_without_a_driver_there_is_no_gpu() -> None:
    def load(name: str) -> ctypes.CDLL:
        raise OSError(f"{name}: cannot open shared object file")

    with pytest.raises(NoGpuError, match=r"no NVIDIA driver \(libcuda\.so\.1 is not there\)"):
        find_gpu(load)


@pytest.mark.parametrize(
    ("driver", "message"),
    [
        (FakeDriver(num_gpus=0), "CUDA_VISIBLE_DEVICES"),
        (FakeDriver(failing={"cuInit": 100}), r"cuInit says no CUDA-capable device is detected \(100\)"),
        (FakeDriver(failing={"cuInit": 999}), r"cuInit says error \(999\)"),
        (FakeDriver(failing={"cuDeviceTotalMem_v2": 100}), "cuDeviceTotalMem_v2 says"),
    ],
    ids=["none visible", "none there", "unknown status", "fails later"],
)
def test_a_driver_that_has_no_gpu_says_why(driver: FakeDriver, message: str) -> None:
    with pytest.raises(NoGpuError, match=message) as caught:
        find_gpu(lambda _name: driver)

    assert isinstance(caught.value, EngineUnavailableError)
