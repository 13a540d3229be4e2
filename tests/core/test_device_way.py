"""A frame's way on a device gives what the CPU's gives, but for the last bits; torch on the CPU stands in for a GPU."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kinema_core.color import compose_chroma, halve_luma
from kinema_core.device import compose as device_compose
from kinema_core.device import sampling
from kinema_core.device import stabilizer as stabilizer_module
from kinema_core.device import way as way_module
from kinema_core.device.upsample import upsample_ab as upsample_on_device
from kinema_core.device.way import DeviceWay
from kinema_core.engines.retry import NUM_TRIES, RetryingEngine
from kinema_core.engines.torch_run import check_colour_on_device
from kinema_core.errors import EngineError, InvalidInputError
from kinema_core.frame_way import HOST, way_for, way_on
from kinema_core.frames import ColorFrame, ColorRange, ColorTags, Matrix, Plane
from kinema_core.pipeline import Colorizer, Options, colorize_frames
from kinema_core.steering.colour_statistics import ColourStatistics
from kinema_core.steering.grade import Grade
from kinema_core.upsample import upsample_ab
from tests.fakes import FAKE_MANIFEST, FakeEngine, random_luma
from tests.tensors import TensorEngine, moving_film, smooth_field

F32 = NDArray[np.float32]

TAGS = [
    ColorTags(),
    ColorTags(Matrix.BT601, ColorRange.FULL),
    ColorTags(bit_depth=10),
    ColorTags(Matrix.BT601, ColorRange.FULL, bit_depth=10),
]
WAY = DeviceWay("cpu")


def colorizers(height: int, width: int, tags: ColorTags, **options: Any) -> tuple[Colorizer, Colorizer]:
    """Return one that goes the CPU's way and one that goes the device's."""
    chosen = Options(**options)
    host = Colorizer(FAKE_MANIFEST, height=height, width=width, tags=tags, options=chosen)
    device = Colorizer(FAKE_MANIFEST, height=height, width=width, tags=tags, options=chosen, way=WAY)
    return host, device


def assert_near_codes(planes: Any, expected: Any) -> None:
    """Rounding may tip: of a thousand codes 999 are within 1, and none is more than 2 away (4 in 10 bit)."""
    difference = np.abs(np.asarray(planes, np.int64) - np.asarray(expected, np.int64))
    finest = 1 if np.asarray(expected).dtype == np.uint8 else 2
    assert np.percentile(difference, 99.9) <= finest
    assert difference.max() <= 2 * finest


def assert_near(frame: ColorFrame, expected: ColorFrame) -> None:
    assert frame.luma is expected.luma
    assert (frame.is_cut, frame.transition, frame.is_kept) == (expected.is_cut, expected.transition, expected.is_kept)
    assert frame.confidence == pytest.approx(expected.confidence, abs=1e-3)
    assert_near_codes([frame.cb, frame.cr], np.stack([expected.cb, expected.cr]))


@pytest.mark.parametrize("tags", TAGS, ids=str)
@pytest.mark.parametrize(("height", "width"), [(96, 128), (91, 133), (131, 137)])
def test_a_film_gets_the_colours_that_the_cpu_gives_it(tags: ColorTags, height: int, width: int) -> None:
    host, device = colorizers(height, width, tags)
    engine = TensorEngine()
    frames = list(moving_film(8, height, width, tags))

    results = [list(colorize_frames(frames, colorizer, engine)) for colorizer in (device, host)]

    for frame, expected in zip(*results, strict=True):
        assert_near(frame, expected)
    assert [frame.is_cut for frame in results[0]].count(True) == 2
    assert np.std([frame.cb for frame in results[0]]) > 3, "colours, not one grey that both could agree on"


@pytest.mark.parametrize(
    "options",
    [
        {"smoothing": 0.0},
        {"smoothing": 1.0, "saturation": 1.7},
        {"warmth": -0.6, "desaturate_blacks": 30.0, "desaturate_highlights": 80.0},
        {"reference": ColourStatistics(8, 20, 90, 110, -20)},
    ],
)
def test_what_a_user_chooses_is_done_there_too(options: dict[str, Any]) -> None:
    host, device = colorizers(96, 128, ColorTags(), **options)
    engine = TensorEngine()
    frames = list(moving_film(7, 96, 128, ColorTags()))

    results = [list(colorize_frames(frames, colorizer, engine)) for colorizer in (device, host)]

    for frame, expected in zip(*results, strict=True):
        assert_near(frame, expected)


def test_rgb_is_composed_of_what_comes_down() -> None:
    host, device = colorizers(96, 128, ColorTags())
    engine = TensorEngine()
    (frame,) = moving_film(1, 96, 128, ColorTags())

    rgbs = []
    for colorizer in (device, host):
        prepared = colorizer.prepare(frame)
        finished = colorizer.finish(prepared, colorizer.infer(engine, prepared))
        rgbs.append(colorizer.compose_rgb(prepared, finished).rgb)

    assert_near_codes(*rgbs)


def test_a_film_is_gone_on_with_here_or_on_the_cpu() -> None:
    engine, frames = TensorEngine(), list(moving_film(9, 96, 128, ColorTags()))
    begun, alone = (colorizers(96, 128, ColorTags())[1] for _ in range(2))
    for frame in colorize_frames(frames[:3], begun, engine):
        assert frame.pts < 3
    state = begun.export_state()

    rest = []
    for colorizer in reversed(colorizers(96, 128, ColorTags())):
        colorizer.import_state(state)
        rest.append(list(colorize_frames(frames[3:], colorizer, engine)))

    expected = list(colorize_frames(frames, alone, engine))[3:]
    for on_device, on_cpu, one in zip(*rest, expected, strict=True):
        np.testing.assert_array_equal(on_device.cb, one.cb)
        np.testing.assert_array_equal(on_device.cr, one.cr)
        assert_near(on_cpu, one)


def test_a_state_of_another_strength_is_refused() -> None:
    _, device = colorizers(96, 128, ColorTags(), smoothing=0.25)
    _, other = colorizers(96, 128, ColorTags())

    with pytest.raises(InvalidInputError, match="another strength"):
        other.import_state(device.export_state())


def test_frames_smaller_than_the_model_sees_go_by_the_cpu() -> None:
    host, device = colorizers(24, 20, ColorTags())
    frames = list(moving_film(3, 24, 20, ColorTags()))

    results = [list(colorize_frames(frames, colorizer, TensorEngine())) for colorizer in (device, host)]

    for frame, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(frame.cb, expected.cb)


def test_the_device_is_taken_where_the_engine_takes_tensors() -> None:
    retrying = RetryingEngine(TensorEngine(), TensorEngine)

    assert isinstance(way_for(TensorEngine()), DeviceWay)
    assert isinstance(way_for(retrying), DeviceWay)
    assert way_for(FakeEngine()) is HOST
    assert way_for(RetryingEngine(FakeEngine(), FakeEngine)) is HOST


def shifts_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way_module, "upsample_ab", lambda *given: upsample_on_device(*given) + 5)


def sees_another_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way_module, "lightness_of", lambda *given: device_compose.lightness_of(*given).flip(1))


def forgets_to_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stabilizer_module, "sample", lambda planes, _x, _y: planes.roll(7, 2))


def has_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(way_module, "compose_chroma", fail)


@pytest.mark.parametrize("spoil", [shifts_colours, sees_another_picture, forgets_to_move, has_no_memory])
def test_a_device_that_colours_otherwise_than_the_cpu_is_left_alone(
    spoil: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(monkeypatch)
    way_on.cache_clear()

    way = way_for(TensorEngine())

    way_on.cache_clear()
    assert way is HOST
    assert [record.getMessage() for record in caplog.records] == ["frames_not_kept_on_device"]


class WrongEngine(TensorEngine):
    """Gives `value` throughout."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def infer(self, lightness: F32) -> F32:
        return np.full_like(super().infer(lightness), self.value)


