"""One stream of frames, as its caller sees it: frames in, the same frames in colour out.

Two threads share it: the caller's reads the answers, one of gRPC's iterates the caller's frames and sends them.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Self

import grpc

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_client import convert
from kinema_client.answers import Accepted, Summary, Timings
from kinema_client.choices import StreamChoices
from kinema_client.convert import FrameT
from kinema_client.errors import ProtocolError, error_from_rpc
from kinema_core.ctrl_c import held_ctrl_c
from kinema_core.errors import InvalidInputError
from kinema_core.frames import LumaFrame


class ColorStream(Generic[FrameT]):
    """Frames in colour, in order: iterate over it. A loop that is left early cancels what is on its way.

    Nothing is sent before the first frame is asked for. At most `accepted.credits` frames are on their way at a time,
    and no more are held in memory. An error of the caller's own frames is raised after the answers to those before it.
    Where `max_delay_seconds` is chosen, frames can be too late: `on_late` gets each of those, and none comes out here.
    """

    def __init__(
        self,
        stub: pb_grpc.ColorizerStub,
        frames: Iterable[LumaFrame],
        form: convert.Form[FrameT],
        choices: StreamChoices,
        target: str,
        on_close: Callable[["ColorStream[Any]"], None],
    ) -> None:
        self.accepted: Accepted | None = None
        """What the server really uses; None before the first frame came back."""
        self.timings: Timings | None = None
        """Where the time of the frame that came back last went."""
        self.is_cut: bool | None = None
        """Whether a new shot begins with the frame that came back last."""
        self.summary: Summary | None = None
        """Known once the stream has ended."""
        self.is_closed = False
        self._stub = stub
        self._frames = _Frames(frames)
        self._form = form
        self._choices = choices
        self._target = target
        self._on_close = on_close
        self._responses: Any = None
        """The call: an iterator of responses that can be cancelled."""
        self._on_their_way: deque[_Sent] = deque()

    def __iter__(self) -> Generator[FrameT, None, None]:
        """Yield the frames; leaving the loop closes the stream. Raises what `read` raises."""
        try:
            while (frame := self.read()) is not None:
                yield frame
        finally:
            self.close()

    def read(self) -> FrameT | None:
        """Wait for the next frame in colour; None at the end.

        Raises:
            InvalidInputError: the server refused the stream or a frame, and names the field; or the caller's frames
                are not all alike.
            ClientError: the server cannot be reached, is busy or failed.
        """
        if self.is_closed:
            return None
        frame = None
        try:
            frame = self._next()
        except grpc.RpcError as error:
            if not self.is_closed:
                raise error_from_rpc(error, self._target) from error
        finally:
            if frame is None:
                self.close()
        return frame

    def close(self) -> None:
        """Cancel what is on its way; returns once nothing reads the caller's frames any more."""
        if self.is_closed:
            return
        self.is_closed = True
        with held_ctrl_c():
            self._frames.stop()
            if self._responses is not None:
                self._responses.cancel()
            self._frames.wait_until_left()
        self._on_their_way.clear()
        self._on_close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> FrameT | None:
        if self._responses is None:
            first = self._frames.take()
            if first is None:
                self._end(Summary(num_frames=0, num_cuts=0))
                return None
            self._open(first)
        response = self._receive()
        while response.WhichOneof("message") == "late":
            self._pass_over(response.late)
            response = self._receive()
        match response.WhichOneof("message"):
            case "frame":
                return self._take(response.frame)
            case "summary" if not self._on_their_way:
                with held_ctrl_c(self._responses.cancel):
                    next(self._responses, None)  # or the server would take the end for a client that left
                self._end(convert.summary_from_proto(response.summary))
                return None
            case kind:
                raise ProtocolError(f"the server sent {kind} with {len(self._on_their_way)} frames unanswered")

    def _open(self, first: LumaFrame) -> None:
        config = convert.config_to_proto(first, self._form, self._choices)
        with held_ctrl_c():
            self._responses = self._stub.ColorizeFrames(self._requests(config, first))
        response = self._receive()
        if response.WhichOneof("message") != "accepted":
            raise ProtocolError("the server answered a stream's config with something else than accepted")
        self.accepted = convert.accepted_from_proto(response.accepted, config.config)
        self._frames.grant(self.accepted.credits)

    def _requests(self, config: pb.ColorizeFramesRequest, first: LumaFrame) -> Iterator[pb.ColorizeFramesRequest]:
        """Yield what is to be sent, as credits allow; iterated on a thread of gRPC's."""
        yield config
        for seq in itertools.count():
            if not self._frames.wait_for_credit():
                return
            frame = self._frames.take(like=first) if seq else first
            if frame is None:
                return
            self._on_their_way.append(_Sent(seq, frame, time.perf_counter()))
            yield convert.frame_to_proto(seq, frame, self._choices)

    def _receive(self) -> pb.ColorizeFramesResponse:
        with held_ctrl_c(self._responses.cancel):
            response: pb.ColorizeFramesResponse | None = next(self._responses, None)
        if response is None:
            raise ProtocolError("the server ended a stream without a summary")
        return response

    def _pass_over(self, late: pb.Late) -> None:
        sent = self._next_sent(late.seq)
        if "on_late" not in self._choices:
            raise ProtocolError(f"the server gave frame {late.seq} up as too late, though no deadline was set")
        self._choices["on_late"](sent.frame)

    def _next_sent(self, seq: int) -> "_Sent":
        if not self._on_their_way or self._on_their_way[0].seq != seq:
            raise ProtocolError(f"the server answered frame {seq}, which is not the one that is next")
        sent = self._on_their_way.popleft()
        self._frames.grant(1)
        return sent

    def _take(self, answer: pb.ColorFrame) -> FrameT:
        sent = self._next_sent(answer.seq)
        self.timings = convert.timings_from_proto(answer.timings, time.perf_counter() - sent.time)
        self.is_cut = answer.shot_cut
        return self._form.read(answer, sent.frame)

    def _end(self, summary: Summary) -> None:
        """Note how the stream ended; raises what the caller's own frames raised."""
        self.summary = summary
        if self._frames.error is not None:
            raise self._frames.error


