"""What an operator reads over HTTP: `/metrics` for Prometheus, `/streams` for `kinema top`."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from kinema_server.errors import StartError
from kinema_server.watches import StreamRow

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request on a thread of its own, so that a slow reader delays nobody."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 10.0
    """Seconds that a request may take to arrive: a connection that says nothing keeps no thread."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has
        """Log nothing: a scrape every few seconds is no event."""


@contextlib.contextmanager
def operator_pages(
    host: str, port: int | None, registry: CollectorRegistry, rows: Callable[[], list[StreamRow]]
) -> Iterator[int | None]:
    """Serve the pages on `port`, 0 for any free one, None for none; yields the port.

    Raises:
        StartError: the port is taken or may not be used.
    """
    if port is None:
        yield None
        return
    try:
        server = make_server(host, port, pages(registry, rows), server_class=_Server, handler_class=_Handler)
    except OSError as error:
        raise StartError(f"cannot serve metrics on port {port}: {error.strerror}") from error
    thread = threading.Thread(target=server.serve_forever, name="kinema-pages", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def pages(registry: CollectorRegistry, rows: Callable[[], list[StreamRow]]) -> "WSGIApplication":
    """Make the application."""
    metrics: WSGIApplication = make_wsgi_app(registry)

    def application(environment: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        match environment.get("PATH_INFO"):
            case "/metrics":
                return metrics(environment, start_response)
            case "/streams":
                start_response("200 OK", [("Content-Type", "application/json")])
                return [json.dumps(rows()).encode()]
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"here are /metrics and /streams\n"]

    return application
