"""What holds for every message: a good one means what the client meant, a bad one is refused and does no harm."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kinema_client.convert
from kinema.v1 import colorizer_pb2 as pb
from kinema_client.choices import Choices
from kinema_client.errors import ProtocolError
from kinema_core.errors import InvalidInputError
from kinema_core.frames import ColorRange, ColorTags, LumaFrame, Matrix, chroma_shape
from kinema_core.pipeline import Options
from kinema_core.steering.colour_statistics import ColourStatistics
from kinema_server.convert import frame_from_proto, photo_from_proto, spec_from_proto
from kinema_server.stream import OutputForm, PixelFormat, StreamSpec
from tests.fakes import random_film, random_luma

MAX_PIXELS = 10_000

tags = st.builds(ColorTags, st.sampled_from(Matrix), st.sampled_from(ColorRange), st.sampled_from([8, 10]))
time_bases = st.builds(Fraction, st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))


@st.composite
def luma_frames(draw: st.DrawFn) -> LumaFrame:
    frame_tags = draw(tags)
    luma = random_luma(draw(st.integers(1, 40)), draw(st.integers(1, 40)), frame_tags, draw(st.integers(0, 99)))
    pts = draw(st.integers(-(2**63), 2**63 - 1))
    is_cut = draw(st.sampled_from([None, False, True]))
    return LumaFrame(luma, pts, draw(time_bases), frame_tags, is_cut)


def over_the_wire(message: pb.ColorizeFramesRequest) -> pb.ColorizeFramesRequest:
    return pb.ColorizeFramesRequest.FromString(message.SerializeToString())


@given(luma_frames(), st.integers(0, 2**64 - 1))
def test_a_frame_arrives_as_it_was_sent(frame: LumaFrame, seq: int) -> None:
    config = over_the_wire(kinema_client.convert.config_to_proto(frame, kinema_client.convert.CHROMA, {})).config
    spec = spec_from_proto(config, max_pixels=MAX_PIXELS)

    received = frame_from_proto(over_the_wire(kinema_client.convert.frame_to_proto(seq, frame, {})).frame, spec)

    np.testing.assert_array_equal(received.picture, frame.luma)
    assert received.picture.dtype == frame.luma.dtype
    assert (received.seq, received.pts, received.is_cut) == (seq, frame.pts, frame.is_cut)


@st.composite
def statistics(draw: st.DrawFn) -> ColourStatistics:
    mean_a, mean_b = (draw(st.floats(-128, 128, width=32)) for _ in range(2))
    variance_a, variance_b = (draw(st.floats(0, 1024, width=32)) for _ in range(2))
    share = draw(st.floats(-1, 1))
    return ColourStatistics(
        mean_a, mean_b, variance_a, variance_b, float(np.float32(share * math.sqrt(variance_a * variance_b)))
    )


steerings = st.fixed_dictionaries(
    {
        "warmth": st.floats(-1, 1, width=32),
        "desaturate_blacks": st.floats(0, 50, width=32),
        "desaturate_highlights": st.floats(50, 100, width=32),
        "reference": st.none() | statistics(),
        "keep_colour": st.booleans(),
    }
)


@given(luma_frames(), steerings)
def test_steering_arrives_as_it_was_meant(frame: LumaFrame, steering: dict[str, Any]) -> None:
    height, width = chroma_shape(*frame.luma.shape)
    chroma = (random_luma(height, width, frame.tags, 1), random_luma(height, width, frame.tags, 2))
    frame = replace(frame, chroma=chroma)
    choices = Choices(**steering)  # type: ignore[typeddict-item]  # by name

    config = over_the_wire(kinema_client.convert.config_to_proto(frame, kinema_client.convert.CHROMA, choices)).config
    spec = spec_from_proto(config, max_pixels=MAX_PIXELS)
    sent = over_the_wire(kinema_client.convert.frame_to_proto(3, frame, choices)).frame
    received = frame_from_proto(sent, spec)

    assert spec.options == Options(**steering)
    assert config.HasField("steering") == (spec.options != Options())
    np.testing.assert_array_equal(received.picture, frame.luma)
    if steering["keep_colour"]:
        assert received.chroma is not None
        for there, here in zip(received.chroma, chroma, strict=True):
            np.testing.assert_array_equal(there, here)
    else:
        assert received.chroma is None
        assert len(sent.planes) == 1


def test_colour_that_is_to_be_kept_must_be_there() -> None:
    (frame,) = random_film(1)

    with pytest.raises(InvalidInputError, match="keep_colour: needs frames with their own chroma"):
        kinema_client.convert.config_to_proto(frame, kinema_client.convert.CHROMA, {"keep_colour": True})


def test_a_server_that_knows_no_steering_is_not_mistaken_for_one_that_does() -> None:
    asked = pb.StreamConfig(steering=pb.Steering(warmth=1))

    with pytest.raises(ProtocolError, match="too old for warmth"):
        kinema_client.convert.accepted_from_proto(pb.StreamAccepted(credits=1), asked)


@given(
    luma_frames(),
    st.floats(0, 1, width=32),
    st.floats(0, 2, width=32),
    st.sampled_from([0, 64, 1024]),
    st.text(max_size=9),
)
def test_a_config_arrives_as_it_was_meant(
    frame: LumaFrame, smoothing: float, saturation: float, working_size: int, model: str
) -> None:
    message = kinema_client.convert.config_to_proto(
        frame,
        kinema_client.convert.RGB,
        {"smoothing": smoothing, "saturation": saturation, "working_size": working_size, "model": model},
    )

    spec = spec_from_proto(over_the_wire(message).config, max_pixels=MAX_PIXELS)

    height, width = frame.luma.shape
    assert spec == StreamSpec(
        height=height,
        width=width,
        pixel_format=PixelFormat.GRAY8 if frame.tags.bit_depth == 8 else PixelFormat.GRAY10LE,
        tags=frame.tags,
        time_base=frame.time_base,
        model=model,
        output_form=OutputForm.RGB24,
        options=Options(smoothing=smoothing, saturation=saturation, working_size=working_size),
    )


sides = st.one_of(st.integers(0, 130), st.integers(0, 2**32 - 1))
enums = st.one_of(st.integers(0, 7), st.integers(-(2**31), 2**31 - 1))
floats = st.one_of(st.none(), st.floats(width=32))
numbers = st.floats(width=32)
wire_steerings = st.none() | st.builds(
    pb.Steering,
    warmth=numbers,
    desaturate_blacks=numbers,
    desaturate_highlights=floats,
    keep_colour=st.booleans(),
    reference=st.none()
    | st.builds(
        pb.ColourStatistics,
        mean_a=numbers,
        mean_b=numbers,
        variance_a=numbers,
        variance_b=numbers,
        covariance=numbers,
    ),
)
configs = st.builds(
    pb.StreamConfig,
    size=st.one_of(st.none(), st.builds(pb.Size, width=sides, height=sides)),
    pixel_format=enums,
    color_tags=st.one_of(st.none(), st.builds(pb.ColorTags, matrix=enums, color_range=enums)),
    time_base=st.one_of(st.none(), st.builds(pb.Rational, numerator=sides, denominator=sides)),
    output_form=enums,
    smoothing=floats,
    saturation=floats,
    working_size=sides,
    steering=wire_steerings,
)


@given(configs)
def test_a_config_is_sound_or_refused(config: pb.StreamConfig) -> None:
    try:
        spec = spec_from_proto(config, max_pixels=MAX_PIXELS)
    except InvalidInputError as error:
        assert error.field.startswith("config.")  # noqa: PT017 - it may, or may not, be raised
        return

    assert 1 <= spec.height * spec.width <= MAX_PIXELS
    assert spec.tags.bit_depth == spec.pixel_format.bit_depth
    assert math.isfinite(spec.options.smoothing)
    assert math.isfinite(spec.options.saturation)
    assert spec.time_base > 0
    assert spec.output_form is OutputForm.RGB24 or spec.pixel_format is not PixelFormat.RGB24


@given(
    st.sampled_from(PixelFormat),
    st.integers(1, 5),
    st.integers(1, 5),
    st.lists(st.integers(0, 60).map(bytes), max_size=4),
)
def test_a_frame_is_of_its_streams_shape_or_refused(
    pixel_format: PixelFormat, height: int, width: int, planes: list[bytes]
) -> None:
    spec = StreamSpec(
        height=height,
        width=width,
        pixel_format=pixel_format,
        tags=ColorTags(bit_depth=pixel_format.bit_depth),
        time_base=Fraction(1),
        model="",
        output_form=OutputForm.CHROMA,
        options=Options(),
    )

    try:
        sent = frame_from_proto(pb.Frame(planes=planes), spec)
    except InvalidInputError as error:
        assert error.field.startswith("frame.planes")  # noqa: PT017
        return

    assert sent.picture.shape[:2] == (height, width)
    assert sent.picture.tobytes() == planes[0]


@given(
    st.builds(
        pb.ColorizeImageRequest, saturation=floats, working_size=sides, output_format=enums, steering=wire_steerings
    )
)
def test_the_options_of_a_photograph_are_sound_or_refused(request: pb.ColorizeImageRequest) -> None:
    try:
        photo = photo_from_proto(request)
    except InvalidInputError as error:
        known = {"saturation", "working_size", "output_format"}
        assert error.field in known or error.field.startswith("steering.")  # noqa: PT017
        return

    assert 0 <= photo.options.saturation <= 2