@dataclass(frozen=True, slots=True, eq=False)
class _Sent:
    seq: int
    frame: LumaFrame
    time: float


class _Frames:
    """The caller's frames, taken one at a time and only while somebody waits for them."""

    def __init__(self, frames: Iterable[LumaFrame]) -> None:
        self.error: Exception | None = None
        """What the caller's own iterator raised, or what is wrong with its frames."""
        self._iterator = iter(frames)
        self._num_credits = 0
        self._is_stopped = False
        self._is_taking = False
        self._changed = threading.Condition()

    def grant(self, num_credits: int) -> None:
        """Allow that many frames more."""
        with self._changed:
            self._num_credits += num_credits
            self._changed.notify_all()

    def wait_for_credit(self) -> bool:
        """Spend a credit, and wait for one if there is none; False once it is all over."""
        with self._changed:
            self._changed.wait_for(lambda: self._num_credits or self._is_stopped)
            self._num_credits -= 1
            return not self._is_stopped

    def take(self, like: LumaFrame | None = None) -> LumaFrame | None:
        """Return the next frame; None at the end, after an error, and once it is all over."""
        with self._changed:
            if self._is_stopped:
                return None
            self._is_taking = True
        try:
            frame = next(self._iterator, None)
            if frame is not None and like is not None:
                _check_alike(frame, like)
        except Exception as error:  # noqa: BLE001 - carried to the caller, whose own error it is
            self.error = error
            return None
        else:
            return frame
        finally:
            with self._changed:
                self._is_taking = False
                self._changed.notify_all()

    def stop(self) -> None:
        """Take no more."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def wait_until_left(self) -> None:
        """Wait for a thread that is inside the caller's iterator, so that the caller may close what it reads from."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_taking)


def _check_alike(frame: LumaFrame, first: LumaFrame) -> None:
    if (frame.luma.shape, frame.tags) != (first.luma.shape, first.tags):
        now, then = (f"{f.luma.shape[1]}x{f.luma.shape[0]} {f.tags}" for f in (frame, first))
        raise InvalidInputError("frames", f"must all be like the first, {then}; got {now} at pts {frame.pts}")
