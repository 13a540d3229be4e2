"""What `gpu_check` found, as tables in Markdown."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from benchmarks.gpu_roofline import Layer, Rates, roofline_seconds

Result = dict[str, Any]

PARITY_COLUMNS: Final = (
    "engine", "precision", "mean ΔE00", "max Δab", "same bits again", "same bits alone and in a batch",
    "chroma equal on the device and by the CPU, largest difference",
)  # fmt: skip
SPEED_COLUMNS: Final = ("engine", "precision", "size", "batch", "ms a frame", "roofline ms", "reached")
FRAMES_COLUMNS: Final = (
    "engine", "precision", "on the device", "batches up to", "film", "model size", "streams", "frames a second",
    "p99 ms a frame", "slower than 1/24 s",
)  # fmt: skip


def to_markdown(report: Result) -> str:
    """Write tables of what ran, and a list of what did not and why."""
    parts: dict[str, Result] = report["parts"]
    machine = parts.get("machine", {})
    lines = ["# GPU check" + (": a dry run, whose numbers mean nothing" if report.get("is_dry") else ""), ""]
    if "rates" in machine:
        lines += _machine(machine)
    rates = Rates(**machine["rates"]) if "rates" in machine else None
    for title, kind, columns, rows in (
        ("Parity with ONNX Runtime on the CPU, f32", "parity", PARITY_COLUMNS, _parity),
        ("The model, from array to array", "speed", SPEED_COLUMNS, partial(_speed, rates)),
        ("Luma to chroma in host memory, streams that share one engine", "frames", FRAMES_COLUMNS, _frames),
    ):
        ran = [(*_engine_of(name), part) for name, part in parts.items() if _ran(name, kind, part)]
        if ran:
            lines += [f"## {title}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
            lines += [row for engine, precision, part in ran for row in rows(engine, precision, part)]
            lines += [""]
            lines += [f"- {engine} {precision}: {part['gpu_mebibytes']} MiB of GPU memory more than before it began"
                      for engine, precision, part in ran if part.get("gpu_mebibytes") is not None]  # fmt: skip
    failures = [f"- `{name}`: {part['failed']}" for name, part in parts.items() if "failed" in part]
    if failures:
        lines += ["", "## What did not run", "", *failures]
    return "\n".join(lines) + "\n"


def _ran(name: str, kind: str, part: Result) -> bool:
    return name.startswith(f"{kind}:") and "failed" not in part


def _engine_of(name: str) -> tuple[str, str]:
    _, engine, precision = name.split(":")
    return engine, precision


def _machine(machine: Result) -> list[str]:
    rates = machine["rates"]
    matmul = ", ".join(f"{name} {flops / 1e12:.3g}" for name, flops in rates["matmul_flops"].items())
    return [
        f"{machine['name']} ({machine['device']}), torch {machine['torch']}, CUDA {machine['cuda']}", "",
        f"- matrix products: {matmul} TFLOP/s",
        (f"- copies: {rates['copy_bytes'] / 1e9:.3g} GB/s within the device's memory, read and written; "
        f"{rates['upload_bytes'] / 1e9:.3g} up, {rates['download_bytes'] / 1e9:.3g} down"), "",
    ]  # fmt: skip


def _parity(engine: str, precision: str, part: Result) -> Iterator[str]:
    alone = "yes" if part["is_same_alone"] else f"no, Δab {part['max_difference_alone']:.2g}"
    both = part.get("by_both_ways")
    ways = "one way" if both is None else f"{both['equal']:.2%}, {both['largest']}"
    yield (f"| {engine} | {precision} | {part['delta_e']:.2g} | {part['max_ab_difference']:.2g} "
           f"| {'yes' if part['is_same_again'] else 'no'} | {alone} | {ways} |")  # fmt: skip


def _speed(rates: Rates | None, engine: str, precision: str, part: Result) -> Iterator[str]:
    for row in part["rows"]:
        start = f"| {engine} | {precision} | {row['width']}x{row['height']} | {row['batch']} |"
        if "error" in row:
            yield f"{start} {row['error'].splitlines()[0]} | | |"
            continue
        roofline, reached = "", ""
        if rates is not None:
            least = roofline_seconds([Layer(**layer) for layer in row["layers"]], rates, precision)
            least_milliseconds = 1e3 * least / row["batch"]
            roofline, reached = f"{least_milliseconds:.3g}", f"{least_milliseconds / row['milliseconds']:.0%}"
        yield f"{start} {row['milliseconds']:.3g} | {roofline} | {reached} |"


def _frames(engine: str, precision: str, part: Result) -> Iterator[str]:
    for row in part["rows"]:
        slowest = "none in time" if row["p99_milliseconds"] is None else f"{row['p99_milliseconds']:.1f}"
        slow = "" if row.get("slow_share") is None else f"{row['slow_share']:.1%}"
        on_device = "yes" if part["is_on_device"] else "no"
        size = f"{row['width']}x{row['height']}"
        yield (f"| {engine} | {precision} | {on_device} | {part.get('max_batch', 1)} | {size} | {part['working_size']} "
               f"| {row['streams']} | {row['frames_per_second']:.1f} | {slowest} | {slow} |")  # fmt: skip