@pytest.mark.parametrize(("value", "reason"), [(np.nan, "no numbers"), (2000, "beyond 1000"), (0, "no colour at all")])
def test_what_is_no_colour_is_an_error_and_tried_again(value: float, reason: str) -> None:
    opened: list[WrongEngine] = []

    def reopen() -> WrongEngine:
        opened.append(WrongEngine(value))
        return opened[-1]

    first = WrongEngine(value)
    _, device = colorizers(96, 128, ColorTags())
    frames = list(moving_film(1, 96, 128, ColorTags()))

    with pytest.raises(EngineError, match=rf"{reason}.*after {NUM_TRIES} tries"):
        list(colorize_frames(frames, device, RetryingEngine(first, reopen)))

    assert (len(first.seen), len(opened)) == (NUM_TRIES - 1, 1)


def test_pictures_of_several_films_get_the_same_colours_together_and_keep_no_memory_of_each_other() -> None:
    engine = TensorEngine()
    pictures = [torch.rand(1, 1, 32, 40) * 100 for _ in range(3)]

    together = WAY.infer(engine, pictures)

    for ab, picture in zip(together, pictures, strict=True):
        torch.testing.assert_close(ab, WAY.infer(engine, [picture])[0], rtol=0, atol=0)
        assert ab.untyped_storage().nbytes() == ab.nbytes
    assert engine.num_on_device == [3, 1, 1, 1]


