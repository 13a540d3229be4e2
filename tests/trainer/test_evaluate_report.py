"""The HTML report, its charts and its histograms, and the JSON."""

import base64
import dataclasses
import json
import math
import re

import cv2
import numpy as np
import pytest

from kinema_core.color import rgb_to_lab
from kinema_trainer.evaluation.ab_histogram import BIN, LIMIT, NUM_BINS, AbHistograms, count_ab
from kinema_trainer.evaluation.charts import Axis, pareto_chart
from kinema_trainer.evaluation.evaluate import MODEL, Evaluation, evaluate_photos
from kinema_trainer.evaluation.figures import picture_address, view_histogram
from kinema_trainer.evaluation.json_file import evaluation_to_json
from kinema_trainer.evaluation.methods import GREY, BundleModel
from kinema_trainer.evaluation.photo_set import PhotoSet
from kinema_trainer.evaluation.report import render_report
from kinema_trainer.evaluation.scores import SCORES
from tests.trainer.evaluations import baselines, make_photo_set, painting_model, small_evaluation
from tests.trainer.photos import make_photo


def evaluate_with_report(photos: PhotoSet, gains: tuple[float, ...] = (0.5, 1.5)) -> tuple[Evaluation, str]:
    model, histograms = painting_model(8, 16), AbHistograms()
    evaluation = evaluate_photos(photos, model, baselines(photos), gains=gains, scorers=[histograms], num_resamples=100)
    return evaluation, render_report(evaluation, photos, [model], histograms)


def test_a_report_asks_for_nothing_from_outside() -> None:
    _, html = evaluate_with_report(make_photo_set(3))

    addresses = re.findall(r"(?:src|href)\s*=\s*\"([^\"]*)\"", html)
    assert addresses
    assert all(address.startswith("data:image/") for address in addresses)
    assert not re.search(r"https?:|<script|<link|@import|url\(", html)


def test_a_report_tells_what_was_scored_by_what_and_what_was_left_out() -> None:
    photos = dataclasses.replace(make_photo_set(3), skipped={"torn.jpg": "it is damaged"})

    evaluation, html = evaluate_with_report(photos)

    for told in ("fake 1.2.3", evaluation.model_digest, "3 photographs", "torn.jpg: it is damaged", "PSNR", "ΔE00"):
        assert told in html


def test_names_cannot_carry_markup_into_a_report() -> None:
    photos = dataclasses.replace(make_photo_set(1), source="<b>x</b>", skipped={"<script>a": "<i>"})

    _, html = evaluate_with_report(photos)

    assert "<script>" not in html
    assert "<b>x" not in html


def test_the_worst_photograph_comes_before_the_best_and_none_twice() -> None:
    photos = make_photo_set(7)

    evaluation, html = evaluate_with_report(photos)

    by_error = sorted(evaluation.each[MODEL], key=lambda name: evaluation.each[MODEL][name]["delta_e"])
    shown = re.findall(r"<figcaption>([^<]*)<br>", html)
    assert shown[0] == by_error[-1]
    assert shown[-1] == by_error[1]  # the best two, the very best first
    assert len(shown) == len(set(shown)) == 6


@pytest.mark.parametrize("count", [1, 2])
def test_a_report_of_very_few_photographs_shows_them(count: int) -> None:
    _, html = evaluate_with_report(make_photo_set(count), gains=())

    assert html.count("<figcaption>") == count


def test_the_chart_has_every_method_and_gain_in_its_frame() -> None:
    evaluation, _ = evaluate_with_report(make_photo_set(3))

    chart = pareto_chart(evaluation, SCORES[0])

    assert chart
    assert [one.name for one in chart.series] == list(evaluation.methods)
    assert [point.gain for point in chart.series[0].sweep] == ["0.5", "1.5"]
    for point in (point for one in chart.series for point in (one.point, *one.sweep)):
        assert chart.x.start < point.x < chart.x.end
        assert chart.y.end < point.y < chart.y.start  # SVG counts downwards


