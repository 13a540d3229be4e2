"""`kinema models`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from kinema_core.bundle import MANIFEST_FILE, Bundle, list_bundles, load_bundle
from kinema_core.errors import BundleError

console = Console()

FolderOption = Annotated[
    list[Path] | None,
    typer.Option(exists=True, file_okay=False, help="Also list a bundle, or the bundles of a folder. May be repeated."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """A row of the table, and an object of the JSON."""

    name: str
    version: str
    path: str
    num_parameters: int
    megabytes: float
    """All ONNX files together, in 10^6 bytes."""
    forms: tuple[str, ...]
    working_size: int
    gflops: float | None
    psnr: float | None
    """RGB, dB."""
    delta_e: float | None
    """Mean CIEDE2000."""
    colourfulness_ratio: float | None
    """Mean colourfulness over the truth's."""
    digest: str


def models(
    folder: FolderOption = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")] = False,
) -> None:
    """List model bundles: those that come with Kinema, and those of --folder."""
    summaries, problems = [], []
    for path in [*list_bundles(), *(path for given in folder or [] for path in _bundles_of(given))]:
        try:
            summaries.append(summarize(load_bundle(path)))
        except BundleError as err:
            problems.append(str(err))
    if is_json:
        typer.echo(json.dumps([asdict(summary) for summary in summaries], indent=1, ensure_ascii=False))
    else:
        console.print(_table(summaries))
    for problem in problems:
        typer.echo(f"not usable: {problem}", err=True)
    if problems:
        raise typer.Exit(1)


def summarize(bundle: Bundle) -> ModelSummary:
    """Return what the list says of a bundle; None for a score that it does not state."""
    manifest, scores = bundle.manifest, bundle.manifest.scores
    ratio = scores.get("colourfulness_ratio")
    if ratio is None and scores.get("truth_colourfulness") and "colourfulness" in scores:
        ratio = scores["colourfulness"] / scores["truth_colourfulness"]
    return ModelSummary(
        name=manifest.name, version=manifest.version, path=str(bundle.path), num_parameters=manifest.num_parameters,
        megabytes=(len(bundle.onnx) + len(bundle.int8_onnx or b"")) / 1e6, forms=bundle.forms,
        working_size=manifest.working_size, gflops=scores.get("gflops"), psnr=scores.get("psnr"),
        delta_e=scores.get("delta_e"), colourfulness_ratio=ratio, digest=bundle.digest,
    )  # fmt: skip


def _bundles_of(folder: Path) -> list[Path]:
    if (folder / MANIFEST_FILE).is_file():
        return [folder]
    if not (bundles := list_bundles(folder)):
        raise typer.BadParameter(f"there is no model bundle in {folder}", param_hint="--folder")
    return bundles


def _table(summaries: list[ModelSummary]) -> Table:
    table = Table("model", "forms", box=None, pad_edge=False)
    for title in ("weights", "MB", "GFLOPs", "PSNR", "ΔE00", "CF ratio"):
        table.add_column(title, justify="right")
    table.add_column("digest")
    for row in summaries:
        table.add_row(
            f"{row.name} {row.version}", ", ".join(row.forms), f"{row.num_parameters / 1e6:.1f} M",
            f"{row.megabytes:.1f}", _number(row.gflops), _number(row.psnr), _number(row.delta_e),
            _number(row.colourfulness_ratio), row.digest[:12],
        )  # fmt: skip
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
