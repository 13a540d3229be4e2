"""One stream of frames, as its caller sees it: frames in, the same frames in colour out.

Two threads share it: the caller's reads the answers, one of gRPC's iterates the caller's frames and sends them.

A stream outlives its server. One that is being stopped hands out a token, with which another goes on behind the last
answer; what was sent and not answered is sent again.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Final, Generic, Self

import grpc

from kinema.v1 import colorizer_pb2 as pb
from kinema_client import convert
from kinema_client.answers import Accepted, Summary, Timings
from kinema_client.choices import StreamChoices
from kinema_client.convert import FrameT
from kinema_client.errors import (
    ClientError,
    ProtocolError,
    ServerBusyError,
    ServerDrainingError,
    ServerUnavailableError,
    error_from_rpc,
)
from kinema_client.outbox import Outbox, Sent
from kinema_client.shared_frames import SharedFrames
from kinema_core.ctrl_c import held_ctrl_c
from kinema_core.errors import InvalidInputError
from kinema_core.frames import LumaFrame

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0
_ELSEWHERE: Final = (ServerUnavailableError, ServerBusyError)
"""What another server, or the same one a little later, may not say."""


class ColorStream(Generic[FrameT]):
    """Frames in colour, in order: iterate over it. A loop that is left early cancels what is on its way.

    Nothing is sent before the first frame is asked for. At most `accepted.credits` frames are on their way at a time,
    and no more are held in memory. An error of the caller's own frames is raised after the answers to those before it.
    Where `max_delay_seconds` is chosen, frames can be too late: `on_late` gets each of those, and none comes out here.
    """

    def __init__(
        self,
        open_call: Callable[[Iterator[pb.ColorizeFramesRequest]], Any],
        frames: Iterable[LumaFrame],
        form: convert.Form[FrameT],
        choices: StreamChoices,
        target: str,
        on_close: Callable[["ColorStream[Any]"], None],
        *,
        resume_seconds: float,
        offers_memory: bool = False,
    ) -> None:
        self.accepted: Accepted | None = None
        """What the server that has the stream really uses; None before the first frame came back."""
        self.timings: Timings | None = None
        """Where the time of the frame that came back last went."""
        self.is_cut: bool | None = None
        """Whether a new shot begins with the frame that came back last."""
        self.summary: Summary | None = None
        """Known once the stream has ended."""
        self.num_resumed = 0
        """How often another server went on with the stream, as if nothing had been."""
        self.num_restarted = 0
        """How often another went on that could not use the state: smoothing over time began anew there."""
        self.is_closed = False
        self._open_call = open_call
        self._outbox = Outbox(frames)
        self._first: LumaFrame | None = None
        self._form = form
        self._choices = choices
        self._target = target
        self._on_close = on_close
        self._responses: Any = None
        """The call: an iterator of responses that can be cancelled."""
        self._resume_seconds = resume_seconds
        self._until: float | None = None
        """When to give up; None while all goes well."""
        self._token = b""
        """The state that the present call began with, or the next one will."""
        self._num_answered = 0
        self._is_answered = False
        """Whether the present call has given an answer, so that its state is not `_token` any more."""
        self._done = Summary(num_frames=0, num_cuts=0)
        """What the calls did that are over."""
        self._closing = threading.Event()
        self._offers_memory = offers_memory
        self._memory: SharedFrames | None = None
        """The present call's, offered or in use: another call's server could still write into an older one."""

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
            ClientError: the server cannot be reached, is busy or failed, and no other took the stream in time.
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
                self._let_go_of_memory()  # of a call that was opened while another thread closed the stream
        return frame

    def close(self) -> None:
        """Cancel what is on its way; returns once nothing reads the caller's frames any more."""
        if self.is_closed:
            return
        self.is_closed = True
        self._closing.set()
        with held_ctrl_c():
            self._outbox.stop()
            if self._responses is not None:
                self._responses.cancel()
            self._outbox.wait_until_left()
            self._let_go_of_memory()
        self._on_close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> FrameT | None:
        if self._responses is None:
            self._first = self._outbox.first()
            if self._first is None:
                self._end()
                return None
            self._open_in_time((ServerDrainingError,))
        while True:
            response = self._receive_while_away()
            match response.WhichOneof("message"):
                case "frame":
                    return self._take(response.frame)
                case "late":
                    self._pass_over(response.late)
                    continue
                case "draining":
                    self._leave(response.draining)
                    if not self._outbox.is_done():
                        self._open_in_time(_ELSEWHERE)
                        continue
                case "summary" if not self._outbox.num_unanswered:
                    self._hang_up(convert.summary_from_proto(response.summary))
                case kind:
                    raise ProtocolError(f"the server sent {kind} with {self._outbox.num_unanswered} frames unanswered")
            self._end()
            return None

    def _receive_while_away(self) -> pb.ColorizeFramesResponse:
        """Wait for the next message; from another server, where one went away before it had answered anything."""
        while True:
            try:
                return self._receive()
            except grpc.RpcError as error:
                # With an answer the server took a state along that nobody has: going on would change the colours.
                is_away = isinstance(self._error_of(error), ServerUnavailableError)
                if self._is_answered or not is_away or not self._may_try_again_after(_FIRST_PAUSE_SECONDS):
                    raise
                self._open_in_time(_ELSEWHERE)

    def _open_in_time(self, worth_waiting: tuple[type[Exception], ...]) -> None:
        """Open a call; where these are the errors, again and again until the time is over."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                self._open()
            except grpc.RpcError as raised:
                error = self._error_of(raised)
                if self._token and isinstance(error, InvalidInputError) and error.field == "config.resume_token":
                    logger.warning("resume_token_refused", extra={"target": self._target, "reason": error.reason})
                    self._token = b""
                    continue
                if isinstance(error, ServerDrainingError):
                    worth_waiting = _ELSEWHERE
                retry_seconds = (error.retry_seconds or 0) if isinstance(error, ServerBusyError) else 0
                seconds = max(pause * random.uniform(0.5, 1), retry_seconds)  # noqa: S311 - so that not all come at once
                if not isinstance(error, worth_waiting) or not self._may_try_again_after(seconds):
                    raise
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                return

    def _may_try_again_after(self, seconds: float) -> bool:
        """Wait; False where the time is over, or the stream is closed."""
        if self._until is None:
            self._until = time.monotonic() + self._resume_seconds
        return time.monotonic() + seconds <= self._until and not self._closing.wait(seconds)

    def _open(self) -> None:
        assert self._first is not None
        self._let_go_of_memory()
        if self._offers_memory:
            self._memory = SharedFrames.create(convert.most_plane_bytes(self._first, self._form, self._choices))
        config = convert.config_to_proto(self._first, self._form, self._choices, self._token, self._memory)
        requests = self._requests(config, self._outbox.begin_call(), self._memory)
        with held_ctrl_c():
            self._responses = self._open_call(requests)
            if self.is_closed:  # meanwhile, by another thread
                self._responses.cancel()
        self._is_answered = False
        response = self._receive()
        if response.WhichOneof("message") != "accepted":
            raise ProtocolError("the server answered a stream's config with something else than accepted")
        self.accepted = convert.accepted_from_proto(response.accepted, config.config, self._memory)
        if not self.accepted.is_memory_shared:
            self._let_go_of_memory()
        if response.accepted.resumed:
            self.num_resumed += 1
        elif self._num_answered:
            self.num_restarted += 1
            logger.warning("smoothing_begins_anew", extra={"target": self._target, "frame": self._num_answered})
        self._outbox.grant(self.accepted.credits)

    def _requests(
        self, config: pb.ColorizeFramesRequest, call: int, memory: SharedFrames | None
    ) -> Iterator[pb.ColorizeFramesRequest]:
        """Yield what is to be sent in a call, to which this memory was offered; iterated on a thread of gRPC's."""
        yield config
        for sent in self._outbox.frames_for(call):
            is_shared = memory is not None and self._memory is memory
            yield convert.frame_to_proto(sent.seq, sent.frame, self._choices, memory if is_shared else None)

    def _receive(self) -> pb.ColorizeFramesResponse:
        with held_ctrl_c(self._responses.cancel):
            response: pb.ColorizeFramesResponse | None = next(self._responses, None)
        if response is None:
            raise ProtocolError("the server ended a stream without a summary")
        return response

    def _let_go_of_memory(self) -> None:
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.close()

    def _pass_over(self, late: pb.Late) -> None:
        sent = self._next_sent(late.seq)
        if self._memory is not None:
            self._memory.release(late.seq)
        if "on_late" not in self._choices:
            raise ProtocolError(f"the server gave frame {late.seq} up as too late, though no deadline was set")
        self._choices["on_late"](sent.frame)

    def _next_sent(self, seq: int) -> Sent:
        sent = self._outbox.answered(seq)
        if sent is None:
            raise ProtocolError(f"the server answered frame {seq}, which is not the one that is next")
        self._is_answered, self._until = True, None
        self._num_answered += 1
        return sent

    def _take(self, answer: pb.ColorFrame) -> FrameT | None:
        sent = self._next_sent(answer.seq)
        self.timings = convert.timings_from_proto(answer.timings, time.perf_counter() - sent.time)
        self.is_cut = answer.shot_cut
        memory = self._memory
        try:
            return self._form.read(answer, sent.frame, memory)
        except OSError as error:
            if self.is_closed:  # meanwhile, by another thread
                return None
            raise ClientError(f"the memory shared with the server cannot be read: {error}") from error
        finally:
            if memory is not None:
                memory.release(answer.seq)

    def _leave(self, draining: pb.Draining) -> None:
        """Take from a server that is being stopped what another needs."""
        self._token, self._until = draining.resume_token, None
        try:
            self._hang_up(convert.summary_from_proto(draining.summary))
        except grpc.RpcError:
            logger.info("server_went_while_draining", extra={"target": self._target})  # nothing of it was missing

    def _hang_up(self, summary: Summary) -> None:
        """Note what a call did, and let it end."""
        done = self._done
        self._done = Summary(
            done.num_frames + summary.num_frames, done.num_cuts + summary.num_cuts, done.num_late + summary.num_late
        )
        with held_ctrl_c(self._responses.cancel):
            next(self._responses, None)  # or the server would take the end for a client that left

    def _error_of(self, error: grpc.RpcError) -> Exception:
        return error_from_rpc(error, self._target)

    def _end(self) -> None:
        """Note how the stream ended; raises what the caller's own frames raised."""
        self.summary = self._done
        if self._outbox.error is not None:
            raise self._outbox.error
