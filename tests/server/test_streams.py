"""What a stream promises: every frame, in order, with its pts, its luma untouched and the bits of the pipeline."""

from fractions import Fraction

import numpy as np
import pytest

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.color import GREY_TAGS, rgb_to_grey
from kinema_core.frames import ColorFrame, ColorRange, ColorTags, LumaFrame, Matrix, chroma_shape
from kinema_core.pipeline import Colorizer, Options
from kinema_server.app import RunningServer
from tests.fakes import FAKE_MANIFEST, FakeEngine, random_film
from tests.server.conftest import NUM_CREDITS
from tests.server.wire import HEIGHT, WIDTH, config, converse, frame, frames_of

NUM_FRAMES = 7
SIZES = [(18, 32), (17, 31), (1, 1), (2, 3), (5, 64), (90, 1)]
DEPTHS = {8: pb.PIXEL_FORMAT_GRAY8, 10: pb.PIXEL_FORMAT_GRAY10LE}
DEPTHS_YUV = {8: pb.PIXEL_FORMAT_YUV420P, 10: pb.PIXEL_FORMAT_YUV420P10LE}


def colorized_here(film: list[LumaFrame], options: Options | None = None) -> list[ColorFrame]:
    """Colorize a film by the pipeline alone."""
    first = film[0]
    colorizer = Colorizer(
        FAKE_MANIFEST, height=first.luma.shape[0], width=first.luma.shape[1], tags=first.tags, options=options
    )
    engine = FakeEngine()
    prepared = [colorizer.prepare(picture) for picture in film]
    return [colorizer.compose(p, colorizer.finish(p, engine.infer(p.lightness))) for p in prepared]


async def test_every_frame_comes_back_once_in_order_with_its_seq_and_pts(stub: pb_grpc.ColorizerStub) -> None:
    seqs = [0, 1, 5, 6, 100, 2**40, 2**64 - 1]
    pts = [0, -7, 2**62, 1, 1, -(2**62), 3]

    answer = await converse(stub, [config(), *(frame(seq, pts=at) for seq, at in zip(seqs, pts, strict=True))])

    assert [(f.seq, f.pts) for f in answer.frames] == list(zip(seqs, pts, strict=True))
    assert answer.summary is not None
    assert answer.summary.num_frames == len(seqs)


MATRICES = {Matrix.BT601: pb.MATRIX_BT601, Matrix.BT709: pb.MATRIX_BT709}
RANGES = {ColorRange.LIMITED: pb.COLOR_RANGE_LIMITED, ColorRange.FULL: pb.COLOR_RANGE_FULL}
STEERINGS = {
    "plain": None,
    "steered": pb.Steering(
        warmth=1,
        desaturate_blacks=30,
        desaturate_highlights=70,
        reference=pb.ColourStatistics(mean_a=-10, mean_b=30, variance_a=400, variance_b=900, covariance=-200),
        keep_colour=True,
    ),
}


@pytest.mark.parametrize("steering", STEERINGS.values(), ids=STEERINGS)
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("matrix", Matrix)
@pytest.mark.parametrize("color_range", ColorRange)
async def test_the_luma_plane_comes_back_byte_for_byte(
    stub: pb_grpc.ColorizerStub,
    color_range: ColorRange,
    matrix: Matrix,
    bit_depth: int,
    height: int,
    width: int,
    steering: pb.Steering | None,
) -> None:
    tags = ColorTags(matrix, color_range, bit_depth)
    film = list(random_film(NUM_FRAMES, height, width, tags))
    chroma_height, chroma_width = chroma_shape(height, width)
    chroma = bytes(chroma_height * chroma_width * (1 if bit_depth == 8 else 2))
    sent = [frame(seq, picture.luma.tobytes(), chroma, chroma) for seq, picture in enumerate(film)]

    answer = await converse(
        stub,
        [
            config(
                size=pb.Size(width=width, height=height),
                pixel_format=DEPTHS_YUV[bit_depth],
                color_tags=pb.ColorTags(matrix=MATRICES[matrix], color_range=RANGES[color_range]),
                output_form=pb.OUTPUT_FORM_YUV420,
                steering=steering,
            ),
            *sent,
        ],
    )

    assert [planes[0] for planes in answer.planes] == [picture.luma.tobytes() for picture in film]
    assert all([len(cb), len(cr)] == [len(chroma)] * 2 for _, cb, cr in answer.planes)


