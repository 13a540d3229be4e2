"""What a report tells beside what was noted of the frames."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Job:
    """One film's work; texts by what they are, in the order in which they are shown."""

    name: str
    """What the film is called."""
    source: Mapping[str, str]
    target: Mapping[str, str]
    made_with: Mapping[str, str]
    """Model, engine and options."""
    finished: datetime = field(default_factory=lambda: datetime.now(UTC))
