"""What a palette is: five numbers, as they go over the wire. Imports nothing that takes time."""

import math
from dataclasses import dataclass
from typing import Final

from kinema_core.errors import InvalidInputError

MAX_AB: Final = 128.0


@dataclass(frozen=True, slots=True)
class ColourStatistics:
    """Mean and covariance of ab over a picture, Lab units."""

    mean_a: float
    mean_b: float
    variance_a: float
    variance_b: float
    covariance: float

    def __post_init__(self) -> None:
        for name, value in (("mean_a", self.mean_a), ("mean_b", self.mean_b)):
            if not abs(value) <= MAX_AB:  # NaN fails too
                raise InvalidInputError(f"reference.{name}", f"must be -{MAX_AB:g} to {MAX_AB:g}, got {value}")
        for name, value in (("variance_a", self.variance_a), ("variance_b", self.variance_b)):
            if not 0 <= value <= MAX_AB**2:
                raise InvalidInputError(f"reference.{name}", f"must be 0 to {MAX_AB**2:g}, got {value}")
        limit = math.sqrt(self.variance_a * self.variance_b) * (1 + 1e-5) + 1e-5  # rounding to float32 on a wire
        if not abs(self.covariance) <= limit:
            raise InvalidInputError("reference.covariance", f"must be -{limit:g} to {limit:g}, got {self.covariance}")
