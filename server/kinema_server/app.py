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
from grpc_reflection.v1alpha import reflection

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.bundle import Bundle, load_bundle
from kinema_core.engines.engine import Engine
from kinema_core.engines.select import EngineChoice, open_engine
from kinema_core.frames import ColorTags, LumaFrame
from kinema_core.pipeline import Colorizer, colorize_frames
from kinema_server.access import AccessControl
from kinema_server.batching import BatchPlan, measured_plan
from kinema_server.drain import Drain
from kinema_server.errors import StartError
from kinema_server.keys import KeyRing
from kinema_server.metrics import Metrics
from kinema_server.operator_pages import operator_pages
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
    bundle: Bundle
    engine: Engine
    metrics: Metrics
    drain: Drain
    """Has begun once the server was told to stop."""

    @property
    def address(self) -> str:
        """`host:port`, as a client takes it."""
        return _address(self.host, self.port)


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
        tokens = ResumeTokens(Secrets(settings.resume_secret), bundle.digest)
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

        keys = [AccessControl(KeyRing(settings.api_keys), metrics.refused)] if settings.api_keys is not None else []
        traces = stack.enter_context(traced(settings.tracing))
        server = grpc.aio.server(options=_server_options(settings), interceptors=[*traces, *keys])
        pb_grpc.add_ColorizerServicer_to_server(
            ColorizerServicer(settings, bundle, scheduler, metrics, watches, drain, tokens), server
        )
        healths = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(healths, server)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        certificate = Certificate(settings.tls_files) if settings.tls_files is not None else None
        if certificate is not None:
            metrics.watch_certificate(certificate.not_after)
        port = _listen(server, settings.host, settings.port, certificate)
        health_port = None
        if settings.health_port is not None:
            probes = grpc.aio.server(options=_server_options(settings))
            health_pb2_grpc.add_HealthServicer_to_server(healths, probes)
            health_port = _listen(probes, settings.host, settings.health_port, None)
            await probes.start()
            stack.push_async_callback(probes.stop, None)
        await server.start()
        stack.push_async_callback(_stop, server, drain, settings.grace_seconds)
        stack.push_async_callback(healths.enter_graceful_shutdown)
        for service in ("", SERVICE):
            await healths.set(service, HealthCheckResponse.SERVING)

        logger.info("server_started", extra={"port": port, "model": bundle.manifest.name, "digest": bundle.digest})
        yield RunningServer(settings.host, port, metrics_port, health_port, bundle, engine, metrics, drain)


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


def _server_options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a port shared with a stranger
    ]


def _listen(server: grpc.aio.Server, host: str, port: int, certificate: Certificate | None) -> int:
    address = _address(host, port)
    credentials = certificate.credentials() if certificate is not None else None
    try:
        if credentials is not None:
            return server.add_secure_port(address, credentials)
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise StartError(f"cannot listen on {address}: taken by another program, or not this machine's") from error


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
