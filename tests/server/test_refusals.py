"""What is wrong is refused by name, and harms nobody else."""

import asyncio
import math
import threading
from collections.abc import Iterator

import cv2
import grpc
import numpy as np
import pytest

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.errors import EngineError
from kinema_server.app import running_server
from kinema_server.resume_tokens import MAX_TOKEN_BYTES
from kinema_server.settings import Settings
from tests.fakes import FAKE_BUNDLE, FakeEngine, random_film
from tests.server.wire import HEIGHT, WIDTH, call_of, config, converse, error_info, field_at_fault, frame, frames_of

NUM_PIXELS = HEIGHT * WIDTH

BAD_CONFIGS: dict[str, tuple[dict[str, object], str]] = {
    "no width": ({"size": pb.Size(height=18)}, "config.size.width"),
    "no height": ({"size": pb.Size(width=32)}, "config.size.height"),
    "no size at all": ({"size": None}, "config.size.height"),
    "a huge width": ({"size": pb.Size(width=8193, height=1)}, "config.size.width"),
    "the hugest height": ({"size": pb.Size(width=1, height=2**32 - 1)}, "config.size.height"),
    "too many pixels": ({"size": pb.Size(width=8192, height=8192)}, "config.size"),
    "no pixel format": ({"pixel_format": pb.PIXEL_FORMAT_UNSPECIFIED}, "config.pixel_format"),
    "a pixel format from the future": ({"pixel_format": 99}, "config.pixel_format"),
    "a negative pixel format": ({"pixel_format": -1}, "config.pixel_format"),
    "an output form from the future": ({"output_form": 99}, "config.output_form"),
    "chroma for RGB": (
        {"pixel_format": pb.PIXEL_FORMAT_RGB24, "output_form": pb.OUTPUT_FORM_CHROMA},
        "config.output_form",
    ),
    "a matrix from the future": ({"color_tags": pb.ColorTags(matrix=9)}, "config.color_tags.matrix"),  # type: ignore[arg-type]  # on purpose
    "a range from the future": ({"color_tags": pb.ColorTags(color_range=9)}, "config.color_tags.color_range"),  # type: ignore[arg-type]  # on purpose
    "a time base of nothing": ({"time_base": pb.Rational(numerator=0, denominator=5)}, "config.time_base"),
    "a time base over nothing": ({"time_base": pb.Rational(numerator=1)}, "config.time_base"),
    "smoothing below 0": ({"smoothing": -0.01}, "config.smoothing"),
    "smoothing above 1": ({"smoothing": 1.01}, "config.smoothing"),
    "smoothing that is no number": ({"smoothing": math.nan}, "config.smoothing"),
    "saturation above 2": ({"saturation": 2.01}, "config.saturation"),
    "saturation that is no number": ({"saturation": math.nan}, "config.saturation"),
    "endless saturation": ({"saturation": math.inf}, "config.saturation"),
    "more warmth than there is": ({"steering": pb.Steering(warmth=1.5)}, "config.steering.warmth"),
    "blacks in the highlights": ({"steering": pb.Steering(desaturate_blacks=51)}, "config.steering.desaturate_blacks"),
    "highlights in the blacks": (
        {"steering": pb.Steering(desaturate_highlights=0)},
        "config.steering.desaturate_highlights",
    ),
    "a palette of no picture": (
        {"steering": pb.Steering(reference=pb.ColourStatistics(covariance=1))},
        "config.steering.reference.covariance",
    ),
    "colour kept of grey": ({"steering": pb.Steering(keep_colour=True)}, "config.steering.keep_colour"),
    "colour kept of RGB": (
        {"steering": pb.Steering(keep_colour=True), "pixel_format": pb.PIXEL_FORMAT_RGB24},
        "config.steering.keep_colour",
    ),
    "a tiny working size": ({"working_size": 63}, "config.working_size"),
    "a huge working size": ({"working_size": 2**32 - 1}, "config.working_size"),
}

BAD_FRAMES = {
    "no planes": (frame(2, b"").frame.planes[:0], "frame.planes"),
    "two planes": ([bytes(NUM_PIXELS)] * 2, "frame.planes"),
    "a short plane": ([bytes(NUM_PIXELS - 1)], "frame.planes[0]"),
    "a long plane": ([bytes(NUM_PIXELS + 1)], "frame.planes[0]"),
    "an empty plane": ([b""], "frame.planes[0]"),
}


