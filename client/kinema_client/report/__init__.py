"""`--report`: what was made of a film, as one HTML page that needs nothing else.

A `FilmRecorder` looks at every frame that is written; what it gives is a `FilmRecord`, which can be kept as JSON in
pieces and joined; `write_report` draws the page.
"""

from kinema_client.report.film_facts import file_facts, source_facts
from kinema_client.report.job import Job
from kinema_client.report.record import FilmRecord, join_records, record_from_json, record_to_json
from kinema_client.report.recorder import FilmRecorder
from kinema_client.report.warning_log import WarningLog, collected_warnings
from kinema_client.report.write import check_report_path, write_report

__all__ = [
    "FilmRecord",
    "FilmRecorder",
    "Job",
    "WarningLog",
    "check_report_path",
    "collected_warnings",
    "file_facts",
    "join_records",
    "record_from_json",
    "record_to_json",
    "source_facts",
    "write_report",
]
