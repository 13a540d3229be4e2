"""`kinema evaluate`."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from kinema_core.bundle import load_bundle
from kinema_core.engines.engine import Precision
from kinema_core.engines.select import open_engine
from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.media.output_file import PartialFile
from kinema_core.media.photos import check_photo_suffix, write_photo
from kinema_trainer.evaluation.ab_histogram import AbHistograms
from kinema_trainer.evaluation.bootstrap import NUM_RESAMPLES
from kinema_trainer.evaluation.evaluate import MODEL, Evaluation, PictureScorer, evaluate_photos
from kinema_trainer.evaluation.grid import picture_grid
from kinema_trainer.evaluation.json_file import evaluation_to_json
from kinema_trainer.evaluation.methods import GREY, MEAN_AB, BundleModel, Method, OneColour
from kinema_trainer.evaluation.onnx_colorizer import OnnxColorizer, parse_onnx_spec
from kinema_trainer.evaluation.photo_set import PhotoSet, read_photo_set
from kinema_trainer.evaluation.scores import SCORES, ScoreLabel, better_baseline, verdict

console = Console()

REPORT_FILE = "report.html"

PhotosOption = Annotated[
    Path, typer.Option(exists=True, help="A folder of photographs, tars or npz files, or one such file.")
]
ModelOption = Annotated[
    list[Path] | None,
    typer.Option(help="A bundle's folder; the default model if absent. Given again: further models to compare with."),
]
OnnxOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Also score an ONNX colorizer that takes L and gives ab: FILE, then any of ,l_offset=50 ,l_scale=50 "
        ",ab_scale=110 ,size=256 ,name=NAME. May be given again.",
        metavar="SPEC",
    ),
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write every score here.")]
ReportOption = Annotated[Path | None, typer.Option(help="Write an HTML report: a name ending in .html, or a folder.")]
SizeOption = Annotated[int, typer.Option(min=32, help="The central square is scaled to this side, in pixels.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Take only so many photographs, evenly spread.")]
GridOption = Annotated[Path | None, typer.Option(help="Write a picture of grey, colour and original here.")]
GainsOption = Annotated[str, typer.Option(help="Score also with ab multiplied by these: 0.6,0.8,1.2.", metavar="LIST")]
FrechetOption = Annotated[
    bool, typer.Option("--frechet", help="Score the paired EfficientNet-Lite0 Fréchet distance. Needs torch.")
]
LpipsOption = Annotated[
    Path | None, typer.Option(help="Score LPIPS with this vgg16.pt, of StyleGAN2-ADA's PyTorch release. Needs torch.")
]
InceptionOption = Annotated[
    Path | None,
    typer.Option(help="Score FID and IS with this inception-2015-12-05.pt, of the same release. Needs torch."),
]
ResamplesOption = Annotated[int, typer.Option(min=100, help="Resamples of the bootstrap intervals.")]


def evaluate(
    *,
    photos: PhotosOption,
    model: ModelOption = None,
    onnx: OnnxOption = None,
    json_file: JsonOption = None,
    report: ReportOption = None,
    size: SizeOption = 256,
    limit: LimitOption = None,
    grid: GridOption = None,
    gains: GainsOption = "",
    frechet: FrechetOption = False,
    lpips_weights: LpipsOption = None,
    inception_weights: InceptionOption = None,
    resamples: ResamplesOption = NUM_RESAMPLES,
    engine: Annotated[str, typer.Option(help="auto, openvino or onnxruntime.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="What the models are computed in.")] = "f32",
) -> None:
    """Colorize grey versions of colour photographs and compare with the originals."""
    # What can be wrong is found before the work begins: a typing error shall not cost an hour.
    factors = _parse_gains(gains)
    json_out = PartialFile(json_file, overwrite=True) if json_file else None
    report_out = PartialFile(_report_path(report), overwrite=True) if report else None
    if grid:
        check_photo_suffix(grid)
    histograms = AbHistograms()
    scorers = _open_scorers(frechet, lpips_weights, inception_weights) + ([histograms] if report else [])
    try:
        with ExitStack() as stack, _progress() as progress:
            models = _open_models(model or [None], engine, precision, stack)
            colorizers: list[Method] = [*models, *(OnnxColorizer(parse_onnx_spec(text)) for text in onnx or [])]
            photo_set = read_photo_set(photos, size=size, limit=limit, on_photo=_shown(progress, "reading"))
            result = evaluate_photos(
                photo_set, models[0], [*colorizers[1:], *_baselines(photo_set)], gains=factors, scorers=scorers,
                num_resamples=resamples, on_photo=_shown(progress, "evaluating"),
            )  # fmt: skip
            if json_out:
                _write(json_out, evaluation_to_json(result))
            if report_out:
                from kinema_trainer.evaluation.report import render_report

                _write(report_out, render_report(result, photo_set, colorizers, histograms))
            if grid:
                write_photo(grid, picture_grid(photo_set, models[0]), overwrite=True)
    except KeyboardInterrupt as err:
        console.print("interrupted; what is not written yet is lost")
        raise typer.Exit(130) from err
    _print(result)
    for written in (json_out, report_out):
        if written:
            console.print(f"written: {written.final}")


def _parse_gains(text: str) -> list[float]:
    try:
        return [float(gain) for gain in text.split(",") if gain.strip()]
    except ValueError as err:
        raise InvalidInputError("gains", f"must be numbers with commas between, as in 0.6,0.8, got {text!r}") from err


def _report_path(given: Path) -> Path:
    return given if given.suffix.lower() in {".html", ".htm"} else given / REPORT_FILE


def _open_scorers(is_frechet: bool, lpips_weights: Path | None, inception_weights: Path | None) -> list[PictureScorer]:
    scorers: list[PictureScorer] = []
    if is_frechet:
        from kinema_trainer.evaluation.frechet import Lite0Frechet

        scorers.append(Lite0Frechet())
    if lpips_weights:
        from kinema_trainer.evaluation.lpips import Lpips

        scorers.append(Lpips(lpips_weights))
    if inception_weights:
        from kinema_trainer.evaluation.inception import InceptionScores

        scorers.append(InceptionScores(inception_weights))
    return scorers


def _open_models(
    paths: Sequence[Path | None], engine: str, precision: Precision, stack: ExitStack
) -> list[BundleModel]:
    models: list[BundleModel] = []
    for bundle in map(load_bundle, paths):
        opened = stack.enter_context(closing(open_engine(bundle, engine, precision=precision).engine))
        title = f"{bundle.manifest.name} {bundle.manifest.version}"
        models.append(BundleModel(title if models else MODEL, bundle, opened))
    return models


def _baselines(photos: PhotoSet) -> Sequence[Method]:
    return OneColour(GREY, (0.0, 0.0)), OneColour(MEAN_AB, photos.mean_ab())


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console, transient=True)


def _shown(progress: Progress, what: str) -> Callable[[int, int], None]:
    task = progress.add_task(what, total=None)
    return lambda done, total: progress.update(task, completed=done, total=total)


def _write(file: PartialFile, text: str) -> None:
    try:
        file.partial.write_text(text, encoding="utf-8")
    except OSError as err:
        file.discard()
        raise MediaError(f"{file.final} cannot be written: {err.strerror}") from err
    except BaseException:  # Ctrl-C
        file.discard()
        raise
    file.commit()


def _print(result: Evaluation) -> None:
    console.print(_score_table(result))
    for method, sweep in result.gains.items():
        table = Table("gain", "PSNR, dB", "ΔE00", "CF", title=f"{method}: ab multiplied")
        for point in sweep:
            columns = (point.scores[score] for score in ("psnr", "delta_e", "colourfulness"))
            table.add_row(f"{point.gain:g}", *(f"{mean:.2f}" for mean in columns))
        console.print(table)
    for name, reason in result.skipped.items():
        console.print(f"skipped {name}: {reason}", markup=False)


def _score_table(result: Evaluation) -> Table:
    table = Table("score", title=f"{result.num_photos} photographs at {result.size} px")
    for method in (*result.methods, "model − better baseline"):
        table.add_column(method, justify="right")
    for score in SCORES:
        if score.key not in result.methods[MODEL]:
            continue
        means = (f"{scores[score.key]:.{score.digits}f}" for scores in result.methods.values())
        table.add_row(score.label, *means, _comparison(result, score))
    return table


def _comparison(result: Evaluation, score: ScoreLabel) -> str:
    baseline = better_baseline(result.methods, score)
    if baseline is None or score.key not in result.differences[baseline]:
        return ""
    found = result.differences[baseline][score.key]
    span = f"{found.mean:+.{score.digits}f} ({found.low:+.{score.digits}f} … {found.high:+.{score.digits}f})"
    return f"{span} {verdict(score, found.low, found.high)}"
