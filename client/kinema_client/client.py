"""The client of `kinema.v1.Colorizer`."""

from collections.abc import Iterable
from functools import partial
from typing import Any, BinaryIO, Self, TypeVar, Unpack, get_args

import grpc

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_client import convert
from kinema_client.answers import Model
from kinema_client.choices import PhotoChoices, StreamChoices, VideoChoices
from kinema_client.convert import FrameT
from kinema_client.errors import ClientError, error_from_rpc
from kinema_client.security import Tls, credentials_for, metadata_for
from kinema_client.shared_frames import SharedMemoryChoice, is_offered, is_this_machine
from kinema_client.stream import ColorStream
from kinema_client.video import VideoStream
from kinema_core.ctrl_c import held_ctrl_c
from kinema_core.errors import InvalidInputError
from kinema_core.frames import MAX_SIDE, ColorFrame, LumaFrame, RgbFrame

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

MAX_MESSAGE_BYTES = 3 * MAX_SIDE**2 + 64 * 1024
"""The largest picture that Kinema knows, as RGB, and room for its envelope."""
MAX_RESUME_SECONDS = 15 * 60
"""A server's token is good for no longer."""
_PIECE_BYTES = 1 << 18
"""How much of a film's file is sent in one message."""


class Client:
    """Talk to the server at `target`, `host:port`. Use it by `with`; it connects with the first call.

        with Client("localhost:50051") as kinema:
            for frame in kinema.colorize_frames(film):
                ...

    Threads may share it; each stream belongs to one of them.
    """

    def __init__(
        self,
        target: str,
        *,
        tls: Tls | None = None,
        api_key: str | None = None,
        resume_seconds: float = 30.0,
        shared_memory: SharedMemoryChoice = "auto",
    ) -> None:
        """Note where the server is.

        Args:
            target: `host:port`; or `dns:///host:port`, which spreads the calls over all servers of that name.
            tls: how to encrypt; None for no encryption.
            api_key: for a server that asks for one; sent on encrypted connections only.
            resume_seconds: how long a stream whose server is being stopped looks for another, before it fails.
            shared_memory: whether frames go to a server on this machine through memory instead of the connection, which
                is faster: "auto" where the target says that it is this machine, "on" to try it with any, "off". A
                server that cannot use it gets them through the connection: `ColorStream.accepted` tells.

        Raises:
            InvalidInputError: no target, a value out of range, a key without encryption, or files for `tls` that cannot
                be read.
        """
        if not target:
            raise InvalidInputError("target", "must be the server's host:port, got nothing")
        if not 0 <= resume_seconds <= MAX_RESUME_SECONDS:
            raise InvalidInputError("resume_seconds", f"must be 0 to {MAX_RESUME_SECONDS}, got {resume_seconds}")
        if shared_memory not in get_args(SharedMemoryChoice):
            raise InvalidInputError("shared_memory", f"must be auto, on or off, got {shared_memory!r}")
        self.target = target
        self._offers_memory = is_offered(shared_memory, target)
        self._resume_seconds = resume_seconds
        self._metadata = metadata_for(api_key, tls)
        self._credentials = credentials_for(tls)
        self._open_stub: pb_grpc.ColorizerStub | None = None
        self._streams: set[ColorStream[Any] | VideoStream] = set()

    def __enter__(self) -> Self:
        options = _channel_options(self.target)
        if self._credentials is None:
            self._channel = grpc.insecure_channel(self.target, options=options)
        else:
            self._channel = grpc.secure_channel(self.target, self._credentials, options=options)
        self._open_stub = pb_grpc.ColorizerStub(self._channel)
        return self

    def __exit__(self, *_: object) -> None:
        self._open_stub = None
        with held_ctrl_c():
            for stream in tuple(self._streams):
                stream.close()
            self._channel.close()

    def colorize_frames(self, frames: Iterable[LumaFrame], **choices: Unpack[StreamChoices]) -> ColorStream[ColorFrame]:
        """Colorize frames of one size and one set of tags, in order; each comes back with the very luma it came with.

        Args:
            frames: iterated on a thread beside the caller's, as the server takes them.
            choices: all optional.

        Raises:
            InvalidInputError: from the stream, where the server refuses a choice or a frame.
            ClientError: from the stream, where the server cannot be reached, is busy or failed.
        """
        return self._stream(frames, convert.CHROMA, choices)

    def colorize_frames_to_rgb(
        self, frames: Iterable[LumaFrame], **choices: Unpack[StreamChoices]
    ) -> ColorStream[RgbFrame]:
        """Colorize frames as `colorize_frames` does, into sRGB: their lightness is held instead of their luma."""
        return self._stream(frames, convert.RGB, choices)

    def colorize_video(self, film: BinaryIO | Iterable[bytes], **choices: Unpack[VideoChoices]) -> VideoStream:
        """Colorize a film as it lies in a file; what comes back is a Matroska file, a piece at a time.

            with open("old.mp4", "rb") as old, open("new.mkv", "wb") as new:
                for piece in kinema.colorize_video(old):
                    new.write(piece)

        Args:
            film: an open file, or pieces of at most 1 MiB; read on a thread beside the caller's.
            choices: all optional.

        Raises:
            InvalidInputError: a choice does not fit the wire; or, from the stream, the server refuses one or the film.
            ClientError: from the stream, where the server cannot be reached, is busy or failed.
        """
        pieces = iter(lambda: film.read(_PIECE_BYTES), b"") if hasattr(film, "read") else film
        config = convert.video_config_to_proto(choices)
        open_call = partial(self._stub.ColorizeVideo, metadata=self._metadata)
        stream = VideoStream(open_call, pieces, config, self.target, self._streams.discard)
        self._streams.add(stream)
        return stream

    def colorize_image(
        self,
        image: bytes,
        *,
        output_format: convert.ImageFormat = "png",
        **choices: Unpack[PhotoChoices],
    ) -> bytes:
        """Colorize an encoded photograph: JPEG, PNG, WebP, TIFF or BMP in, PNG or JPEG out.

        Raises:
            InvalidInputError: the image is too large, of another kind or damaged, or an option is out of range.
            ClientError: the server cannot be reached, is busy or failed.
        """
        request = convert.image_to_proto(image, output_format=output_format, choices=choices)
        return self._call(self._stub.ColorizeImage, request).image

    def list_models(self) -> list[Model]:
        """Name the server's models, the default first.

        Raises:
            ClientError: the server cannot be reached or failed.
        """
        return convert.models_from_proto(self._call(self._stub.ListModels, pb.ListModelsRequest()))

    @property
    def _stub(self) -> pb_grpc.ColorizerStub:
        if self._open_stub is None:
            raise ClientError("the client is not open: use it inside `with Client(...) as kinema:`")
        return self._open_stub

    def _call(self, method: "grpc.UnaryUnaryMultiCallable[RequestT, ResponseT]", request: RequestT) -> ResponseT:
        with held_ctrl_c():
            call = method.future(request, metadata=self._metadata)
        try:
            with held_ctrl_c(call.cancel):
                return call.result()
        except grpc.RpcError as error:
            raise error_from_rpc(error, self.target) from error

    def _stream(
        self, frames: Iterable[LumaFrame], form: convert.Form[FrameT], choices: StreamChoices
    ) -> ColorStream[FrameT]:
        stream = ColorStream(
            partial(self._stub.ColorizeFrames, metadata=self._metadata),
            frames,
            form,
            choices,
            self.target,
            self._streams.discard,
            resume_seconds=self._resume_seconds,
            offers_memory=self._offers_memory,
        )
        self._streams.add(stream)
        return stream


def _channel_options(target: str) -> list[tuple[str, int | str]]:
    options: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_reconnect_backoff_ms", 5000),  # else two minutes, in which no stream could go on
    ]
    if target.startswith(("dns:", "ipv4:", "ipv6:")):  # names that may stand for several servers
        options.append(("grpc.lb_policy_name", "round_robin"))
    if is_this_machine(target):
        options.append(("grpc.enable_http_proxy", 0))  # gRPC would ask the proxy for this very machine
    return options
