"""Servers in processes of their own: started, asked how they are, and ended."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
START_SECONDS = 120


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A server that answers."""

    process: "subprocess.Popen[str]"
    port: int
    metrics_port: int | None

    @property
    def target(self) -> str:
        """As gRPC takes it."""
        return f"127.0.0.1:{self.port}"

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the process so far, all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_kib(self) -> int:
        """Memory that the process holds, without what it shares with others."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        fields = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
        return sum(int(fields[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))

    def gauges(self) -> dict[str, float]:
        """Read what has no label from the server's own metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as page:
            families = text_string_to_metric_families(str(page.read(), "utf-8"))
            return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}

    def terminate(self) -> None:
        """Tell it to stop, as Kubernetes does."""
        self.process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def served(module: str, *arguments: str, python: str = sys.executable) -> Iterator[Served]:
    """Run a module of this package until the block is left; it prints its ports as JSON, on a line by itself."""
    command = [python, "-m", f"benchmarks.serving.{module}", *arguments]
    # A peer's own environment has no Kinema, and needs the messages alone.
    environment = os.environ if python == sys.executable else os.environ | {"PYTHONPATH": str(ROOT / "protos")}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        ports = next((json.loads(line) for line in process.stdout if line.startswith("{")), None)
        if ports is None:
            raise RuntimeError(f"{' '.join(command)} ended before it served: see above")
        yield Served(process, ports["port"], ports.get("metrics_port"))
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with whatever it started
        process.wait()


def kinema(*arguments: str) -> contextlib.AbstractContextManager[Served]:
    """Run Kinema's server; the arguments are those of `server.py`."""
    return served("server", *arguments)
