import socket
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from demo import run
from kinema_core.color import rgb_to_ycbcr
from kinema_core.frames import ColorFrame, ColorTags, Matrix
from kinema_core.media.photos import read_photo
from tests.core.films import make_film, read_film
from tests.core.tiny_models import tiny_bundle


@pytest.fixture
def tiny_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the demo's server take the tiny model."""
    tiny_bundle(tmp_path / "tiny")
    monkeypatch.setenv("KINEMA_MODEL", str(tmp_path / "tiny"))


def answers(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.usefixtures("tiny_model")
def test_the_demo_writes_the_film_and_the_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_film(tmp_path / "clip.mp4", codec="libx264")
    monkeypatch.setattr(run, "CLIP", tmp_path / "clip.mp4")
    for name in ("COLOUR", "COMPARE", "STILLS"):
        monkeypatch.setattr(run, name, tmp_path / getattr(run, name).name)

    code = run.main()

    said = capsys.readouterr().out
    assert code == 0
    assert read_film(tmp_path / "colour.mp4")[0] == read_film(run.CLIP)[0]
    with av.open(tmp_path / "colour.mp4") as container:
        video = container.streams.video[0].codec_context
        assert (video.name, video.pix_fmt, video.colorspace, video.color_range) == ("h264", "yuv420p", 1, 1)
    for name in ("compare.png", "stills.png"):
        assert read_photo(tmp_path / name).shape[1] <= 1400
        assert str(tmp_path / name) in said
    for word in ("frames a second", "p50", "p90", "p99", "engine"):
        assert word in said


@pytest.mark.usefixtures("tiny_model")
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_server_is_stopped_whatever_happens(error: type[BaseException]) -> None:
    addresses = []

    with suppress(error), run.running_server() as address:
        addresses.append(address)
        assert answers(address)
        raise error

    assert not answers(addresses[0])


def test_a_server_that_does_not_start_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KINEMA_MODEL", str(tmp_path / "none"))

    code = run.main()

    said = capsys.readouterr().err
    assert code == 1
    assert "the server did not start" in said
    assert str(tmp_path / "none") in said


@pytest.mark.parametrize("matrix", list(Matrix))
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 140, 200)])
def test_a_flat_frame_is_shown_in_its_very_colour(matrix: Matrix, colour: tuple[int, int, int]) -> None:
    rgb = np.full((4, 6, 3), colour, np.uint8)
    tags = ColorTags(matrix)
    planes = rgb_to_ycbcr(rgb, tags)

    shown = run.frame_to_rgb(ColorFrame(*planes, pts=0, time_base=Fraction(1, 25), tags=tags))

    assert np.abs(shown.astype(int) - rgb).max() <= 3  # codes of limited range are coarser than 8-bit RGB


def test_a_frame_without_saturation_is_grey() -> None:
    planes = (np.full((2, 2), 126, np.uint8), np.full((1, 1), 30, np.uint8), np.full((1, 1), 200, np.uint8))

    shown = run.frame_to_rgb(ColorFrame(*planes, pts=0, time_base=Fraction(1, 25)), saturation=0)

    assert (shown == round((126 - 16) / 219 * 255)).all()


def test_pictures_of_all_shapes_fit_into_the_grid() -> None:
    wide, tall = np.zeros((100, 900, 3), np.uint8), np.zeros((900, 100, 3), np.uint8)

    grid = run.draw_grid([("wide", [wide] * 3), ("tall", [tall] * 3)])

    assert grid.shape[1] <= 1400
    assert (grid == 0).all(axis=2).sum() >= 3 * (run.CELL[0] * 48 + run.CELL[1] * 33)
    assert (grid[:, : run.GAP] == 255).all()
