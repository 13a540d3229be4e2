"""TensorRT on PyTorch's tensors: what lies on the GPU stays there, if PyTorch is installed beside it."""

from typing import TYPE_CHECKING

from kinema_core.bundle import Manifest
from kinema_core.engines.serial import SerialEngine
from kinema_core.engines.tensorrt_model import TensorRtModel
from kinema_core.engines.tensors import Tensors
from kinema_core.errors import EngineError

if TYPE_CHECKING:
    import torch


class TensorRtEngine(SerialEngine):
    """An `Engine` that takes and gives tensors of its own GPU as well, where PyTorch has any there."""

    def __init__(
        self, model: TensorRtModel, manifest: Manifest, *, name: str, precision: str, tensors: Tensors | None
    ) -> None:
        device = tensors.device if tensors else "cuda"
        super().__init__(model, manifest, name=name, precision=precision, device=device)
        self.takes_tensors = tensors is not None
        self._tensors = tensors
        self._on_device = model

    def infer_on_device(self, lightness: "torch.Tensor") -> "torch.Tensor":
        """Predict ab from L*, as `TensorTaker` says."""
        import torch

        from kinema_core.engines.torch_run import check_colour_on_device

        assert self._tensors is not None, "it takes no tensors"
        given = lightness.contiguous()
        num, _, height, width = given.shape
        with self._lock:
            if self._model is None:
                raise EngineError("the engine is closed")
            stride = self._manifest.output_stride
            ab = torch.empty((num, 2, height // stride, width // stride), dtype=torch.float32, device=given.device)
            queue = self._tensors.queue()
            self._on_device.run_on_device(given.data_ptr(), ab.data_ptr(), (num, 1, height, width), queue)
        check_colour_on_device(ab, given)
        return ab
