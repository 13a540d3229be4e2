"""The service's methods: translate, await, and refuse."""

import asyncio
import contextlib
import logging
import time
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeAlias, TypeVar

import grpc
from grpc_status import rpc_status

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.bundle import Bundle
from kinema_core.errors import InvalidInputError
from kinema_server import convert
from kinema_server.aborting import abort
from kinema_server.access import Quotas
from kinema_server.admission import Admission, Terms
from kinema_server.drain import Drain
from kinema_server.errors import UnknownModelError, error_to_status, is_servers_fault
from kinema_server.incoming import Incoming
from kinema_server.lane_engine import LaneEngine
from kinema_server.metrics import Metrics
from kinema_server.pace import paced
from kinema_server.photos import colorize_encoded
from kinema_server.request_ids import begin_request
from kinema_server.resume_tokens import FIELD, ResumePoint, ResumeTokens
from kinema_server.scheduler import Lane, Scheduler
from kinema_server.settings import Settings
from kinema_server.shared_frames import Offer, SharedFrames, is_local, opened
from kinema_server.stream import Stream, StreamSpec
from kinema_server.videos import Event, Handover, Upload, VideoRequest, abandoned, colorize_video
from kinema_server.watches import Watch, Watches

logger = logging.getLogger(__name__)

T = TypeVar("T")
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class ColorizerServicer(pb_grpc.ColorizerServicer):
    """`kinema.v1.Colorizer`, for one model and the engine that runs it."""

    def __init__(
        self,
        settings: Settings,
        bundle: Bundle,
        scheduler: Scheduler,
        metrics: Metrics,
        watches: Watches,
        drain: Drain,
        tokens: ResumeTokens,
    ) -> None:
        self._settings = settings
        self._bundle = bundle
        self._scheduler = scheduler
        self._metrics = metrics
        self._quotas = Quotas()
        self._admission = Admission(settings, bundle.manifest)
        metrics.watch_admission(self._admission)
        self._watches = watches
        self._drain = drain
        self._tokens = tokens

    async def ColorizeFrames(  # type: ignore[override]  # noqa: N802 - grpc.aio takes a handler that writes as well
        self,
        request_iterator: AsyncIterator[pb.ColorizeFramesRequest],  # noqa: ARG002 - see Incoming
        context: Context,
    ) -> None:
        """Answer each frame of a stream, in order."""
        conversation = convert.Conversation(Incoming(context), max_pixels=self._settings.max_frame_pixels)
        async with self._call("ColorizeFrames", context, conversation), self._drain.stream() as drainable:
            spec = await drainable.before_drain(self._soon("config", conversation.config()))
            self._check_model("config.model", spec.model)
            terms = self._admission.terms(spec)
            with (
                self._quotas.stream(terms.pixels_per_second),
                self._admission.admitted(terms),
                self._scheduler.lane(terms.num_credits) as lane,
                self._watches.stream(spec.height, spec.width, lane) as watch,
                self._shared_frames(conversation.offer, spec, terms, context.peer()) as memory,
            ):
                stream = Stream(spec, self._bundle.manifest, self._scheduler, lane, watch.tally, watch.smoothed)
                is_resumed = await self._resume(stream, conversation)
                await context.write(
                    convert.accepted_to_proto(
                        stream, self._bundle, terms.max_frame_rate, is_resumed=is_resumed, memory=memory
                    )
                )
                translate = partial(convert.answer_to_proto, form=spec.output_form, memory=memory)
                async with (
                    contextlib.aclosing(conversation.frames(spec, memory)) as sent,
                    contextlib.aclosing(paced(sent, terms.max_frame_rate, burst=terms.num_credits)) as in_time,
                    contextlib.aclosing(drainable.frames(in_time)) as frames,
                    contextlib.aclosing(stream.colorize(frames, translate)) as answers,
                ):
                    async for answer, response in answers:
                        with watch.sending(answer):
                            await context.write(response)
                        conversation.last_answered_seq = answer.seq
                        del answer, response  # a stream that waits for its client holds no frame
                if drainable.is_cut_short:
                    token = await self._scheduler.run_frame(self._token_of, stream, conversation.last_answered_seq)
                    await context.write(convert.draining_to_proto(watch.tally, token))
                    self._metrics.streams_drained.inc()
                else:
                    await context.write(convert.summary_to_proto(watch.tally))

    def _shared_frames(
        self, offer: Offer | None, spec: StreamSpec, terms: Terms, peer: str
    ) -> AbstractContextManager[SharedFrames | None]:
        if offer is None:
            return contextlib.nullcontext()
        if not self._settings.shared_memory or not is_local(peer):
            return self._metrics.sharing(contextlib.nullcontext())
        return self._metrics.sharing(opened(offer, spec, self._admission.admitted_besides(terms, offer.num_bytes)))

    async def _resume(self, stream: Stream, conversation: convert.Conversation) -> bool:
        """Take a stream on from where another server left it; False where it begins here."""
        if not conversation.resume_token:
            return False
        try:
            point = await self._scheduler.run_frame(self._tokens.open, stream.spec, conversation.resume_token)
            await self._scheduler.run_frame(stream.import_state, point.state)
        except InvalidInputError as error:
            self._metrics.resume_tokens_refused.inc()
            raise InvalidInputError(FIELD, error.reason) from error
        conversation.resume_behind(point.last_answered_seq)
        self._metrics.streams_resumed.inc()
        return True

    def _token_of(self, stream: Stream, last_answered_seq: int | None) -> bytes:
        return self._tokens.seal(stream.spec, ResumePoint(last_answered_seq, stream.export_state()))

    async def ColorizeVideo(  # type: ignore[override]  # noqa: N802 - as above
        self, request_iterator: AsyncIterator[pb.ColorizeVideoRequest], context: Context
    ) -> None:
        """Answer a film with a film."""
        async with self._call("ColorizeVideo", context):
            request = await self._soon("config", convert.video_from_proto(request_iterator))
            self._check_model("config.model", request.model)
            with self._quotas.stream(), self._scheduler.lane(1) as lane, self._watches.film() as watch:
                async with contextlib.aclosing(self._video_events(request, request_iterator, lane, watch)) as events:
                    async for event in events:
                        await context.write(convert.event_to_proto(event, self._bundle, self._scheduler.engine))

    async def _video_events(
        self, request: VideoRequest, requests: AsyncIterator[pb.ColorizeVideoRequest], lane: Lane, watch: Watch
    ) -> AsyncGenerator[Event, None]:
        """Receive and colorize a film at the same time; leaving ends both."""
        upload, handover = Upload(max_bytes=self._settings.max_video_bytes), Handover()
        engine, manifest = LaneEngine(self._scheduler, lane), self._bundle.manifest
        max_pixels = self._settings.max_frame_pixels
        work = asyncio.create_task(
            self._scheduler.run_video(
                colorize_video,
                upload,
                request,
                engine,
                manifest,
                handover,
                max_pixels=max_pixels,
                on_smoothed=watch.smoothed,
            )
        )
        receiving = asyncio.create_task(self._receive_video(requests, upload))
        try:
            async with contextlib.aclosing(handover.events(until=work)) as events:
                async for event in events:
                    watch.note(event)
                    yield event
            await work
        finally:
            upload.fail(abandoned())
            handover.abandon()
            receiving.cancel()
            await asyncio.gather(work, receiving, return_exceptions=True)
            upload.close()

    async def _receive_video(self, requests: AsyncIterator[pb.ColorizeVideoRequest], upload: Upload) -> None:
        try:
            while (request := await self._soon("chunk", anext(requests, None))) is not None:
                await self._scheduler.run_frame(upload.append, convert.chunk_from_proto(request))
        except Exception as error:  # noqa: BLE001 - raised where the film is read
            upload.fail(error)
        else:
            upload.complete()

    async def ColorizeImage(  # noqa: N802
        self, request: pb.ColorizeImageRequest, context: Context
    ) -> pb.ColorizeImageResponse:
        """Answer one photograph."""
        async with self._call("ColorizeImage", context):
            started = time.perf_counter()
            photo = convert.photo_from_proto(request)
            self._check_model("model", photo.model)
            with self._quotas.stream(), self._scheduler.lane(1) as lane:
                image, seconds = await self._scheduler.run_photo(
                    colorize_encoded,
                    photo,
                    self._scheduler,
                    lane,
                    self._bundle.manifest,
                    max_pixels=self._settings.max_photo_pixels,
                )
            self._metrics.observe_photo(time.perf_counter() - started)
            return convert.image_to_proto(image, self._bundle, seconds)

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:  # noqa: ARG002, N802
        """Name the models."""
        async with self._call("ListModels", context):
            return convert.models_to_proto([self._bundle])

    async def _soon(self, field: str, coming: Awaitable[T]) -> T:
        """Wait for what a client is to send, but not for ever: it holds a place meanwhile."""
        seconds = self._settings.max_silence_seconds
        try:
            async with asyncio.timeout(seconds) as waiting:
                return await coming
        except TimeoutError:
            if not waiting.expired():
                raise
            raise InvalidInputError(field, f"must come within {seconds:g} s, and did not") from None

    def _check_model(self, field: str, name: str) -> None:
        known = self._bundle.manifest.name
        if name not in {"", known}:
            raise UnknownModelError(field, f"must be {known!r}, or empty for the default, got {name[:100]!r}")

    @contextlib.asynccontextmanager
    async def _call(
        self, method: str, context: Context, conversation: convert.Conversation | None = None
    ) -> AsyncIterator[None]:
        """Give a call its id, count it, and tell the client why it failed."""
        await context.send_initial_metadata((("x-request-id", begin_request(context.invocation_metadata())),))
        try:
            self._drain.check()
            yield
        except asyncio.CancelledError:
            self._metrics.calls.labels(method, "CANCELLED").inc()
            raise
        except grpc.aio.InternalError:
            # A write to a client that has gone can fail before gRPC cancels the call.
            self._metrics.calls.labels(method, "CANCELLED").inc()
            await context.abort(grpc.StatusCode.CANCELLED, "what was written did not go out")
        except Exception as error:
            if is_servers_fault(error):
                logger.exception("call_failed", extra={"method": method})
            else:
                logger.info("call_refused", extra={"method": method, "reason": str(error)[:300]})
            last_seq = conversation.last_answered_seq if conversation else None
            metadata = {} if last_seq is None else {"last_accepted_seq": str(last_seq)}
            status = error_to_status(error, metadata)
            # A task holds the error, its traceback's frames hold the task, and they would keep all of the stream.
            traceback.clear_frames(error.__traceback__)
            self._metrics.calls.labels(method, rpc_status.to_status(status).code.name).inc()
            await abort(context, status)
        else:
            self._metrics.calls.labels(method, "OK").inc()
