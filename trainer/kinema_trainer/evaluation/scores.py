"""What each score is called and which way is better, and which baseline is the one to beat."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from kinema_trainer.evaluation.methods import GREY, MEAN_AB


@dataclass(frozen=True, slots=True)
class ScoreLabel:
    """A row of the tables."""

    key: str
    label: str
    better: Literal["higher", "lower", ""]
    """Empty: neither; it is to be read beside the truth."""
    digits: int = 3


SCORES: Final = (
    ScoreLabel("psnr", "PSNR, dB", "higher", 2),
    ScoreLabel("ssim", "SSIM", "higher", 4),
    ScoreLabel("delta_e", "ΔE00", "lower", 2),
    ScoreLabel("ab_psnr", "ab-PSNR, dB", "higher", 2),
    ScoreLabel("lpips", "LPIPS (VGG)", "lower", 4),
    ScoreLabel("colourfulness", "CF", "", 2),
    ScoreLabel("truth_colourfulness", "CF of the truth", "", 2),
    ScoreLabel("delta_colourfulness", "ΔCF", "lower", 2),
    ScoreLabel("colourfulness_ratio", "CF ÷ truth's", "", 3),
    ScoreLabel("a_error", "a error", "", 2),
    ScoreLabel("b_error", "b error", "", 2),
    ScoreLabel("lite0_frechet", "paired Fréchet, Lite0", "lower", 2),
    ScoreLabel("fid", "FID", "lower", 2),
    ScoreLabel("inception_score", "Inception score", "higher", 3),
    ScoreLabel("inception_score_std", "… its deviation over splits", "", 3),
)


def better_baseline(methods: Mapping[str, Mapping[str, float]], score: ScoreLabel) -> str | None:
    """Return the baseline with the better mean, or None where neither way is better or there is no baseline."""
    found = {name: methods[name][score.key] for name in (GREY, MEAN_AB) if score.key in methods.get(name, {})}
    if not score.better or not found:
        return None
    return (max if score.better == "higher" else min)(found, key=found.__getitem__)


def verdict(score: ScoreLabel, low: float, high: float) -> Literal["better", "worse", "undecided"]:
    """Say what an interval (low, high) of a difference means; one that holds 0, or no number, decides nothing."""
    if not (low > 0 or high < 0):
        return "undecided"
    return "better" if (low > 0) == (score.better == "higher") else "worse"
