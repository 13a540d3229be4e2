"""A whole film, as its caller sees it: the bytes of a file in, those of a new one out.

Two threads share it: the caller's reads the answers, one of gRPC's reads the caller's file and sends it.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Self

import grpc

from kinema.v1 import colorizer_pb2 as pb
from kinema_client import convert
from kinema_client.answers import VideoAccepted, VideoSummary
from kinema_client.errors import ProtocolError, error_from_rpc
from kinema_core.ctrl_c import held_ctrl_c


class VideoStream:
    """The bytes of a Matroska file, in order: iterate over it. A loop that is left early cancels the film.

    The new film is complete only where the loop ends by itself: then `summary` is there.
    """

    def __init__(
        self,
        open_call: Callable[[Iterator[pb.ColorizeVideoRequest]], Any],
        chunks: Iterable[bytes],
        config: pb.VideoConfig,
        target: str,
        on_close: Callable[["VideoStream"], None],
    ) -> None:
        self.accepted: VideoAccepted | None = None
        """What the film is, and what is used for it; None before the server has understood the file."""
        self.num_frames = 0
        """How many pictures are done."""
        self.summary: VideoSummary | None = None
        """Known once the film has ended."""
        self._open_call = open_call
        self._source = _Source(chunks)
        self._config = config
        self._target = target
        self._on_close = on_close
        self._responses: Any = None
        self._is_closed = False

    def __iter__(self) -> Generator[bytes, None, None]:
        """Yield the new file's bytes.

        Raises:
            InvalidInputError: the server refused an option or the film's size, and names the field.
            MediaError: the server cannot read the film, or not write it as asked.
            ClientError: the server cannot be reached, is busy or failed.
        """
        try:
            with held_ctrl_c():
                self._responses = self._open_call(self._requests())
            while (response := self._receive()) is not None:
                if chunk := self._take(response):
                    yield chunk
            if self.summary is None:
                raise ProtocolError("the server ended a film without a summary")
        except grpc.RpcError as error:
            if self._is_closed:
                return
            if self._source.error is not None:
                raise self._source.error from None
            raise error_from_rpc(error, self._target) from error
        finally:
            self.close()

    def close(self) -> None:
        """Cancel the film, if it has not ended."""
        if self._is_closed:
            return
        self._is_closed = True
        with held_ctrl_c():
            if self._responses is not None:
                self._responses.cancel()
            self._on_close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _requests(self) -> Iterator[pb.ColorizeVideoRequest]:
        yield pb.ColorizeVideoRequest(config=self._config)
        for chunk in self._source:
            yield pb.ColorizeVideoRequest(chunk=chunk)

    def _receive(self) -> pb.ColorizeVideoResponse | None:
        with held_ctrl_c(self._responses.cancel):
            response: pb.ColorizeVideoResponse | None = next(self._responses, None)
            return response

    def _take(self, response: pb.ColorizeVideoResponse) -> bytes | None:
        match response.WhichOneof("message"):
            case "chunk":
                return response.chunk
            case "accepted":
                self.accepted = convert.video_accepted_from_proto(response.accepted, self._config)
            case "progress":
                self.num_frames = response.progress.num_frames
            case "summary":
                self.summary = convert.video_summary_from_proto(response.summary)
        return None


class _Source:
    """The caller's chunks, and the error that they may end with: gRPC would keep it to itself."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.error: Exception | None = None
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except Exception as error:
            self.error = error
            raise
