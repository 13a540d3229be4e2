"""The scores of one method, photograph by photograph, and what they come to."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from kinema_core.quality.scores import PhotoScores, set_scores
from kinema_trainer.evaluation.bootstrap import F64, set_level


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Scores by photograph, in the order in which they were added."""

    photos: dict[str, PhotoScores] = field(default_factory=dict)
    further: dict[str, dict[str, float]] = field(default_factory=dict)
    """Learned scores of single pictures, by photograph."""

    def add(self, name: str, scores: PhotoScores, further: Mapping[str, float]) -> None:
        """Note one photograph."""
        self.photos[name] = scores
        self.further[name] = dict(further)

    def each(self) -> dict[str, dict[str, float]]:
        """Return [photograph][score]."""
        return {name: {**dataclasses.asdict(scores), **self.further[name]} for name, scores in self.photos.items()}

    def columns(self) -> dict[str, F64]:
        """Return [score], (num_photos,)."""
        rows = list(self.each().values())
        return {score: np.array([row[score] for row in rows], np.float64) for score in rows[0]}

    def means(self) -> dict[str, float]:
        """Return [score], averaged over the photographs, with what is known of the set only."""
        means: dict[str, float] = dataclasses.asdict(set_scores(list(self.photos.values())))
        further = {k: float(v.mean()) for k, v in self.columns().items() if k not in means}
        return {**means, **further, **set_level(means)}
