"""`kinema doctor`."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kinema_client.commands import findings
from kinema_client.commands.findings import Finding
from kinema_client.commands.options import BundleOption


def doctor(model: BundleOption = None) -> None:
    """Tell what this machine can do, and what it lacks.

    Exits with 1 if it cannot colorize.
    """
    checks: list[Callable[[], Iterable[Finding]]] = [
        findings.check_system,
        findings.check_gpu,
        findings.check_packages,
        findings.check_codecs,
        partial(findings.check_bundles, model),
        partial(findings.check_engines, model),
    ]
    table = Table.grid(padding=(0, 2))
    for check in checks:
        for finding in _survive(check):
            _add(table, finding)
    colorizing = findings.check_colorizing(model)
    _add(table, colorizing)
    Console().print(table)
    if not colorizing.is_fine:
        raise typer.Exit(1)


def _survive(check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Make a finding of an import that fails within a check; the check of the packages tells what to do about it."""
    try:
        yield from check()
    except ImportError as err:
        yield Finding("Kinema", f"a part of it does not load: {err}", is_fine=False)


def _add(table: Table, finding: Finding) -> None:
    mark = Text("ok", style="green") if finding.is_fine else Text("lacks", style="yellow")
    table.add_row(mark, Text(finding.subject), Text(finding.detail))
    if finding.advice:
        table.add_row("", "", Text(f"→ {finding.advice}", style="bold"))
