import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinema_client.cli import main
from kinema_client.commands import segmented_film
from kinema_client.commands.compare import beside_grey, width_beside_grey
from kinema_core.bundle import Bundle
from kinema_core.color import rgb_to_grey, rgb_to_ycbcr
from kinema_core.frames import ColorFrame, ColorTags
from kinema_core.media.photos import read_photo, write_photo
from kinema_core.media.writer import FilmWriter
from kinema_server.app import running_server
from kinema_server.keys import digest_of, new_key
from kinema_server.settings import Settings
from tests.client.conftest import server_on_a_thread
from tests.core.films import make_film, read_film, read_packets
from tests.core.tiny_models import tiny_bundle
from tests.fakes import FAKE_BUNDLE, FakeEngine, random_luma

Colorize = Callable[..., int]
KINEMA = (sys.executable, "-m", "kinema_client.cli")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("models") / "tiny", working_size=64)


@pytest.fixture
def colorize(bundle: Bundle) -> Colorize:
    """Run `kinema colorize` with the tiny model."""
    return lambda *arguments: main(["colorize", "--model", str(bundle.path), *map(str, arguments)])


def noise(seed: int, height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_a_film_keeps_its_luma_its_times_and_its_sound(colorize: Colorize, tmp_path: Path) -> None:
    made = make_film(tmp_path / "old.mkv", sounds=["eng", "deu"])

    code = colorize(tmp_path / "old.mkv", tmp_path / "new.mkv", "--codec", "ffv1")

    times, pictures = read_film(tmp_path / "new.mkv")
    assert code == 0
    assert times == read_film(tmp_path / "old.mkv")[0]
    assert all(np.array_equal(new[0], old[0]) for new, old in zip(pictures, made, strict=True))
    assert read_packets(tmp_path / "new.mkv", "audio") == read_packets(tmp_path / "old.mkv", "audio")


def test_a_film_gets_colour_and_a_line_that_says_so(
    colorize: Colorize, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_film(tmp_path / "old.mkv", pix_fmt="gray")

    colorize(tmp_path / "old.mkv", tmp_path / "new.mp4")

    _, pictures = read_film(tmp_path / "new.mp4")
    said, progress = capfd.readouterr()
    assert abs(pictures[0][1].astype(int) - 128).max() > 2
    assert said.count("\n") == 1
    assert f"{tmp_path / 'new.mp4'}: 12 frames in " in said
    assert "frames/s (tiny 1.0 on " in said
    assert "\x1b" not in said + progress


def test_two_runs_and_every_engine_hold_the_same_luma_and_nearly_the_same_colour(
    colorize: Colorize, tmp_path: Path
) -> None:
    make_film(tmp_path / "old.mkv")

    for name in ("openvino", "onnxruntime"):
        assert colorize(tmp_path / "old.mkv", tmp_path / f"{name}.mkv", "--codec", "ffv1", "--engine", name) == 0

    left, right = (read_film(tmp_path / f"{name}.mkv")[1] for name in ("openvino", "onnxruntime"))
    for one, other in zip(left, right, strict=True):
        assert np.array_equal(one[0], other[0])
        # One code: sums that run in another order may fall on the other side of a rounding.
        assert max(np.abs(a.astype(int) - b).max() for a, b in zip(one[1:], other[1:], strict=True)) <= 1


def test_saturation_zero_gives_grey(colorize: Colorize, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv")

    colorize(tmp_path / "old.mkv", tmp_path / "new.mkv", "--codec", "ffv1", "--saturation", 0)

    _, pictures = read_film(tmp_path / "new.mkv")
    assert all((plane == 128).all() for picture in pictures for plane in picture[1:])


def test_compare_puts_the_grey_film_on_the_left(colorize: Colorize, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", width=64)
    colorize(tmp_path / "old.mkv", tmp_path / "alone.mkv", "--codec", "ffv1")

    colorize(tmp_path / "old.mkv", tmp_path / "both.mkv", "--codec", "ffv1", "--compare")

    for both, alone in zip(read_film(tmp_path / "both.mkv")[1], read_film(tmp_path / "alone.mkv")[1], strict=True):
        assert np.array_equal(both[0], np.hstack([alone[0], alone[0]]))
        for chroma, own in zip(both[1:], alone[1:], strict=True):
            assert np.array_equal(chroma, np.hstack([np.full_like(own, 128), own]))


@given(height=st.integers(1, 5), width=st.integers(1, 9), bit_depth=st.sampled_from([8, 10]))
def test_two_pictures_side_by_side_share_no_chroma_sample(height: int, width: int, bit_depth: int) -> None:
    tags = ColorTags(bit_depth=bit_depth)
    chroma = ((height + 1) // 2, (width + 1) // 2)
    planes = (random_luma(height, width, tags, 1), random_luma(*chroma, tags, 2), random_luma(*chroma, tags, 3))
    frame = ColorFrame(*planes, pts=5, time_base=Fraction(1, 25), tags=tags)

    both = beside_grey(frame)

    left = width_beside_grey(width) - width
    assert left % 2 == 0
    assert np.array_equal(both.luma[:, left:], frame.luma)
    assert np.array_equal(both.luma[:, :width], frame.luma)
    assert np.array_equal(both.cb[:, left // 2 :], frame.cb)
    assert np.array_equal(both.cr[:, left // 2 :], frame.cr)
    assert (both.cb[:, : left // 2] == 1 << (bit_depth - 1)).all()


def test_a_photo_comes_out_in_colour_and_size(colorize: Colorize, tmp_path: Path) -> None:
    write_photo(tmp_path / "old.png", noise(1))

    assert colorize(tmp_path / "old.png", tmp_path / "new.png") == 0

    colour = read_photo(tmp_path / "new.png")
    assert colour.shape == (40, 60, 3)
    assert (colour.max(axis=2) - colour.min(axis=2)).mean() > 2


def test_compare_puts_the_grey_photo_on_the_left(colorize: Colorize, tmp_path: Path) -> None:
    write_photo(tmp_path / "old.png", noise(1))
    colorize(tmp_path / "old.png", tmp_path / "alone.png")

    colorize(tmp_path / "old.png", tmp_path / "both.png", "--compare")

    grey = cv2.cvtColor(rgb_to_grey(noise(1)), cv2.COLOR_GRAY2RGB)
    assert np.array_equal(read_photo(tmp_path / "both.png"), np.hstack([grey, read_photo(tmp_path / "alone.png")]))


def test_the_photos_of_a_folder_keep_their_names(colorize: Colorize, tmp_path: Path) -> None:
    for name in ("a.png", "deep/er/b.jpg"):
        write_photo(tmp_path / "in" / name, noise(2))

    assert colorize(tmp_path / "in", tmp_path / "out") == 0

    written = [path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(map(str, written)) == ["a.png", "deep/er/b.jpg"]


def test_a_bad_photo_is_named_and_does_not_keep_the_others_back(
    colorize: Colorize, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "c.png"):
        write_photo(tmp_path / "in" / name, noise(2))
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")

    code = colorize(tmp_path / "in", tmp_path / "out")

    assert code == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"kinema: 1 of 3 photos could not be colorized: {tmp_path / 'in' / 'b.png'}"


def test_results_that_lie_in_the_folder_itself_are_not_colorized_again(colorize: Colorize, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.png", noise(2))

    colorize(tmp_path, tmp_path / "colour")
    assert colorize(tmp_path, tmp_path / "colour", "--force") == 0

    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["a.png", "a.png"]


@pytest.mark.parametrize("kind", ["film", "photo", "folder"])
def test_what_is_there_is_left_alone_without_force(
    kind: str, tmp_path: Path, bundle: Bundle, colorize: Colorize, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    if kind == "film":
        source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
        make_film(source)
    elif kind == "photo":
        source, target = tmp_path / "in.png", tmp_path / "out.png"
        write_photo(source, noise(3))
    else:
        write_photo(source / "a.png", noise(3))
        write_photo(source / "b.png", noise(3))
    there = target / "b.png" if kind == "folder" else target
    there.parent.mkdir(exist_ok=True)
    there.write_bytes(b"precious")

    # The model does not exist: that nothing is said about it shows that it was not even looked for.
    code = main(["colorize", str(source), str(target), "--model", str(bundle.path / "none")])

    assert code == 1
    assert there.read_bytes() == b"precious"
    assert not (target / "a.png").exists()
    message = capsys.readouterr().err
    assert str(there) in message
    assert "--force" in message
    assert "none" not in message

    assert colorize(source, target, "--force") == 0
    assert there.read_bytes() != b"precious"


def test_every_choice_about_files_is_heard(
    colorize: Colorize, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_film(tmp_path / "old.mkv", subtitles="pgssub", is_moving=True, is_interlaced=True)
    choices = ("--codec", "hevc", "--crf", "30", "--preset", "ultrafast", "--lenient")

    refused = colorize(tmp_path / "old.mkv", tmp_path / "new.mp4")
    code = colorize(tmp_path / "old.mkv", tmp_path / "new.mp4", *choices)
    pictures = colorize(tmp_path / "old.mkv", tmp_path / "new" / "%03d.png", "--deinterlace", "off")
    again = colorize(tmp_path / "new" / "%03d.png", tmp_path / "again.mkv", "--fps", "18", "--codec", "av1")

    said = capsys.readouterr().err
    assert (refused, code, pictures, again) == (1, 0, 0, 0)
    assert "say --lenient to leave it out" in said
    with av.open(tmp_path / "new.mp4") as film:
        assert film.streams.video[0].codec_context.codec.canonical_name == "hevc"
    with av.open(tmp_path / "again.mkv") as film:
        assert film.streams.video[0].codec_context.codec.canonical_name == "av1"
        assert film.streams.video[0].average_rate == Fraction(18)
    assert len(read_film(tmp_path / "again.mkv")[0]) == len(read_film(tmp_path / "new.mp4")[0]) == 12


def test_numbered_pictures_that_are_there_are_left_alone_without_force(
    colorize: Colorize, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_film(tmp_path / "old.mkv", pts=[0, 40])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "1.png").write_bytes(b"precious")

    # The model does not exist: that nothing is said about it shows that it was not even looked for.
    code = main(["colorize", str(tmp_path / "old.mkv"), str(tmp_path / "out" / "%d.png"), "--model", "none"])

    assert code == 1
    assert "there are pictures in" in capsys.readouterr().err
    assert (tmp_path / "out" / "1.png").read_bytes() == b"precious"
    assert colorize(tmp_path / "old.mkv", tmp_path / "out" / "%d.png", "--force") == 0
    assert (tmp_path / "out" / "1.png").read_bytes() != b"precious"


def test_a_film_is_never_written_over_itself(
    colorize: Colorize, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_film(tmp_path / "old.mkv")
    before = (tmp_path / "old.mkv").read_bytes()
    (tmp_path / "link.mkv").symlink_to(tmp_path / "old.mkv")

    for target in ("old.mkv", "link.mkv"):
        assert colorize(tmp_path / "old.mkv", tmp_path / target, "--force") == 1
        assert "is the input itself" in capsys.readouterr().err

    assert (tmp_path / "old.mkv").read_bytes() == before


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("none.mp4", "out.mp4", "there is no"),
        ("*.png", "out.mp4", "scan_%05d.png"),
        ("folder", "text.txt", "is a file; name a folder"),
        ("folder", "out.mp4", "scan_%05d.png"),
        ("text.txt", "folder", "is a folder; name a file"),
        ("text.txt", "out.mp4", "text.txt"),
        ("photo.png", "out.mp4", "a photo is one of"),
        ("photo.png", "-", "a photo is one of"),
        ("empty", "out", "there is no photo in"),
    ],
)
def test_a_pair_that_does_not_fit_is_one_line_and_leaves_nothing(
    colorize: Colorize, tmp_path: Path, source: str, target: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text("no film")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").mkdir()
    write_photo(tmp_path / "photo.png", noise(4))
    write_photo(tmp_path / "folder" / "photo.png", noise(4))
    before = sorted(tmp_path.rglob("*"))

    code = colorize(tmp_path / source, target if target == "-" else tmp_path / target)

    message = capsys.readouterr().err
    assert code == 1
    assert message.startswith("kinema: ")
    assert message.count("\n") == 1
    assert reason in message
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments",
    [["--saturation", "3"], ["--smoothing", "-1"], ["--engine", "cuda"], ["--codec", "divx"],
     ["--preset", "warp"], ["--crf", "64"], ["--deinterlace", "maybe"], ["--fps", "0"], ["--fps", "1/0"],
     ["--warmth", "1.5"], ["--desaturate-blacks", "60"], ["--desaturate-highlights", "40"],
     ["--server", "x:1", "--engine", "openvino"]],
)  # fmt: skip
def test_an_option_out_of_range_is_a_usage_error(arguments: list[str], colorize: Colorize, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv")

    assert colorize(tmp_path / "old.mkv", tmp_path / "new.mkv", *arguments) == 2


@pytest.mark.parametrize("is_steered", [False, True])
async def test_a_server_gives_the_same_bits_as_this_process(
    is_steered: bool, colorize: Colorize, bundle: Bundle, tmp_path: Path
) -> None:
    make_film(tmp_path / "old.mkv", sounds=["eng"])
    write_photo(tmp_path / "old.png", noise(5))
    write_photo(tmp_path / "reference.png", noise(6))
    steering = ["--warmth", "0.3", "--desaturate-blacks", "12.3", "--desaturate-highlights", "88.8"]
    steering += ["--reference", str(tmp_path / "reference.png")]
    async with running_server(Settings(port=0, model=bundle.path, grace_seconds=0)) as server:
        for way, options in (("here", ()), ("there", ("--server", server.address, "--model", "tiny"))):
            for source, target in (("old.mkv", f"{way}.mkv"), ("old.png", f"{way}.png")):
                paths = (tmp_path / source, tmp_path / target)
                codec = ("--codec", "ffv1") if target.endswith("mkv") else ()
                steered = steering if is_steered else []
                assert await asyncio.to_thread(colorize, *paths, *codec, *options, *steered) == 0

    assert (tmp_path / "here.png").read_bytes() == (tmp_path / "there.png").read_bytes()
    (times, here), (times_there, there) = (read_film(tmp_path / f"{way}.mkv") for way in ("here", "there"))
    assert times == times_there
    for one, other in zip(here, there, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert read_packets(tmp_path / "there.mkv", "audio") == read_packets(tmp_path / "here.mkv", "audio")


@pytest.mark.parametrize("way", ["here", "there"])
async def test_what_is_in_colour_is_kept_and_what_is_tinted_is_colorized(
    way: str, colorize: Colorize, bundle: Bundle, tmp_path: Path
) -> None:
    colour = cv2.resize(noise(7, 4, 6), (60, 40), interpolation=cv2.INTER_NEAREST)
    grey = cv2.resize(noise(8, 4, 6)[..., :1], (60, 40), interpolation=cv2.INTER_NEAREST)[..., None]
    tinted = (grey * np.array([1, 0.8, 0.5])).astype(np.uint8)
    planes = {name: rgb_to_ycbcr(rgb, ColorTags()) for name, rgb in (("colour", colour), ("tinted", tinted))}
    for name, rgb in (("colour", colour), ("tinted", tinted)):
        write_photo(tmp_path / f"{name}.png", rgb)
        with FilmWriter(
            tmp_path / f"{name}.mkv", height=40, width=60, time_base=Fraction(1, 24), tags=ColorTags(), codec="ffv1"
        ) as film:
            for pts in range(4):
                film.write(ColorFrame(*planes[name], pts, Fraction(1, 24)))

    async with running_server(Settings(port=0, model=bundle.path, grace_seconds=0)) as server:
        options = ["--keep-colour", *(["--server", server.address, "--model", "tiny"] if way == "there" else [])]
        for name in ("colour.mkv", "tinted.mkv", "colour.png", "tinted.png"):
            codec = ["--codec", "ffv1"] if name.endswith("mkv") else []
            paths = tmp_path / name, tmp_path / f"new-{name}"
            assert await asyncio.to_thread(colorize, *paths, *codec, *options) == 0

    for name, is_kept in (("colour", True), ("tinted", False)):
        assert np.array_equal(read_photo(tmp_path / f"new-{name}.png"), read_photo(tmp_path / f"{name}.png")) == is_kept
        _, pictures = read_film(tmp_path / f"new-{name}.mkv")
        assert len(pictures) == 4
        for luma, cb, cr in pictures:
            np.testing.assert_array_equal(luma, planes[name][0])
            assert np.array_equal(cb, planes[name][1]) == is_kept
            assert np.array_equal(cr, planes[name][2]) == is_kept


def test_a_reference_that_is_not_there_is_one_line(
    colorize: Colorize, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_film(tmp_path / "old.mkv")

    assert colorize(tmp_path / "old.mkv", tmp_path / "new.mkv", "--reference", tmp_path / "none.jpg") == 1

    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "none.jpg" in message


async def test_a_model_that_the_server_lacks_is_named(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_film(tmp_path / "old.mkv")
    arguments = ["colorize", str(tmp_path / "old.mkv"), str(tmp_path / "new.mkv"), "--model", "huge", "--server"]
    async with running_server(Settings(port=0, model=bundle.path, grace_seconds=0)) as server:
        code = await asyncio.to_thread(main, [*arguments, server.address])

    assert code == 1
    assert "(tiny), got 'huge'" in capsys.readouterr().err


def test_a_server_with_certificate_and_keys_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, key = trustme.CA(), new_key()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "server.key")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "keys.toml").write_text(f'[[key]]\nname = "me"\nsha256 = "{digest_of(key)}"\n')
    settings = Settings(
        port=0,
        tls_certificate=tmp_path / "server.pem",
        tls_key=tmp_path / "server.key",
        api_keys=tmp_path / "keys.toml",
    )
    make_film(tmp_path / "old.mkv")
    monkeypatch.setenv("KINEMA_API_KEY", key)

    with server_on_a_thread(FakeEngine(), settings) as server:
        remote = ["--server", server.address, "--tls", "--tls-ca", str(tmp_path / "ca.pem")]
        code = main(["colorize", str(tmp_path / "old.mkv"), str(tmp_path / "new.mkv"), *remote])

    assert code == 0
    assert len(read_film(tmp_path / "new.mkv")[1]) == 12


@pytest.mark.parametrize("options", [["--tls"], ["--server", "localhost:1", "--tls-ca", "ca.pem"]])
def test_options_for_encryption_without_it_are_a_usage_error(
    options: list[str], colorize: Colorize, tmp_path: Path
) -> None:
    make_film(tmp_path / "old.mkv")

    assert colorize(str(tmp_path / "old.mkv"), str(tmp_path / "new.mkv"), *options) == 2


def test_a_server_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_film(tmp_path / "old.mkv")
    monkeypatch.setenv("KINEMA_MODEL", "/a/folder/of/this/machine")  # means nothing to a server

    code = main(["colorize", str(tmp_path / "old.mkv"), str(tmp_path / "new.mkv"), "--server", "localhost:1"])

    message = capsys.readouterr().err
    assert code == 1
    assert "localhost:1" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "new.mkv").exists()


def test_a_film_can_be_piped_through(bundle: Bundle, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv")

    with (tmp_path / "old.mkv").open("rb") as source:
        done = subprocess.run(
            [*KINEMA, "colorize", "-", "-", "--codec", "ffv1", "--model", str(bundle.path)],
            stdin=source, capture_output=True, check=True,
        )  # fmt: skip

    (tmp_path / "new.mkv").write_bytes(done.stdout)
    assert len(read_film(tmp_path / "new.mkv")[1]) == 12
    assert b"standard output: 12 frames" in done.stderr


# A command that a shell starts with `&` ignores Ctrl-C, and so does what it starts.
HEED_CTRL_C = """
import signal, sys
from kinema_client.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""


def interrupt_under_way(
    source: Path, target: Path, *options: str, is_time: Callable[[], bool] | None = None
) -> tuple[int, str]:
    """Run `kinema colorize`, press Ctrl-C once something is there, and give exit code and standard error."""
    target.parent.mkdir()
    is_time = is_time or (lambda: any(target.parent.iterdir()))
    command = [sys.executable, "-c", HEED_CTRL_C, "colorize", str(source), str(target), "--codec", "ffv1", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 60
            while not is_time():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)

            os.kill(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, said


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(bundle: Bundle, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=list(range(0, 40 * 3000, 40)))
    target = tmp_path / "out" / "new.mkv"

    def is_kept() -> bool:
        return any(target.parent.glob(".new.mkv.kinema/0*.json"))

    code, said = interrupt_under_way(tmp_path / "old.mkv", target, "--model", str(bundle.path), is_time=is_kept)

    folder = target.parent / ".new.mkv.kinema"
    kept = re.fullmatch(
        rf"interrupted; nothing was written under {target}; (\d+) frames are kept in {folder}; "
        "the same command goes on behind them\n",
        said,
    )
    assert code == 130
    assert kept is not None, said
    assert int(kept[1]) >= segmented_film.MIN_FRAMES
    assert list(target.parent.iterdir()) == [folder]
    again = ["colorize", str(tmp_path / "old.mkv"), str(target), "--codec", "ffv1", "--model", str(bundle.path)]
    assert main(again) == 0
    assert len(read_film(target)[0]) == 3000
    assert list(target.parent.iterdir()) == [target]


def test_ctrl_c_leaves_no_half_film(bundle: Bundle, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=list(range(0, 40 * 3000, 40)))
    target = tmp_path / "out" / "new.mkv"

    code, said = interrupt_under_way(tmp_path / "old.mkv", target, "--model", str(bundle.path))

    assert (code, said) == (130, f"interrupted; nothing was written under {target}\n")
    assert not any(target.parent.iterdir())


async def test_ctrl_c_while_a_server_works_leaves_no_half_film_(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv")
    target = tmp_path / "out" / "new.mkv"
    engine = FakeEngine()
    engine.gate.clear()  # the server answers no frame
    async with running_server(Settings(port=0, grace_seconds=0), bundle=FAKE_BUNDLE, engine=engine) as server:
        paths = (tmp_path / "old.mkv", target)
        code, said = await asyncio.to_thread(interrupt_under_way, *paths, "--server", server.address)
        engine.gate.set()

    assert (code, said) == (130, f"interrupted; nothing was written under {target}\n")
    assert not any(target.parent.iterdir())
