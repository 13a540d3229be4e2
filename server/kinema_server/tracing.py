"""Traces of calls, for OpenTelemetry: off by default, and nothing of it is imported until it is asked for.

One span a call, by the gRPC instrumentation, as a child of the client's span where the client sends one; health checks
leave none. Where spans go, how many are kept and under which name is said by OpenTelemetry's own variables
(OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME ...).
"""

import contextlib
import importlib.metadata
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import grpc

from kinema_server.errors import StartError

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter


@contextlib.contextmanager
def traced(is_wanted: bool) -> Iterator[list[grpc.aio.ServerInterceptor]]:  # noqa: FBT001 - the one thing there is to say
    """Yield what a server traces its calls with, nothing if not wanted; on leaving, what is left is sent.

    Raises:
        StartError: OpenTelemetry is not installed.
    """
    if not is_wanted:
        yield []
        return
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider(resource=_resource())
        interceptor = _interceptor(provider)
        provider.add_span_processor(BatchSpanProcessor(make_exporter()))
    except ImportError as error:
        raise StartError(f"tracing needs packages that are missing ({error}): pip install 'kinema[tracing]'") from error
    try:
        yield [interceptor]
    finally:
        provider.shutdown()


def _resource() -> "Resource":
    """Say who Kinema is, unless the environment says otherwise."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    own = Resource({"service.name": "kinema", "service.version": importlib.metadata.version("kinema")})
    return own.merge(OTELResourceDetector().detect())


def make_exporter() -> "SpanExporter":
    """Make what sends spans to a collector, over gRPC."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _interceptor(provider: "TracerProvider") -> grpc.aio.ServerInterceptor:
    from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters

    # The instrumentation takes every handler that streams its answer for an async generator. Kinema's are coroutines
    # that write, and want to be awaited as handlers of one answer are.
    plain = type(aio_server_interceptor())  # type: ignore[no-untyped-call]  # it has none

    class Interceptor(plain):  # type: ignore[misc,valid-type]  # a class that is only known now
        def _intercept_aio_server_stream(self, behavior: Any, call: Any) -> Any:
            if inspect.isasyncgenfunction(behavior):
                return super()._intercept_aio_server_stream(behavior, call)
            return self._intercept_aio_server_unary(behavior, call)

    return Interceptor(provider.get_tracer("kinema_server"), filter_=filters.negate(filters.health_check()))