@pytest.mark.parametrize(("changes", "culprit"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
async def test_a_wrong_config_is_refused_by_the_name_of_its_field(
    stub: pb_grpc.ColorizerStub, changes: dict[str, object], culprit: str
) -> None:
    answer = await converse(stub, [config(**changes), frame(0)])

    assert answer.refusal is not None
    assert answer.refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.field_at_fault == culprit
    assert answer.frames == []


@pytest.mark.parametrize(("planes", "culprit"), BAD_FRAMES.values(), ids=BAD_FRAMES)
async def test_a_wrong_frame_is_refused_after_the_answers_to_those_before_it(
    stub: pb_grpc.ColorizerStub, planes: list[bytes], culprit: str
) -> None:
    wrong = pb.ColorizeFramesRequest(frame=pb.Frame(seq=2, planes=planes))

    answer = await converse(stub, [config(), frame(0), frame(1), wrong, frame(3)])

    assert answer.refusal is not None
    assert answer.refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.field_at_fault == culprit
    assert [f.seq for f in answer.frames] == [0, 1]
    assert answer.summary is None


OUT_OF_PLACE = {
    "a frame before the config": ([frame(0)], "config"),
    "nothing at all": ([], "config"),
    "an empty message first": ([pb.ColorizeFramesRequest()], "config"),
    "a second config": ([config(), config()], "config"),
    "a second config after a frame": ([config(), frame(0), config()], "config"),
    "an empty message later": ([config(), pb.ColorizeFramesRequest()], "message"),
    "a message of a kind from the future": (
        [config(), pb.ColorizeFramesRequest.FromString(b"\x9a\x06\x01x")],
        "message",
    ),
}


@pytest.mark.parametrize(("requests", "culprit"), OUT_OF_PLACE.values(), ids=OUT_OF_PLACE)
async def test_a_message_out_of_place_is_refused(
    stub: pb_grpc.ColorizerStub, requests: list[pb.ColorizeFramesRequest], culprit: str
) -> None:
    answer = await converse(stub, requests)

    assert answer.refusal is not None
    assert answer.refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.field_at_fault == culprit


@pytest.mark.parametrize("seq", [7, 6, 0])
async def test_a_seq_that_does_not_rise_is_refused_with_the_last_that_was_accepted(
    stub: pb_grpc.ColorizerStub, seq: int
) -> None:
    answer = await converse(stub, [config(), frame(3), frame(7), frame(seq)])

    assert answer.refusal is not None
    assert answer.refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.field_at_fault == "frame.seq"
    assert error_info(answer.refusal).reason == "FRAME_ORDER"
    assert error_info(answer.refusal).metadata["last_accepted_seq"] == "7"
    assert [f.seq for f in answer.frames] == [3, 7]


async def test_chroma_beyond_10_bits_is_refused_where_it_counts(stub: pb_grpc.ColorizerStub) -> None:
    luma, chroma = np.full((HEIGHT, WIDTH), 500, "<u2"), np.full((HEIGHT // 2, WIDTH // 2), 1024, "<u2")
    sent = frame(0, luma.tobytes(), chroma.tobytes(), chroma.tobytes())

    ignored = await converse(stub, [config(pixel_format=pb.PIXEL_FORMAT_YUV420P10LE), sent])
    kept = await converse(
        stub,
        [config(pixel_format=pb.PIXEL_FORMAT_YUV420P10LE, steering=pb.Steering(keep_colour=True)), sent],
    )

    assert ignored.refusal is None
    assert kept.refusal is not None
    assert kept.field_at_fault == "frame.planes[1]"


async def test_samples_beyond_10_bits_are_refused(stub: pb_grpc.ColorizerStub) -> None:
    plane = np.full((HEIGHT, WIDTH), 1023, "<u2")
    good = frame(0, plane.tobytes())
    plane[-1, -1] = 1024

    answer = await converse(stub, [config(pixel_format=pb.PIXEL_FORMAT_GRAY10LE), good, frame(1, plane.tobytes())])

    assert answer.refusal is not None
    assert answer.field_at_fault == "frame.planes[0]"
    assert error_info(answer.refusal).metadata["last_accepted_seq"] == "0"
    assert [f.seq for f in answer.frames] == [0]


@pytest.mark.parametrize(
    ("pixel_format", "num_bytes"),
    [
        (pb.PIXEL_FORMAT_GRAY10LE, [NUM_PIXELS]),
        (pb.PIXEL_FORMAT_YUV420P, [NUM_PIXELS, NUM_PIXELS // 4, NUM_PIXELS // 4 - 1]),
        (pb.PIXEL_FORMAT_YUV420P10LE, [NUM_PIXELS * 2, NUM_PIXELS // 4, NUM_PIXELS // 2]),
        (pb.PIXEL_FORMAT_RGB24, [NUM_PIXELS]),
    ],
)
async def test_planes_must_be_as_long_as_their_format_says(
    stub: pb_grpc.ColorizerStub, pixel_format: pb.PixelFormat, num_bytes: list[int]
) -> None:
    answer = await converse(stub, [config(pixel_format=pixel_format), frame(0, *map(bytes, num_bytes))])

    assert answer.refusal is not None
    assert answer.refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.field_at_fault.startswith("frame.planes[")


async def test_an_unknown_model_is_not_found(stub: pb_grpc.ColorizerStub) -> None:
    answer = await converse(stub, [config(model="sepia" * 10_000)])

    assert answer.refusal is not None
    assert answer.refusal.code() is grpc.StatusCode.NOT_FOUND
    assert answer.field_at_fault == "config.model"
    assert "fake" in str(answer.refusal.details())


async def test_a_message_larger_than_the_largest_frame_and_resume_token_is_refused(stub: pb_grpc.ColorizerStub) -> None:
    answer = await converse(stub, [config(), frame(0, bytes(MAX_TOKEN_BYTES + 100_000))])

    assert answer.refusal is not None
    assert answer.refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_more_metadata_than_a_request_needs_is_refused(stub: pb_grpc.ColorizerStub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(stub.ListModels, pb.ListModelsRequest(), metadata=(("x-request-id", "x" * 100_000),))

    assert call_of(caught.value).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


BAD_PHOTOS = {
    "no image": (pb.ColorizeImageRequest(), "image"),
    "no image but text": (pb.ColorizeImageRequest(image=b"hello"), "image"),
    "half an image": (
        pb.ColorizeImageRequest(image=cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes()[:40]),
        "image",
    ),
    "a bomb": (
        pb.ColorizeImageRequest(image=cv2.imencode(".png", np.zeros((8192, 8192), np.uint8))[1].tobytes()),
        "image",
    ),
    "a side that is too long": (
        pb.ColorizeImageRequest(image=cv2.imencode(".png", np.zeros((1, 8193), np.uint8))[1].tobytes()),
        "image.width",
    ),
    "saturation that is no number": (pb.ColorizeImageRequest(saturation=math.nan), "saturation"),
    "a tiny working size": (pb.ColorizeImageRequest(working_size=1), "working_size"),
    "a format from the future": (pb.ColorizeImageRequest(output_format=77), "output_format"),  # type: ignore[arg-type]  # on purpose
}


@pytest.mark.parametrize(("request_", "culprit"), BAD_PHOTOS.values(), ids=BAD_PHOTOS)
async def test_a_wrong_photograph_is_refused_by_the_name_of_its_field(
    stub: pb_grpc.ColorizerStub, request_: pb.ColorizeImageRequest, culprit: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(stub.ColorizeImage, request_)

    assert call_of(caught.value).code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field_at_fault(call_of(caught.value)) == culprit


async def test_an_unknown_model_for_a_photograph_is_not_found(stub: pb_grpc.ColorizerStub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(stub.ColorizeImage, pb.ColorizeImageRequest(model="sepia"))

    assert call_of(caught.value).code() is grpc.StatusCode.NOT_FOUND
    assert field_at_fault(call_of(caught.value)) == "model"


async def test_an_engine_that_fails_ends_the_stream_and_never_answers_in_grey(
    stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    engine.error = EngineError("out of memory in /secret/place.cpp:42")
    failed = await converse(stub, [config(), frame(0), frame(1)])
    engine.error = None
    healthy = await converse(stub, [config(), frame(0), frame(1)])

    assert failed.refusal is not None
    assert failed.refusal.code() is grpc.StatusCode.INTERNAL
    assert error_info(failed.refusal).reason == "ENGINE_FAILED"
    assert failed.frames == []
    assert "secret" not in str(failed.refusal)
    assert len(healthy.frames) == 2


async def test_a_bug_is_an_internal_error_that_tells_no_secrets(
    stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    engine.error = ZeroDivisionError("in /secret/place.py")

    photo = pb.ColorizeImageRequest(image=cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes())

    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(stub.ColorizeImage, photo)

    assert call_of(caught.value).code() is grpc.StatusCode.INTERNAL
    assert error_info(call_of(caught.value)).reason == "INTERNAL"
    assert "secret" not in str(caught.value)


async def test_wrong_streams_change_no_bit_of_a_good_one(stub: pb_grpc.ColorizerStub) -> None:
    film = [config(), *frames_of(random_film(30))]
    alone = await converse(stub, film)

    async def misbehave() -> None:
        bad_frames = [[config(), frame(0), wrong] for wrong in (frame(0), config(), frame(1, b"short"))]
        for requests in ([config(**changes)] for changes, _ in BAD_CONFIGS.values()):
            await converse(stub, requests)
        for requests in bad_frames:
            await converse(stub, requests)

    def leave_early() -> None:
        for _ in range(5):
            call = stub.ColorizeFrames(iter([config(), *(frame(seq) for seq in range(20))]))
            next(call)
            call.cancel()

    beside_bad_ones, *_ = await asyncio.gather(
        converse(stub, film), misbehave(), asyncio.to_thread(leave_early), misbehave()
    )

    assert len(alone.frames) == 30
    assert beside_bad_ones.planes == alone.planes


async def test_a_stream_too_many_is_refused_as_long_as_the_others_run() -> None:
    settings = Settings(port=0, max_streams=1, grace_seconds=0)
    may_end = threading.Event()

    def held_open() -> Iterator[pb.ColorizeFramesRequest]:
        yield config()
        may_end.wait(timeout=10)

    async with running_server(settings, bundle=FAKE_BUNDLE, engine=FakeEngine()) as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = pb_grpc.ColorizerStub(channel)
            first = stub.ColorizeFrames(held_open())
            await asyncio.to_thread(next, first)
            second = await converse(stub, [config(), frame(0)])
            may_end.set()
            await asyncio.to_thread(list, first)
            third = await converse(stub, [config(), frame(0)])

    assert second.refusal is not None
    assert second.refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error_info(second.refusal).reason == "BUSY"
    assert len(third.frames) == 1
