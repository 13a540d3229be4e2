"""Scoring a model and its baselines on photographs."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from kinema_core.color import rgb_to_grey
from kinema_core.errors import InvalidInputError
from kinema_core.pipeline import colorize_photo
from kinema_core.quality.scores import PhotoScores, photo_scores, set_scores
from kinema_trainer.evaluation.evaluate import MODEL, evaluate_photos
from kinema_trainer.evaluation.methods import GREY, MEAN_AB, BundleModel, paint
from kinema_trainer.evaluation.photo_set import PhotoSet, Rgb, read_photo_set
from kinema_trainer.evaluation.scores import SCORES, better_baseline, verdict
from tests.fakes import FAKE_BUNDLE, FakeEngine
from tests.trainer.evaluations import PaintingEngine, baselines, make_photo_set, painting_model, small_evaluation
from tests.trainer.photos import make_photo, write_photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    return write_photos(photos, 4)


@pytest.fixture(scope="module")
def photos() -> PhotoSet:
    return make_photo_set(4)


def test_a_model_that_says_grey_scores_as_the_grey_baseline(photos: PhotoSet) -> None:
    result = small_evaluation(photos, painting_model(0, 0))

    assert result.num_photos == 4
    assert result.methods[MODEL] == result.methods[GREY]
    assert {d.mean for d in result.differences[GREY].values()} == {0}


def test_the_mean_ab_baseline_has_the_better_ab_psnr_and_no_cast(photos: PhotoSet) -> None:
    methods = small_evaluation(photos, painting_model(0, 0)).methods

    assert methods[MEAN_AB]["ab_psnr"] > methods[GREY]["ab_psnr"]
    assert abs(methods[MEAN_AB]["a_error"]) < abs(methods[GREY]["a_error"]) + 1


def test_a_model_goes_the_way_of_a_photograph_through_kinema() -> None:
    """What is scored is what `kinema colorize` would write, bit for bit."""
    photo = make_photo(5)
    model = BundleModel(MODEL, FAKE_BUNDLE, FakeEngine())

    grey = rgb_to_grey(photo)
    picture = paint(grey, model.predict_ab(grey))

    np.testing.assert_array_equal(picture, colorize_photo(photo, FakeEngine(), FAKE_BUNDLE.manifest))


def test_the_truth_is_never_what_the_model_sees() -> None:
    """Two photographs of one lightness and other colours are coloured alike."""
    green, red = (np.full((32, 32, 3), colour, np.uint8) for colour in ((98, 127, 98), (174, 98, 98)))
    photos = PhotoSet("pair", 32, {"green": green, "red": red}, {})

    each = small_evaluation(photos, painting_model(10, 20)).each[MODEL]

    assert each["green"]["colourfulness"] == pytest.approx(each["red"]["colourfulness"], rel=0.03)
    assert each["green"]["truth_colourfulness"] < each["red"]["truth_colourfulness"]


def test_the_scores_of_a_set_are_those_of_core(photos: PhotoSet) -> None:
    result = small_evaluation(photos, painting_model(10, 20))

    each = [PhotoScores(**scores) for scores in result.each[MODEL].values()]
    expected = dataclasses.asdict(set_scores(each))
    assert {score: result.methods[MODEL][score] for score in expected} == expected
    ratio = expected["colourfulness"] / expected["truth_colourfulness"]
    assert result.methods[MODEL]["colourfulness_ratio"] == ratio


def test_a_gain_of_one_changes_nothing_and_more_gain_means_more_colour(photos: PhotoSet) -> None:
    result = small_evaluation(photos, painting_model(6, 8), gains=(1.5, 0.5, 1.0))

    sweep = result.gains[MODEL]
    assert [point.gain for point in sweep] == [0.5, 1.0, 1.5]
    assert sweep[1].scores == result.methods[MODEL]
    assert sweep[1].intervals == result.intervals[MODEL]
    assert sweep[0].scores["colourfulness"] < sweep[1].scores["colourfulness"] < sweep[2].scores["colourfulness"]


def test_a_gain_is_a_factor_on_ab(photos: PhotoSet) -> None:
    doubled = small_evaluation(photos, painting_model(3, 4), gains=(2.0,)).gains[MODEL][0].scores

    assert doubled == small_evaluation(photos, painting_model(6, 8)).methods[MODEL]


def test_a_sweep_runs_the_model_once_a_photograph_and_leaves_the_baselines_out(photos: PhotoSet) -> None:
    engine = PaintingEngine(3, 4)

    result = small_evaluation(photos, BundleModel(MODEL, FAKE_BUNDLE, engine), gains=(0.5, 0.8))

    assert len(engine.seen) == len(photos.truths)
    assert set(result.gains) == {MODEL}


@pytest.mark.parametrize("gain", [0.0, -1.0, 2.5, float("nan")])
def test_a_gain_out_of_range_is_refused(photos: PhotoSet, gain: float) -> None:
    with pytest.raises(InvalidInputError, match="gains: must be above 0 and at most 2"):
        small_evaluation(photos, painting_model(0, 0), gains=(gain,))


def test_two_methods_of_one_name_are_refused(photos: PhotoSet) -> None:
    others = [painting_model(1, 1, "twin"), painting_model(2, 2, "twin")]

    with pytest.raises(InvalidInputError, match="twin stands twice"):
        evaluate_photos(photos, painting_model(0, 0), others)


def test_the_better_of_two_models_is_better_in_the_paired_difference(photos: PhotoSet) -> None:
    near = painting_model(*photos.mean_ab())
    far = painting_model(-60, -60, "far")

    result = evaluate_photos(photos, near, [far], num_resamples=200)

    psnr = result.differences["far"]["psnr"]
    assert psnr.mean == pytest.approx(result.methods[MODEL]["psnr"] - result.methods["far"]["psnr"])
    assert 0 < psnr.low <= psnr.mean <= psnr.high


class CountingScorer:
    """Gives each picture its turn, and each set its size."""

    description = "turns"

    def __init__(self) -> None:
        self.turns: dict[str, int] = {}

    def add(self, method: str, picture: Rgb, truth: Rgb) -> Mapping[str, float]:
        assert picture.shape == truth.shape
        self.turns[method] = self.turns.get(method, 0) + 1
        return {"turn": float(self.turns[method])}

    def finish(self) -> Mapping[str, Mapping[str, float]]:
        return {method: {"size": float(turns)} for method, turns in self.turns.items()}


def test_a_scorer_sees_every_picture_and_its_scores_stand_beside_the_others(photos: PhotoSet) -> None:
    result = evaluate_photos(photos, painting_model(0, 0), baselines(photos), scorers=[CountingScorer()])

    assert [scores["turn"] for scores in result.each[GREY].values()] == [1, 2, 3, 4]
    assert result.methods[MODEL]["turn"] == 2.5
    assert result.methods[MODEL]["size"] == 4
    assert "turn" in result.intervals[MODEL]
    assert "size" not in result.intervals[MODEL]
    assert result.scorers == ["turns"]


def test_what_is_told_while_it_runs_ends_with_all(photos: PhotoSet) -> None:
    told: list[tuple[int, int]] = []

    evaluate_photos(photos, painting_model(0, 0), [], on_photo=lambda done, total: told.append((done, total)))

    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_photographs_that_cannot_be_read_or_have_no_colour_are_named_and_not_scored(folder: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"not a picture")
    (folder / "grey.png").write_bytes(cv2.imencode(".png", np.full((64, 64, 3), 119, np.uint8))[1].tobytes())

    photos = read_photo_set(folder, size=64)

    assert set(photos.skipped) == {"broken.jpg", "grey.png"}
    assert "no colour" in photos.skipped["grey.png"]
    assert len(photos.truths) == 4


def test_a_limit_takes_that_many_evenly(folder: Path) -> None:
    assert list(read_photo_set(folder, size=64, limit=2).truths) == ["0.jpg", "2.jpg"]


def test_photographs_are_their_central_squares_at_the_size_asked_for(folder: Path) -> None:
    photos = read_photo_set(folder, size=48)

    assert {truth.shape for truth in photos.truths.values()} == {(48, 48, 3)}


def test_no_readable_photograph_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")

    with pytest.raises(InvalidInputError, match=r"not one readable colour photograph .* broken\.jpg"):
        read_photo_set(tmp_path)


def test_the_better_baseline_is_chosen_score_by_score() -> None:
    by_key = {score.key: score for score in SCORES}
    methods = {GREY: {"psnr": 20.0, "delta_e": 9.0, "a_error": 1.0}, MEAN_AB: {"psnr": 21.0, "delta_e": 9.5}}

    assert better_baseline(methods, by_key["psnr"]) == MEAN_AB
    assert better_baseline(methods, by_key["delta_e"]) == GREY
    assert better_baseline(methods, by_key["a_error"]) is None
    assert better_baseline({}, by_key["psnr"]) is None


@pytest.mark.parametrize(
    ("key", "low", "high", "expected"),
    [
        ("psnr", 0.1, 0.4, "better"),
        ("psnr", -0.4, -0.1, "worse"),
        ("psnr", -0.1, 0.4, "undecided"),
        ("delta_e", -0.4, -0.1, "better"),
        ("delta_e", 0.1, 0.4, "worse"),
        ("psnr", float("nan"), float("nan"), "undecided"),
    ],
)
def test_an_interval_without_zero_decides(key: str, low: float, high: float, expected: str) -> None:
    score = next(score for score in SCORES if score.key == key)

    assert verdict(score, low, high) == expected


def test_every_score_of_a_photograph_has_a_row(photos: PhotoSet) -> None:
    truth = next(iter(photos.truths.values()))

    scores = dataclasses.asdict(photo_scores(truth, truth))

    assert scores.keys() <= {score.key for score in SCORES}
