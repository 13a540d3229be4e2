"""The page of a film's report, written to its place."""

import os
from pathlib import Path
from typing import Final

from kinema_client.report.job import Job
from kinema_client.report.page import render_page
from kinema_client.report.record import FilmRecord
from kinema_core.errors import MediaError, OutputExistsError
from kinema_core.media.output_file import PartialFile

REPORT_SUFFIXES: Final = (".htm", ".html")


def check_report_path(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Look at the path alone, before any work.

    Raises:
        OutputExistsError: it is there already, and `overwrite` is False.
        MediaError: it is not named as a page.
    """
    report = Path(path)
    if report.suffix.lower() not in REPORT_SUFFIXES or report.is_dir():
        raise MediaError(f"{report}: a report is a page, {' or '.join(REPORT_SUFFIXES)}; name it so")
    if report.exists() and not overwrite:
        raise OutputExistsError(f"{report} is there already; give another name, or --force to replace it")


def write_report(path: str | os.PathLike[str], record: FilmRecord, job: Job, *, overwrite: bool = False) -> None:
    """Write the page, complete or not at all; a missing folder is created.

    Raises:
        OutputExistsError: the name is taken, and `overwrite` is False.
        MediaError: it cannot be written.
    """
    file = PartialFile(path, overwrite=overwrite)
    try:
        file.partial.write_bytes(render_page(record, job))
    except OSError as err:
        file.discard()
        raise MediaError(f"{os.fspath(path)} cannot be written: {err.strerror}; is there space left?") from err
    except BaseException:  # Ctrl-C
        file.discard()
        raise
    file.commit()
