"""The server's start and stop."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from fractions import Fraction

import grpc
import numpy as np
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.bundle import Bundle, load_bundle
from kinema_core.engines.engine import Engine
from kinema_core.engines.select import EngineChoice, open_engine
from kinema_core.frames import ColorTags, LumaFrame
from kinema_core.pipeline import Colorizer, colorize_frames
from kinema_server.access import AccessControl
from kinema_server.admin import admin_server
from kinema_server.batching import BatchPlan, measured_plan
from kinema_server.drain import Drain
from kinema_server.keys import KeyRing
from kinema_server.listening import address_of, listen, server_options
from kinema_server.metrics import Metrics
from kinema_server.operator_pages import operator_pages
from kinema_server.reflection import add_reflection
from kinema_server.resume_tokens import ResumeTokens, Secrets
from kinema_server.scheduler import Scheduler
from kinema_server.servicer import ColorizerServicer
from kinema_server.settings import Settings
from kinema_server.tls import Certificate
from kinema_server.tracing import traced
from kinema_server.watches import Watches

logger = logging.getLogger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["Colorizer"].full_name


@dataclass(frozen=True, slots=True, eq=False)
class RunningServer:
    """A server that answers."""

    host: str
    port: int
    metrics_port: int | None
    health_port: int | None
    admin_port: int | None
    bundle: Bundle
    engine: Engine
    metrics: Metrics
    drain: Drain
    """Has begun once the server was told to stop."""

    @property
    def address(self) -> str:
        """`host:port`, as a client takes it."""
        return address_of(self.host, self.port)


@contextlib.asynccontextmanager
async def running_server(
    settings: Settings, *, bundle: Bundle | None = None, engine: Engine | None = None
) -> AsyncIterator[RunningServer]:
    """Run a server; on leaving, what is under way gets `grace_seconds` to end.

    Streams of frames end behind the frames that were taken, with a token for another server; nothing new is taken.
    A bundle and an engine that are given are used instead of those that the settings name, and stay the caller's.

    Raises:
        StartError: a port is taken or may not be used, a certificate, the keys or the secret cannot be read, or tracing
            is missing.
        BundleError: the model cannot be used.
        EngineUnavailableError: the engine cannot run on this machine.
    """
    async with contextlib.AsyncExitStack() as stack:
        if bundle is None:
            bundle = await asyncio.to_thread(load_bundle, settings.model)
        batching = BatchPlan()
        passed_over: Mapping[str, str] = {}
        if engine is None:
            choice = await asyncio.to_thread(_open_engine, settings, bundle)
            engine, passed_over = choice.engine, choice.passed_over
            stack.callback(engine.close)
            batching = await asyncio.to_thread(measured_plan, engine, bundle.manifest)
        secrets = Secrets(settings.resume_secret)
        tokens = ResumeTokens(secrets, bundle.digest)
        drain = Drain()
        metrics = Metrics(bundle, engine, passed_over)
        watches = Watches(metrics)
        metrics_port = stack.enter_context(
            operator_pages(settings.host, settings.metrics_port, metrics.registry, watches.rows)
        )
        scheduler = await stack.enter_async_context(
            Scheduler(
                engine,
                max_lanes=settings.max_streams,
                max_videos=settings.max_videos,
                batching=batching,
                watch=metrics,
            )
        )
        logger.info("frames_stay_on", extra={"device": scheduler.way.device})
        metrics.watch_scheduler(scheduler, max_places=settings.max_streams, max_video_places=settings.max_videos)

        keys = KeyRing(settings.api_keys) if settings.api_keys is not None else None
        access = [AccessControl(keys, SERVICE, metrics.refused)] if keys is not None else []
        traces = stack.enter_context(traced(settings.tracing))
        server = grpc.aio.server(
            options=server_options(settings),
            interceptors=[*traces, *access],
            maximum_concurrent_rpcs=settings.max_calls,
        )
        pb_grpc.add_ColorizerServicer_to_server(
            ColorizerServicer(settings, bundle, scheduler, metrics, watches, drain, tokens), server
        )
        healths = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(healths, server)
        add_reflection((SERVICE, health.SERVICE_NAME), server)
        certificate = Certificate(settings.tls_files) if settings.tls_files is not None else None
        if certificate is not None:
            metrics.watch_certificate(certificate.not_after)
        shared_secret = secrets if settings.resume_secret is not None else None
        files = {"api keys": keys, "certificate": certificate, "resume secret": shared_secret}
        port = listen(server, settings.host, settings.port, certificate)
        health_port = await stack.enter_async_context(_probe_server(settings, healths))
        admin_port = await stack.enter_async_context(admin_server(settings, watches, files, metrics.refused))
        await server.start()
        stack.push_async_callback(_stop, server, drain, settings.grace_seconds)
        stack.push_async_callback(healths.enter_graceful_shutdown)
        for service in ("", SERVICE):
            await healths.set(service, HealthCheckResponse.SERVING)

        logger.info("server_started", extra={"port": port, "model": bundle.manifest.name, "digest": bundle.digest})
        yield RunningServer(settings.host, port, metrics_port, health_port, admin_port, bundle, engine, metrics, drain)


@contextlib.asynccontextmanager
async def _probe_server(settings: Settings, healths: health.aio.HealthServicer) -> AsyncIterator[int | None]:
    """Tell health on a port of its own, if that is wanted; yields the port."""
    if settings.health_port is None:
        yield None
        return
    server = grpc.aio.server(options=server_options(settings))
    health_pb2_grpc.add_HealthServicer_to_server(healths, server)
    port = listen(server, settings.host, settings.health_port, None)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def _stop(server: grpc.aio.Server, drain: Drain, grace_seconds: float) -> None:
    """Stop a server. It listens until its streams of frames have left: who comes meanwhile is told to go elsewhere."""
    until = time.monotonic() + grace_seconds
    drain.begin()
    await drain.wait(grace_seconds)
    await server.stop(max(0.0, until - time.monotonic()))


async def serve_until_signal(
    server: AbstractAsyncContextManager[RunningServer], on_ready: Callable[[RunningServer], None]
) -> None:
    """Run a `running_server` until SIGINT or SIGTERM; a second signal does not wait for what is under way.

    Raises:
        KinemaError: as `running_server` does.
    """
    is_told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with server as running:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, is_told_to_stop.set)
        on_ready(running)
        await is_told_to_stop.wait()
        logger.info("server_stopping")
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _open_engine(settings: Settings, bundle: Bundle) -> EngineChoice:
    choice = open_engine(bundle, settings.engine, precision=settings.precision, num_threads=settings.num_threads)
    _warm_up(choice.engine, bundle)
    return choice


def _warm_up(engine: Engine, bundle: Bundle) -> None:
    """Make the tables and buffers that are made on first use, so that no stream's first frame waits for them."""
    tags = ColorTags()
    frame = LumaFrame(np.zeros((360, 640), np.uint8), pts=0, time_base=Fraction(1), tags=tags)
    list(colorize_frames([frame], Colorizer(bundle.manifest, height=360, width=640, tags=tags), engine))
