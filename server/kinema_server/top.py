"""`kinema top`: what a running server does, from its own pages."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kinema_core.errors import InvalidInputError
from kinema_server.errors import ServerError
from kinema_server.metrics import ENGINE_STAGES, FRAME_STAGES
from kinema_server.watches import StreamRow

_TIMEOUT_SECONDS = 5.0
_STAGES = (FRAME_STAGES[0], *ENGINE_STAGES, *FRAME_STAGES[1:])  # in the order of a frame's way


class PageError(ServerError):
    """A server's pages cannot be read."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What a server said at one moment."""

    seconds: float
    """`time.monotonic`, as all that is asked of it are differences."""
    rows: Sequence[StreamRow]
    values: Mapping[tuple[str, str], float]
    """By name of the series, and value of its label `stage` or `outcome`, if it has one."""
    facts: Mapping[str, str]
    """The labels of the series that only describe."""

    def value(self, name: str, label: str = "") -> float:
        """Return a metric's value; 0 for one that the server does not have."""
        return self.values.get((name, label), 0.0)


def top(
    address: Annotated[
        str, typer.Argument(metavar="HOST:PORT", help="Where the server's metrics are.")
    ] = "localhost:9090",
    interval: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between looks.")] = 2.0,
    times: Annotated[int | None, typer.Option(min=1, help="Looks to take; until Ctrl-C if not given.")] = None,
) -> None:
    """Watch the streams of a running server."""
    console = Console()
    snapshots = looks(address, interval, times)
    earlier = next(snapshots)
    if times == 1 or not console.is_terminal:
        console.print(view(earlier, None))
        for later in snapshots:
            console.print(view(later, earlier))
            earlier = later
        return
    with Live(view(earlier, None), console=console, screen=True, auto_refresh=False) as live:
        try:
            for later in snapshots:
                live.update(view(later, earlier), refresh=True)
                earlier = later
        except KeyboardInterrupt:
            return


def looks(address: str, interval: float, times: int | None) -> Iterator[Snapshot]:
    """Look at a server again and again.

    Raises:
        InvalidInputError: the address is not HOST:PORT.
        PageError: the server cannot be reached, or is no Kinema.
    """
    num_looks = 0
    while True:
        yield look(address)
        num_looks += 1
        if num_looks == times:
            return
        time.sleep(interval)


def look(address: str) -> Snapshot:
    """Read a server's pages; raises as `looks` does."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InvalidInputError("address", f"must be HOST:PORT of a server's metrics, got {address!r}")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=_TIMEOUT_SECONDS)
    try:
        rows: list[StreamRow] = json.loads(_read(connection, "/streams"))
        return read_snapshot(rows, _read(connection, "/metrics"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PageError(
            f"no Kinema shows its metrics at {address} ({error}); start it with: kinema serve --metrics-port {port}"
        ) from error
    finally:
        connection.close()


def _read(connection: http.client.HTTPConnection, path: str) -> str:
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status != 200:
        raise http.client.HTTPException(f"{path}: {answer.status} {answer.reason}")
    return text


def read_snapshot(rows: Sequence[StreamRow], metrics: str) -> Snapshot:
    """Read what the pages hold.

    Raises:
        ValueError: `metrics` is not in Prometheus's form.
    """
    values: dict[tuple[str, str], float] = {}
    facts: dict[str, str] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name in {"kinema_engine_info", "kinema_model_info"}:
                facts |= sample.labels
            elif set(sample.labels) <= {"stage", "outcome"}:
                values[sample.name, next(iter(sample.labels.values()), "")] = sample.value
    return Snapshot(time.monotonic(), rows, values, facts)


def view(now: Snapshot, earlier: Snapshot | None) -> Group:
    """Draw a snapshot; rates are since `earlier`, those of streams since they began where there is none."""
    return Group(_summary(now, earlier), _stages(now, earlier), _streams(now, earlier))


def _summary(now: Snapshot, earlier: Snapshot | None) -> Text:
    facts = now.facts
    lines = [
        (
            f"model {facts.get('model', '?')} {facts.get('version', '?')}, {facts.get('engine', '?')}"
            f" {facts.get('precision', '?')} on {facts.get('device', '?')}"
        ),
        (
            f"{now.value('kinema_places_used'):.0f} of {now.value('kinema_places_max'):.0f} places taken,"
            f" {now.value('kinema_queue_depth'):.0f} pictures waiting, credits"
            f" {now.value('kinema_credits_used'):.0f} of {now.value('kinema_credits_granted'):.0f},"
            f" memory {now.value('process_resident_memory_bytes') / 2**30:.2f} GiB"
        ),
    ]
    if earlier is not None:
        rate = _rate(now, earlier, "kinema_frames_total", "colorized")
        failed = now.value("kinema_engine_failures_total")
        lines.append(f"{rate:.1f} frames/s, {failed:.0f} failures of the engine since it started")
    return Text("\n".join(lines))


def _stages(now: Snapshot, earlier: Snapshot | None) -> Table:
    table = Table(
        title="milliseconds in each stage, mean" + ("" if earlier else " since the start"), title_justify="left"
    )
    cells = []
    for stage in _STAGES:
        table.add_column(stage.replace("_", " "), justify="right")
        count, total = (
            now.value(f"kinema_stage_seconds_{part}", stage)
            - (earlier.value(f"kinema_stage_seconds_{part}", stage) if earlier else 0)
            for part in ("count", "sum")
        )
        cells.append(f"{1000 * total / count:.1f}" if count else "-")
    table.add_row(*cells)
    return table


def _streams(now: Snapshot, earlier: Snapshot | None) -> Table:
    table = Table(title=f"{len(now.rows)} streams and films", title_justify="left")
    for column in ("no.", "kind", "size", "open", "frames", "frames/s", "in flight", "cuts", "colour", "flicker"):
        table.add_column(column, justify="left" if column in {"kind", "size"} else "right")
    before = {row["number"]: row for row in earlier.rows} if earlier else {}
    for row in now.rows:
        table.add_row(
            str(row["number"]),
            row["kind"],
            f"{row['width']}x{row['height']}" if row["width"] else "-",
            _clock(row["seconds"]),
            str(row["num_answered"]),
            f"{_frames_a_second(row, before.get(row['number'])):.1f}",
            f"{row['in_flight']}/{row['credits']}" if row["credits"] else "-",
            str(row["num_cuts"]),
            _number(row["colourfulness"], ".0f"),
            _number(row["flicker"], ".2f"),
        )
    return table


def _frames_a_second(row: StreamRow, before: StreamRow | None) -> float:
    since: Mapping[str, Any] = before or {"num_answered": 0, "seconds": 0.0}
    seconds = row["seconds"] - since["seconds"]
    return float(row["num_answered"] - since["num_answered"]) / seconds if seconds > 0 else 0.0


def _rate(now: Snapshot, earlier: Snapshot, name: str, label: str) -> float:
    seconds = max(now.seconds - earlier.seconds, 1e-3)
    return max(now.value(name, label) - earlier.value(name, label), 0.0) / seconds  # less, and it was started anew


def _clock(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