@pytest.mark.parametrize(
    ("tags", "color_tags"),
    [
        (
            ColorTags(Matrix.BT601, ColorRange.LIMITED, 8),
            pb.ColorTags(matrix=pb.MATRIX_BT601, color_range=pb.COLOR_RANGE_LIMITED),
        ),
        (
            ColorTags(Matrix.BT709, ColorRange.FULL, 8),
            pb.ColorTags(matrix=pb.MATRIX_BT709, color_range=pb.COLOR_RANGE_FULL),
        ),
        (
            ColorTags(Matrix.BT709, ColorRange.LIMITED, 10),
            pb.ColorTags(matrix=pb.MATRIX_BT709, color_range=pb.COLOR_RANGE_LIMITED),
        ),
    ],
    ids=["BT.601", "full range", "10 bit"],
)
async def test_the_chroma_is_that_of_the_pipeline_bit_for_bit(
    stub: pb_grpc.ColorizerStub, tags: ColorTags, color_tags: pb.ColorTags
) -> None:
    film = list(random_film(NUM_FRAMES, HEIGHT, WIDTH, tags))

    answer = await converse(
        stub, [config(pixel_format=DEPTHS[tags.bit_depth], color_tags=color_tags), *frames_of(film)]
    )

    assert answer.planes == [[f.cb.tobytes(), f.cr.tobytes()] for f in colorized_here(film)]
    assert answer.accepted.color_tags == color_tags


async def test_the_options_of_a_stream_reach_its_frames(stub: pb_grpc.ColorizerStub) -> None:
    film = list(random_film(NUM_FRAMES))
    options = Options(smoothing=0.0, saturation=0.5, working_size=64)

    answer = await converse(stub, [config(smoothing=0.0, saturation=0.5, working_size=64), *frames_of(film)])

    assert answer.planes == [[f.cb.tobytes(), f.cr.tobytes()] for f in colorized_here(film, options)]
    assert answer.planes != [[f.cb.tobytes(), f.cr.tobytes()] for f in colorized_here(film)]
    assert (answer.accepted.smoothing, answer.accepted.saturation) == (0.0, 0.5)


async def test_steering_reaches_the_frames_of_a_stream_and_is_told(stub: pb_grpc.ColorizerStub) -> None:
    film = list(random_film(NUM_FRAMES))
    steering = pb.Steering(warmth=0.5, desaturate_blacks=20, desaturate_highlights=90)
    options = Options(warmth=0.5, desaturate_blacks=20, desaturate_highlights=90)

    answer = await converse(stub, [config(steering=steering), *frames_of(film)])

    assert answer.planes == [[f.cb.tobytes(), f.cr.tobytes()] for f in colorized_here(film, options)]
    assert answer.planes != [[f.cb.tobytes(), f.cr.tobytes()] for f in colorized_here(film)]
    assert answer.accepted.steering == steering


async def test_a_stream_that_asks_for_nothing_is_told_of_no_steering(stub: pb_grpc.ColorizerStub) -> None:
    answer = await converse(stub, [config(steering=pb.Steering(desaturate_highlights=100)), frame(0)])

    assert not answer.accepted.HasField("steering")


