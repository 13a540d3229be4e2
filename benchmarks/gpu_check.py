"""What a GPU makes of Kinema: engines, parity, speed, streams, and how near the model comes to the roofline.

    benchmarks/gpu_check.sh [--dry-run] [--parts machine,parity,speed,frames] [--engines torch-cuda,...] [--minutes 9]

Every part runs in a process of its own with a limit on its time, so that one that crashes or hangs costs its own row
and no other. What is known is written after each part: `gpu_check.json` and `gpu_check.md`, under $OUT or --out. A
part that no time is left for is told as such; another call with --parts does it, and adds to the same files.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final

from benchmarks.gpu_report import to_markdown

PARTS: Final = ("machine", "parity", "speed", "frames")
GPU_ENGINES: Final = ("tensorrt", "tensorrt-rtx", "onnxruntime-cuda", "torch-cuda")
PRECISIONS: Final = ("f16", "f32")
DRY_RUN: Final = (
    "machine", "parity:torch:f32", "parity:onnxruntime-cuda:f32", "speed:onnxruntime:f32", "frames:torch:f32",
)  # fmt: skip
"""What runs anywhere, and one that has to say why it does not."""
PART_SECONDS: Final = 150.0
Result = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts and write what came of them; 1 where no engine was found to colour as the CPU does."""
    options = _parse(arguments)
    if options.run_part:
        print(json.dumps(_run_here(options.run_part, is_dry=options.dry_run)))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    report: Result = {"is_dry": True, "parts": {}} if options.dry_run else _read(options.out / "gpu_check.json")
    deadline = monotonic() + 60 * options.minutes
    for name in _plan(options):
        seconds = min(PART_SECONDS, deadline - monotonic())
        if seconds <= 0:
            report["parts"].setdefault(name, {"failed": "no time was left; run it with --parts"})
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "benchmarks.gpu_check", "--run-part", name]
        report["parts"][name] = run_part([*command, *(["--dry-run"] if options.dry_run else [])], seconds)
        _write(options.out, report)
    _write(options.out, report)
    print(to_markdown(report))
    has_run = any(name.startswith("parity") and "failed" not in result for name, result in report["parts"].items())
    return 0 if has_run or "parity" not in options.parts else 1


def run_part(command: Sequence[str], seconds: float) -> Result:
    """Run a part as a process and return what it printed last as JSON, or why there is nothing.

    The result of a part that failed has "failed" alone: the reason in words, with the end of what it said.
    """
    with tempfile.TemporaryFile("w+") as errors:
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"it took longer than {seconds:.0f} seconds"}
        errors.seek(0)
        told = errors.read().strip().splitlines()
    if done.returncode < 0:
        return {"failed": f"it crashed with signal {-done.returncode}: {' / '.join(told[-3:])}"}
    if done.returncode:
        return {"failed": told[-1] if told else f"it ended with status {done.returncode}"}
    try:
        result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {"failed": "it printed no result"}
    return result


def _plan(options: argparse.Namespace) -> list[str]:
    """List the parts, the cheap ones first: `machine`, `parity:ENGINE:PRECISION` and so on."""
    if options.dry_run:
        return [name for name in DRY_RUN if name.split(":")[0] in options.parts]
    engines = [(engine, precision) for engine in options.engines for precision in PRECISIONS]
    plan = []
    for part in options.parts:
        plan += [part] if part == "machine" else [f"{part}:{engine}:{precision}" for engine, precision in engines]
    return plan


def _run_here(name: str, *, is_dry: bool) -> Result:
    from benchmarks import gpu_parts

    part, *arguments = name.split(":")
    result: Result = getattr(gpu_parts, part)(*arguments, is_dry=is_dry)
    return result


def _read(path: Path) -> Result:
    try:
        report: Result = json.loads(path.read_text())
    except FileNotFoundError:
        return {"parts": {}}
    return report


def _write(folder: Path, report: Result) -> None:
    (folder / "gpu_check.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "gpu_check.md").write_text(to_markdown(report))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return text.split(",")

    def parts(text: str) -> list[str]:
        if unknown := set(names(text)) - set(PARTS):
            raise argparse.ArgumentTypeError(f"must be some of {','.join(PARTS)}, got {','.join(sorted(unknown))}")
        return names(text)

    parser = argparse.ArgumentParser(prog="gpu_check", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes on engines of the CPU: does it all run?")
    parser.add_argument("--parts", type=parts, default=list(PARTS), help=f"default: {','.join(PARTS)}")
    parser.add_argument("--engines", type=names, default=list(GPU_ENGINES), help=f"default: {','.join(GPU_ENGINES)}")
    parser.add_argument("--minutes", type=float, default=9.0, help="that all of it may take (default: 9)")
    parser.add_argument(
        "--out", type=Path, default=Path(os.environ.get("OUT", "build/gpu_check")), help="default: $OUT"
    )
    parser.add_argument("--run-part", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
