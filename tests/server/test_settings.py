"""What a server may be told: flags before the environment before defaults, and nothing out of range."""

import logging
import math
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from kinema_core.errors import InvalidInputError
from kinema_core.log_fields import FieldsFormatter
from kinema_server.cli import key, serve
from kinema_server.keys import KeyRing
from kinema_server.settings import Settings, settings_from

VARIABLES = {
    "KINEMA_HOST": "0.0.0.0",  # noqa: S104 - a value, not a socket
    "KINEMA_PORT": "1",
    "KINEMA_METRICS_PORT": "2",
    "KINEMA_HEALTH_PORT": "12",
    "KINEMA_TLS_CERT": "server.pem",
    "KINEMA_TLS_KEY": "server.key",
    "KINEMA_TLS_CLIENT_CA": "ca.pem",
    "KINEMA_API_KEYS": "keys.toml",
    "KINEMA_RESUME_SECRET": "resume.secret",
    "KINEMA_LOG_FORMAT": "json",
    "KINEMA_MODEL": "some/folder",
    "KINEMA_ENGINE": "onnxruntime",
    "KINEMA_PRECISION": "bf16",
    "KINEMA_THREADS": "3",
    "KINEMA_CREDITS": "4",
    "KINEMA_MAX_STREAMS": "5",
    "KINEMA_MAX_VIDEOS": "13",
    "KINEMA_MAX_VIDEO_BYTES": "14",
    "KINEMA_MAX_FRAME_PIXELS": "6",
    "KINEMA_MAX_PHOTO_PIXELS": "7",
    "KINEMA_MAX_PIXELS_PER_SECOND": "15",
    "KINEMA_MAX_MEMORY_BYTES": "16",
    "KINEMA_MAX_STREAM_MEMORY_BYTES": "17",
    "KINEMA_SHARED_MEMORY": "0",
    "KINEMA_ADMIN_PORT": "20",
    "KINEMA_ADMIN_KEYS": "admins.toml",
    "KINEMA_MAX_SILENCE_SECONDS": "18",
    "KINEMA_KEEPALIVE_SECONDS": "19",
    "KINEMA_KEEP_MEMORY": "0",
    "KINEMA_GRACE_SECONDS": "8.5",
}


def test_the_environment_sets_everything() -> None:
    assert settings_from(VARIABLES) == Settings(
        host="0.0.0.0",  # noqa: S104
        port=1,
        metrics_port=2,
        health_port=12,
        tls_certificate=Path("server.pem"),
        tls_key=Path("server.key"),
        tls_client_ca=Path("ca.pem"),
        api_keys=Path("keys.toml"),
        resume_secret=Path("resume.secret"),
        log_format="json",
        model=Path("some/folder"),
        engine="onnxruntime",
        precision="bf16",
        num_threads=3,
        credits=4,
        max_streams=5,
        max_videos=13,
        max_video_bytes=14,
        max_frame_pixels=6,
        max_photo_pixels=7,
        max_pixels_per_second=15,
        max_memory_bytes=16,
        max_stream_memory_bytes=17,
        shared_memory=False,
        admin_port=20,
        admin_keys=Path("admins.toml"),
        max_silence_seconds=18,
        keepalive_seconds=19,
        keep_memory=False,
        grace_seconds=8.5,
    )


def test_a_flag_comes_before_the_environment_and_that_before_the_default() -> None:
    settings = settings_from({"KINEMA_PORT": "1", "KINEMA_CREDITS": "4", "KINEMA_ENGINE": ""}, port=9, credits=None)

    assert (settings.port, settings.credits, settings.engine) == (9, 4, "auto")


def test_a_variable_that_is_no_number_is_named() -> None:
    with pytest.raises(InvalidInputError, match="KINEMA_PORT"):
        settings_from({"KINEMA_PORT": "http"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", 65536),
        ("metrics_port", 65536),
        ("num_threads", 0),
        ("credits", 0),
        ("credits", 257),
        ("max_streams", 0),
        ("max_frame_pixels", 0),
        ("max_photo_pixels", 8192 * 8192 + 1),
        ("max_pixels_per_second", 0),
        ("max_memory_bytes", 0),
        ("max_stream_memory_bytes", 0),
        ("grace_seconds", -1.0),
        ("grace_seconds", math.nan),
        ("engine", "abacus"),
        ("precision", "f8"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Settings(**{name: value})  # type: ignore[arg-type]  # by name

    assert caught.value.field == name


def test_the_largest_picture_fits_into_a_message() -> None:
    settings = Settings()

    assert settings.max_message_bytes > 3 * settings.max_frame_pixels
    assert settings.max_message_bytes > 3 * settings.max_photo_pixels


def test_a_log_line_holds_its_fields_before_the_traceback() -> None:
    record = logging.makeLogRecord({"msg": "call_failed", "method": "ColorizeFrames", "exc_text": "Traceback"})

    assert FieldsFormatter("%(message)s").format(record) == "call_failed method=ColorizeFrames\nTraceback"


def test_help_shows_the_defaults_and_the_variables() -> None:
    app = typer.Typer()
    app.command()(serve)

    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output

    for expected in ("--port", "50051", "KINEMA_PORT", "127.0.0.1", "--threads", "--credits", "KINEMA_CREDITS", "f32"):
        assert expected in shown


def test_a_key_is_shown_once_and_its_entry_fits_the_file(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(key)

    said = CliRunner().invoke(app, ["studio-a"]).stdout

    (tmp_path / "keys.toml").write_text(said)
    (made,) = [line.removeprefix("# ") for line in said.splitlines() if line.startswith("# kinema_")]
    client = KeyRing(tmp_path / "keys.toml").find(made)
    assert client is not None
    assert client.name == "studio-a"


def test_a_key_for_a_name_that_does_not_fit_is_refused() -> None:
    app = typer.Typer()
    app.command()(key)

    assert isinstance(CliRunner().invoke(app, ['a"b']).exception, InvalidInputError)
