"""Networks from a TorchScript file that the user names."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinema_core.errors import InvalidInputError
from kinema_trainer.evaluation.photo_set import Rgb


def load_torchscript(path: Path, field: str, expected: str) -> Any:
    """Load a TorchScript network onto the CPU, for evaluation.

    Args:
        path: the file.
        field: what messages call it.
        expected: which file it should be, for messages.

    Raises:
        InvalidInputError: the file is no TorchScript archive.
    """
    try:
        with warnings.catch_warnings():
            # torch asks to move to torch.export. These files were published as TorchScript and exist as nothing else.
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]  # torch has no types here
    except (RuntimeError, ValueError, OSError) as err:
        raise InvalidInputError(
            field, f"{path} is not a TorchScript file ({_first_line(err)}); give {expected}"
        ) from err


def call_torchscript(network: Any, picture: Tensor, field: str, expected: str, **options: bool) -> Tensor:
    """Run the network on (1, 3, S, S).

    Raises:
        InvalidInputError: it is another network than expected: it does not take this, or gives no (1, D).
    """
    try:
        with torch.inference_mode():
            output = network(picture, **options)
    except RuntimeError as err:  # TorchScript knows no other
        raise InvalidInputError(
            field, f"the network does not take {options} ({_first_line(err)}); give {expected}"
        ) from err
    if not isinstance(output, Tensor) or output.ndim != 2 or output.shape[0] != 1:
        raise InvalidInputError(field, f"the network gives no vector for a picture; give {expected}")
    return output


def to_batch(rgb: Rgb) -> Tensor:
    """Return (S, S, 3) as (1, 3, S, S), uint8."""
    return torch.from_numpy(rgb).permute(2, 0, 1)[None].contiguous()


def describe_file(path: Path) -> str:
    """Return the file's name and SHA-256."""
    return f"{path.name}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _first_line(err: Exception) -> str:
    return next((line.strip() for line in str(err).splitlines() if line.strip()), type(err).__name__)
