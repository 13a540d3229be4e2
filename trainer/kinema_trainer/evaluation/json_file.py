"""An evaluation as JSON: the fields of `Evaluation`, by their names."""

import dataclasses
import json
import math
from typing import Any

from kinema_trainer.evaluation.evaluate import Evaluation


def evaluation_to_json(evaluation: Evaluation) -> str:
    """Return the evaluation as JSON text; what is infinite, or no number (infinity less infinity), is null."""
    return json.dumps(_finite(dataclasses.asdict(evaluation)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
