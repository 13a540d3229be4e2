"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

EngineName = Literal[
    "auto", "tensorrt", "tensorrt-rtx", "onnxruntime-cuda", "torch-cuda", "openvino", "onnxruntime", "torch"
]  # fmt: skip
Precision = Literal["f32", "f16", "bf16", "int8"]
Codec = Literal["h264", "hevc", "av1", "ffv1", "prores"]
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]
DeinterlaceMode = Literal["auto", "on", "off"]

MODEL_VARIABLE = "KINEMA_MODEL"
BundleOption = Annotated[
    Path | None, typer.Option(envvar=MODEL_VARIABLE, help="Folder of a model bundle; the one that ships if absent.")
]