def test_one_picture_without_colour_among_others_is_an_error() -> None:
    lightness = torch.rand(3, 1, 32, 40) * 100
    ab = torch.ones(3, 2, 16, 20)
    check_colour_on_device(ab, lightness)
    ab[1] = 0

    with pytest.raises(EngineError, match="no colour at all"):
        check_colour_on_device(ab, lightness)

    lightness[1] = 50  # where nothing is to be seen there need be no colour
    check_colour_on_device(ab, lightness)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "no memory left.*--working-size"),
        (RuntimeError("CUDA error: unspecified launch failure"), "failed on the GPU: CUDA error"),
    ],
    ids=["memory", "anything else"],
)
@pytest.mark.parametrize("step", ["resize_area", "upsample_ab", "compose_chroma"])
def test_a_device_that_fails_is_an_engine_that_failed(
    step: str, failure: Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise failure

    _, device = colorizers(96, 128, ColorTags())
    monkeypatch.setattr(way_module, step, fail)

    with pytest.raises(EngineError, match=told):
        list(colorize_frames(moving_film(2, 96, 128), device, TensorEngine()))


@pytest.mark.parametrize("tags", TAGS, ids=str)
def test_chroma_is_composed_as_on_the_cpu_out_of_gamut_too(tags: ColorTags) -> None:
    luma = random_luma(64, 96, tags, 3)
    ab = np.stack([smooth_field(64, 96, seed, 150) for seed in (4, 5)])

    planes = device_compose.compose_chroma(torch.from_numpy(luma.astype(np.int32)), torch.from_numpy(ab), tags)

    expected = compose_chroma(luma, np.ascontiguousarray(ab.transpose(1, 2, 0)), tags)
    difference = np.abs(planes.numpy().astype(np.int64) - np.stack(expected).astype(np.int64))
    # Noise for luma and hues at which the gamut's edge jumps: what cv2 rounds to 32nds of a node shows most here.
    assert np.percentile(difference, 99) <= (1 if tags.bit_depth == 8 else 2)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (63, 97)])
@pytest.mark.parametrize("tags", TAGS[1:3], ids=str)
def test_steps_give_what_opencv_gives(tags: ColorTags, height: int, width: int) -> None:
    luma: Plane = random_luma(height, width, tags, 1)
    codes = torch.from_numpy(luma.astype(np.int32))
    floats: Any = luma.astype(np.float32)
    ab = np.stack([smooth_field(17, 25, seed, 40) for seed in (4, 5)])
    luma_half = halve_luma(luma)
    half = sampling.halve(codes)
    grade = Grade(0.5, 20, 80)

    small = sampling.resize_area(codes.float(), (20, 28)).numpy()
    upsampled = upsample_on_device(torch.from_numpy(ab), half, tags)
    graded = device_compose.apply_grade(grade, upsampled, half, tags)

    np.testing.assert_array_equal(half.numpy(), luma_half)
    np.testing.assert_allclose(small, cv2.resize(floats, (28, 20), interpolation=cv2.INTER_AREA), rtol=0, atol=1e-3)
    expected = upsample_ab(np.ascontiguousarray(ab.transpose(1, 2, 0)), luma_half, tags)
    np.testing.assert_allclose(upsampled.permute(1, 2, 0).numpy(), expected, rtol=0, atol=0.01)
    np.testing.assert_allclose(
        graded.permute(1, 2, 0).numpy(), grade.apply(expected, luma_half, tags), rtol=0, atol=0.01
    )


def test_places_are_read_as_opencv_reads_them() -> None:
    plane = smooth_field(20, 30, 1, 50)
    rng = np.random.default_rng(2)
    x, y = (rng.uniform(-4, side + 4, (15, 18)).astype(np.float32) for side in (30, 20))

    (sampled,) = sampling.sample(torch.from_numpy(plane)[None], torch.from_numpy(x), torch.from_numpy(y))
    looked_up = sampling.look_up(torch.from_numpy(plane)[..., None], torch.from_numpy(x), torch.from_numpy(y))

    expected = cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    steepest = max(float(np.abs(np.diff(plane, axis=axis)).max()) for axis in (0, 1))
    for values in (sampled, looked_up[..., 0]):
        # cv2 rounds a place to the nearest 32nd in both directions.
        np.testing.assert_allclose(values.numpy(), expected, rtol=0, atol=2 * steepest / 64 + 1e-3)
