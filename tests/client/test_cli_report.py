"""`kinema colorize --report`."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kinema_client.cli import main
from kinema_core.bundle import Bundle
from kinema_core.media.photos import write_photo
from kinema_server.app import running_server
from kinema_server.settings import Settings
from tests.client.test_report_page import Page
from tests.core.films import make_film, read_film
from tests.core.tiny_models import tiny_bundle

Colorize = Callable[..., int]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("models") / "tiny", working_size=64)


@pytest.fixture
def colorize(bundle: Bundle, tmp_path: Path) -> Colorize:
    """Run `kinema colorize` with the tiny model, from and to the test's folder."""
    return lambda source, target, *options: main(
        ["colorize", "--model", str(bundle.path), str(tmp_path / source), str(tmp_path / target), *map(str, options)]
    )


def page_at(path: Path) -> Page:
    return Page(path.read_bytes().decode())


def test_a_report_tells_of_film_model_and_time(
    colorize: Colorize, bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_film(tmp_path / "old.mkv", title="Title & <Co>", tags=(2, 0, 2, 2), subtitles="subrip")

    code = colorize("old.mkv", "new.mp4", "--smoothing", "0.5", "--report", tmp_path / "report.html")

    page = page_at(tmp_path / "report.html")
    assert code == 0
    for told in ("old.mkv", "Title & <Co>", "12 frames", "tiny, version 1.0", bundle.digest, "Encode and write",
                 "tags assumed", "subtitles converted", "Confidence (filled share"):  # fmt: skip
        assert told in page.text, told
    assert "tags_assumed" not in capfd.readouterr().err


def test_a_report_changes_nothing_in_the_film(colorize: Colorize, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv")

    colorize("old.mkv", "one.mkv", "--codec", "ffv1")
    colorize("old.mkv", "two.mkv", "--codec", "ffv1", "--report", tmp_path / "report.html")

    one, two = read_film(tmp_path / "one.mkv"), read_film(tmp_path / "two.mkv")
    assert one[0] == two[0]
    assert all((a == b).all() for x, y in zip(one[1], two[1], strict=True) for a, b in zip(x, y, strict=True))


def test_what_is_left_out_is_in_the_report(colorize: Colorize, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", subtitles="pgssub")

    assert colorize("old.mkv", "new.mp4", "--lenient", "--report", tmp_path / "report.html") == 0

    page = page_at(tmp_path / "report.html")
    assert "stream not copied" in page.text
    assert "Lenient" in page.text


async def test_through_a_server_confidence_is_left_out(colorize: Colorize, bundle: Bundle, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv")
    report = tmp_path / "report.html"
    async with running_server(Settings(port=0, model=bundle.path, grace_seconds=0)) as server:
        options = ("--server", server.address, "--model", "tiny", "--report", report)
        assert await asyncio.to_thread(colorize, "old.mkv", "new.mkv", *options) == 0

    page = page_at(report)
    for told in ("Confidence is left out", "tiny, version 1.0", bundle.digest, server.address, "openvino, f32",
                 "Wait for the server's engine", "none left in its own colour"):  # fmt: skip
        assert told in page.text, told


@pytest.mark.parametrize(
    ("source", "report", "reason"),
    [
        ("old.mkv", "report.pdf", "name it so"),
        ("old.mkv", "there.html", "--force"),
        ("old.png", "report.html", "leave out --report"),
        ("photos", "report.html", "whose photos go to a folder"),
    ],
)
def test_a_report_that_cannot_be_is_refused_before_any_work(
    source: str, report: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_film(tmp_path / "old.mkv")
    write_photo(tmp_path / "old.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "photos").mkdir()
    (tmp_path / "there.html").write_text("precious")
    before = sorted(tmp_path.rglob("*"))

    # The model does not exist: that nothing is said about it shows that it was not even looked for.
    code = main([
        "colorize", str(tmp_path / source), str(tmp_path / "new.mkv"), "--model", "none",
        "--report", str(tmp_path / report),
    ])  # fmt: skip

    assert code == 1
    assert reason in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.html").read_text() == "precious"


def test_force_replaces_a_report(colorize: Colorize, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv")
    (tmp_path / "report.html").write_text("precious")

    assert colorize("old.mkv", "new.mkv", "--force", "--report", tmp_path / "report.html") == 0

    assert "12 frames" in page_at(tmp_path / "report.html").text


def test_a_film_that_fails_leaves_no_report(colorize: Colorize, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=[40 * number for number in range(60)])
    whole = (tmp_path / "old.mkv").read_bytes()
    (tmp_path / "torn.mkv").write_bytes(whole[: len(whole) // 3])

    assert colorize("torn.mkv", "new.mkv", "--report", tmp_path / "report.html") == 1

    assert not (tmp_path / "report.html").exists()