async def test_frames_in_colour_keep_the_chroma_that_was_sent(stub: pb_grpc.ColorizerStub) -> None:
    rng = np.random.default_rng(0)
    luma, cb, cr = (rng.integers(16, 236, (HEIGHT // n, WIDTH // n), np.uint8) for n in (1, 2, 2))
    grey = np.full_like(cb, 128)
    frames = [
        frame(0, luma.tobytes(), cb.tobytes(), cr.tobytes()),
        frame(1, luma.tobytes(), grey.tobytes(), grey.tobytes()),
    ]
    frames[1].frame.shot_cut = True

    answer = await converse(
        stub,
        [config(pixel_format=pb.PIXEL_FORMAT_YUV420P, steering=pb.Steering(keep_colour=True)), *frames],
    )

    assert answer.planes[0] == [cb.tobytes(), cr.tobytes()]
    assert answer.planes[1] != [grey.tobytes(), grey.tobytes()]


async def test_a_cut_that_the_client_knows_is_a_cut(stub: pb_grpc.ColorizerStub) -> None:
    requests = [config(), *(frame(seq, bytes([100]) * (HEIGHT * WIDTH)) for seq in range(4))]
    requests[3].frame.shot_cut = True
    requests[1].frame.shot_cut = False

    answer = await converse(stub, requests)

    assert [f.shot_cut for f in answer.frames] == [False, False, True, False]
    assert answer.summary is not None
    assert answer.summary.num_cuts == 1


async def test_rgb_that_is_sent_is_colorized_from_its_lightness(stub: pb_grpc.ColorizerStub) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (17, 31, 3)).astype(np.uint8)
    colorizer = Colorizer(FAKE_MANIFEST, height=17, width=31, tags=GREY_TAGS)
    grey = LumaFrame(rgb_to_grey(rgb), 0, Fraction(1, 1000), GREY_TAGS)

    answer = await converse(
        stub, [config(size=pb.Size(width=31, height=17), pixel_format=pb.PIXEL_FORMAT_RGB24), frame(0, rgb.tobytes())]
    )

    prepared = colorizer.prepare(grey)
    expected = colorizer.compose_rgb(prepared, colorizer.finish(prepared, FakeEngine().infer(prepared.lightness)))
    assert answer.planes == [[expected.rgb.tobytes()]]
    assert answer.accepted.output_form == pb.OUTPUT_FORM_RGB24
    assert not answer.accepted.HasField("color_tags")


async def test_rgb_comes_back_where_it_is_asked_for(stub: pb_grpc.ColorizerStub) -> None:
    film = list(random_film(2))

    answer = await converse(stub, [config(output_form=pb.OUTPUT_FORM_RGB24), *frames_of(film)])

    assert [len(planes) for planes in answer.planes] == [1, 1]
    assert [len(planes[0]) for planes in answer.planes] == [HEIGHT * WIDTH * 3] * 2


async def test_a_stream_without_frames_ends_in_peace(stub: pb_grpc.ColorizerStub) -> None:
    answer = await converse(stub, [config()])

    assert answer.summary == pb.Summary(num_frames=0, num_cuts=0)


async def test_what_will_be_used_is_told_first(stub: pb_grpc.ColorizerStub, server: RunningServer) -> None:
    answer = await converse(stub, [config(model="fake")])

    assert answer.accepted == pb.StreamAccepted(
        model="fake",
        model_version="1.2.3",
        model_digest=server.bundle.digest,
        engine="fake",
        precision="f32",
        credits=NUM_CREDITS,
        output_form=pb.OUTPUT_FORM_CHROMA,
        working_size=pb.Size(width=40, height=24),
        smoothing=0.5,
        saturation=1.0,
        color_tags=pb.ColorTags(matrix=pb.MATRIX_BT709, color_range=pb.COLOR_RANGE_LIMITED),
    )


async def test_each_frame_says_where_its_time_went(stub: pb_grpc.ColorizerStub, engine: FakeEngine) -> None:
    engine.delay_seconds = 0.05

    answer = await converse(stub, [config(), frame(0)])

    timings = answer.frames[0].timings
    assert timings.engine_micros >= 50_000
    assert 0 < timings.prepare_micros < 10e6
    assert 0 < timings.finish_micros < 10e6
    assert timings.queue_micros < 10e6
