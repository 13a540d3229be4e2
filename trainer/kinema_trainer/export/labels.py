"""What a bundle says of itself that no file knows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """For the manifest and the card."""

    name: str = "default"
    """What clients ask for."""
    version: str = "1"
    data: str = ""
    """What it was trained on, in a sentence."""
    licence: str = "Apache-2.0"
    """SPDX expression for the weights."""
    timing: str = ""
    """How long a frame takes and on what, in a sentence."""
    training: str = ""
    """The command that trained it, on what machine, how long and with how much energy, in a sentence."""
    failures: str = ""
    """What it is known to get wrong, in Markdown."""
    working_size: int = 256
    """The model is at its best on pictures of about this many pixels squared."""