def test_more_psnr_stands_higher_and_more_colour_further_right() -> None:
    evaluation, _ = evaluate_with_report(make_photo_set(3))

    chart = pareto_chart(evaluation, SCORES[0])

    assert chart
    model, grey = chart.series[0].point, chart.series[1].point
    assert model.x > grey.x
    is_better = evaluation.methods[MODEL]["psnr"] > evaluation.methods[GREY]["psnr"]
    assert (model.y < grey.y) == is_better


def test_a_chart_of_infinite_scores_only_is_left_out() -> None:
    evaluation = small_evaluation(make_photo_set(2), painting_model(0, 0))
    endless = {name: {**means, "psnr": math.inf} for name, means in evaluation.methods.items()}

    assert pareto_chart(dataclasses.replace(evaluation, methods=endless), SCORES[0]) is None


def test_an_axis_maps_its_ends_to_its_ends() -> None:
    axis = Axis("PSNR", 20, 30, 300, 10)

    assert (axis.at(20), axis.at(30), axis.at(25)) == (300, 10, 155)


def test_a_histogram_counts_every_pixel_in_the_bin_of_its_ab() -> None:
    colour = np.full((6, 5, 3), (200, 80, 40), np.uint8)

    counts = count_ab(colour)

    a, b = rgb_to_lab(colour)[0, 0, 1:]
    assert counts[int((b + LIMIT) // BIN), int((a + LIMIT) // BIN)] == 30
    assert counts.sum() == 30


def test_histograms_count_the_truth_once_however_many_methods_there_are() -> None:
    truth, histograms = make_photo(0, 32, 32), AbHistograms()

    for method in ("one", "other"):
        histograms.add(method, truth.copy(), truth)

    np.testing.assert_array_equal(histograms.truth, count_ab(truth))
    np.testing.assert_array_equal(histograms.by_method["other"], count_ab(truth))


def test_the_drawn_plane_has_b_upwards_and_is_clear_where_no_pixel_is() -> None:
    counts = np.zeros((NUM_BINS, NUM_BINS), np.int64)
    counts[-3, 5] = 10  # far up b, to the left of a

    view = view_histogram("truth", counts)

    drawn = decode(view.plane)
    assert drawn.shape == (NUM_BINS, NUM_BINS, 4)
    assert np.argwhere(drawn[..., 3]).tolist() == [[2, 5]]
    assert view.a_outline.count("H") == NUM_BINS


def test_a_picture_in_a_report_is_the_picture() -> None:
    photo = make_photo(1, 64, 64)

    shown = decode(picture_address(photo))[..., ::-1]

    assert np.abs(shown.astype(int) - photo).mean() < 2  # JPEG of quality 90 on smooth patches


def decode(address: str) -> np.ndarray:
    data = base64.b64decode(address.partition(",")[2])
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))


def test_the_json_holds_everything_by_name() -> None:
    photos, model = make_photo_set(2), painting_model(8, 16)
    evaluation = small_evaluation(photos, model, gains=(0.5,))

    read = json.loads(evaluation_to_json(evaluation))

    assert read.keys() == {field.name for field in dataclasses.fields(Evaluation)}
    assert read["methods"] == evaluation.methods
    assert read["onnx_digest"] == model_digest(model)
    assert read["intervals"][MODEL]["psnr"].keys() == {"low", "high"}
    assert read["differences"][GREY]["psnr"].keys() == {"mean", "low", "high"}
    assert read["gains"][MODEL][0]["gain"] == 0.5
    assert read["each"][GREY].keys() == photos.truths.keys()


def model_digest(model: BundleModel) -> str:
    return model.onnx_digest


def test_what_is_infinite_is_null_in_json() -> None:
    evaluation = small_evaluation(make_photo_set(1), painting_model(0, 0))
    endless = dataclasses.replace(evaluation, methods={MODEL: {"psnr": math.inf, "ssim": 1.0}})

    text = evaluation_to_json(endless)

    assert json.loads(text)["methods"] == {MODEL: {"psnr": None, "ssim": 1.0}}
    assert "Infinity" not in text
