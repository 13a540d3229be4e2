"""Films that are interrupted, and gone on with: nothing that is finished is lost, and the result is the same."""

import dataclasses
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_client.commands import segmented_film
from kinema_client.commands.backends import LocalBackend
from kinema_client.commands.films import FilmChoices, colorize_film
from kinema_client.errors import KeptWorkError
from kinema_core.bundle import Bundle
from kinema_core.engines.engine import F32
from kinema_core.errors import DamagedPictureError, EngineError, KinemaError, MediaError, UncolorizedFrameError
from kinema_core.media.segments import Segment, SegmentWriter
from kinema_core.pipeline import Options
from tests.client.test_corpus import damage, emptied
from tests.core.films import make_film, read_film, read_packets
from tests.core.tiny_models import tiny_bundle
from tests.fakes import FAKE_BUNDLE, FakeEngine

Pictures = list[list[NDArray[Any]]]
NUM_FRAMES = 60
EVEN = [40 * number for number in range(NUM_FRAMES)]
UNEVEN = [int(40 * number + 17 * np.sin(number)) + 700 * (number // 25) for number in range(NUM_FRAMES)]


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmented_film, "MAX_FRAMES", 12)
    monkeypatch.setattr(segmented_film, "MIN_FRAMES", 4)


class FailingEngine(FakeEngine):
    """Works for the first frames, and does with all others what `failure` says, however often they come."""

    def __init__(self, num_good: int, failure: Any) -> None:
        super().__init__()
        self.num_good = num_good
        self.failure = failure
        self.numbers: dict[bytes, int] = {}

    def infer(self, lightness: F32) -> F32:
        ab = super().infer(lightness)
        if self.numbers.setdefault(lightness.tobytes(), len(self.numbers)) < self.num_good:
            return ab
        if isinstance(self.failure, BaseException):
            raise self.failure
        return self.failure(ab)  # type: ignore[no-any-return]


def colorize(
    source: Path, target: Path, engine: FakeEngine | None = None, options: Options | None = None, **choices: Any
) -> None:
    backend = LocalBackend(FAKE_BUNDLE, engine or FakeEngine(), options or Options())
    colorize_film(backend, str(source), str(target), FilmChoices(**{"codec": "ffv1"} | choices))


def interrupt(source: Path, target: Path, num_good: int = 40, **choices: Any) -> UncolorizedFrameError:
    with pytest.raises(UncolorizedFrameError) as raised:
        colorize(source, target, FailingEngine(num_good, EngineError("out of order")), **choices)
    return raised.value


def folder_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.kinema")


def entries(target: Path) -> list[Path]:
    return sorted(folder_of(target).glob("0*.json"))


def assert_same(found: Path, expected: Path) -> None:
    (times, pictures), (expected_times, expected_pictures) = read_film(found), read_film(expected)
    assert times == expected_times
    for number, (one, other) in enumerate(zip(pictures, expected_pictures, strict=True)):
        for plane, expected_plane in zip(one, other, strict=True):
            np.testing.assert_array_equal(plane, expected_plane, err_msg=f"frame {number}")
    assert read_packets(found, "audio") == read_packets(expected, "audio")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    make_film(tmp_path / "old.mkv", shot_length=22, pts=EVEN, sounds=["eng"])
    return tmp_path / "old.mkv"


@pytest.fixture
def whole(old: Path, tmp_path: Path) -> Path:
    colorize(old, tmp_path / "whole.mkv")
    return tmp_path / "whole.mkv"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("models") / "tiny", working_size=64)


# Imports once, then runs `kinema colorize` in a fork of its own each time, which kills itself at the nth step.
KILL = """
import os, random, shutil, signal, sys
from pathlib import Path
from kinema_client.cli import main
from kinema_client.commands import backends, films, kept_work, segmented_film
from kinema_core.media import segments, writer
from kinema_core.frames import ColorTags
from kinema_core.pipeline import Colorizer
from tests.fakes import FAKE_MANIFEST, FakeEngine, random_film
import onnxruntime

segmented_film.MAX_FRAMES, segmented_film.MIN_FRAMES = 12, 4
source, model, folder = sys.argv[1:]
num_steps = 0
# Makes the colour tables, which every fork then has, without a thread, which no fork would have.
colorizer = Colorizer(FAKE_MANIFEST, height=18, width=32, tags=ColorTags())
for prepared in map(colorizer.prepare, random_film(2)):
    colorizer.compose(prepared, colorizer.finish(prepared, FakeEngine().infer(prepared.lightness)))

def run(target, kill_at=None):
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    def stepping(function):
        def step(*arguments, **options):
            global num_steps
            num_steps += 1
            if num_steps == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        return step
    os.fsync, os.replace, os.open = map(stepping, (os.fsync, os.replace, os.open))
    shutil.rmtree = stepping(shutil.rmtree)
    segments.SegmentWriter.write = stepping(segments.SegmentWriter.write)
    writer.FilmWriter._mux = stepping(writer.FilmWriter._mux)
    code = main(["colorize", source, f"{folder}/{target}", "--model", model, "--engine", "onnxruntime"])
    Path(folder, "steps").write_text(str(num_steps))
    os._exit(code)

assert run("whole.mp4") == 0
total = int(Path(folder, "steps").read_text())
places = random.Random(20).sample(range(1, total + 1), 10)
for number, place in enumerate(places):
    assert run(f"killed-{number}.mp4", place) == signal.SIGKILL, place
    if not Path(folder, f"killed-{number}.mp4").exists():
        assert run(f"killed-{number}.mp4") == 0, place
kills = 0
while (status := run("often.mp4", (kills + 1) * total // 6)) == signal.SIGKILL:
    kills += 1
assert status == 0
print(kills)
"""


def test_a_film_that_is_killed_at_any_of_ten_random_points_comes_out_the_same(
    old: Path, bundle: Bundle, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILL, str(old), str(bundle.path), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False, timeout=250,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) >= 3, "kills of the film that was killed again and again"
    assert "going on behind frame" in done.stderr
    for name in ("often", *(f"killed-{number}" for number in range(10))):
        assert_same(tmp_path / f"{name}.mp4", tmp_path / "whole.mp4")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".") and "killed" not in path.name]


@pytest.mark.parametrize(
    ("codec", "target", "recipe"),
    [
        ("h264", "new.mp4", {"pts": UNEVEN}),
        ("h264", "new.mkv", {"pts": UNEVEN, "pix_fmt": "yuv420p10le"}),
        ("hevc", "new.mov", {"pts": UNEVEN}),
        ("av1", "new.mp4", {"pts": EVEN}),
        ("prores", "new.mov", {"pts": UNEVEN}),
        ("ffv1", "new.mkv", {"pts": UNEVEN, "height": 47, "width": 63}),
        ("h264", "new.mp4", {"codec": "libx264", "options": {"bf": "3"}, "pts": [500 + pts for pts in EVEN]}),
        ("h264", "new.mkv", {"is_interlaced": True, "pts": EVEN, "aspect": Fraction(16, 11)}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("num_good", [13, 47])
def test_an_interrupted_film_of_any_kind_comes_out_the_same(
    codec: str, target: str, recipe: dict[str, Any], num_good: int, tmp_path: Path
) -> None:
    make_film(tmp_path / "old.mkv", shot_length=22, sounds=["eng"], **recipe)
    colorize(tmp_path / "old.mkv", tmp_path / f"whole-{target}", codec=codec)
    interrupt(tmp_path / "old.mkv", tmp_path / target, num_good, codec=codec)

    colorize(tmp_path / "old.mkv", tmp_path / target, codec=codec)

    assert_same(tmp_path / target, tmp_path / f"whole-{target}")
    assert not folder_of(tmp_path / target).exists()


def test_what_is_finished_is_not_colorized_again(old: Path, whole: Path, tmp_path: Path, capsys: Any) -> None:
    interrupt(old, tmp_path / "new.mkv")
    num_kept = 12 + 10 + 12  # the second segment ends at the cut, the fourth was not finished
    engine = FakeEngine()

    colorize(old, tmp_path / "new.mkv", engine)

    said = capsys.readouterr()
    assert len(engine.seen) == NUM_FRAMES - num_kept
    assert f"going on behind frame {num_kept} of {NUM_FRAMES}" in said.err
    assert f"{NUM_FRAMES} frames ({num_kept} kept from before) in " in said.out
    assert_same(tmp_path / "new.mkv", whole)


def test_an_error_names_the_frame_and_says_what_is_kept(old: Path, tmp_path: Path) -> None:
    error = interrupt(old, tmp_path / "new.mkv", num_good=40)

    assert (error.number, error.pts) == (40, 1600)
    assert "old.mkv: frame 40 at 1.60 s (pts 1600) got no colour: out of order" in str(error)
    assert error.__notes__ == [
        f"34 frames are kept in {folder_of(tmp_path / 'new.mkv')}; the same command goes on behind them"
    ]
    assert not (tmp_path / "new.mkv").exists()
    assert not (tmp_path / ".new.partial.mkv").exists()


@pytest.mark.parametrize(
    ("choices", "options", "message"),
    [
        ({"codec": "h264"}, {}, r"codec \(ffv1, now h264\), processors"),
        ({"is_compared": True}, {}, r"is_compared \(False, now True\)"),
        ({}, {"smoothing": 0.7}, r"smoothing \(0\.5, now 0\.7\)"),
        ({}, {"saturation": 1.5}, r"saturation \(1\.0, now 1\.5\)"),
    ],
)
def test_other_choices_are_refused_and_what_is_kept_is_left(
    choices: dict[str, Any], options: dict[str, Any], message: str, old: Path, whole: Path, tmp_path: Path
) -> None:
    interrupt(old, tmp_path / "new.mkv")

    with pytest.raises(KeptWorkError, match=f"of another job: {message}.*; say the command of then, or --restart"):
        colorize(old, tmp_path / "new.mkv", options=Options(**options), **choices)

    colorize(old, tmp_path / "new.mkv")
    assert_same(tmp_path / "new.mkv", whole)


def test_another_film_model_or_engine_is_refused(old: Path, tmp_path: Path) -> None:
    interrupt(old, tmp_path / "new.mkv")
    renamed = FakeEngine()
    renamed.name = "quick"

    with pytest.raises(KeptWorkError, match=r"engine \(fake, now quick\)"):
        colorize(old, tmp_path / "new.mkv", renamed)
    other = LocalBackend(dataclasses.replace(FAKE_BUNDLE, digest="e" * 64), FakeEngine(), Options())
    with pytest.raises(KeptWorkError, match="model "):
        colorize_film(other, str(old), str(tmp_path / "new.mkv"), FilmChoices("ffv1"))
    os.utime(old, (1, 1))
    with pytest.raises(KeptWorkError, match="the film's time of change"):
        colorize(old, tmp_path / "new.mkv")
    make_film(old, pts=EVEN)
    with pytest.raises(KeptWorkError, match="the film's size"):
        colorize(old, tmp_path / "new.mkv")


def test_a_film_that_was_moved_is_still_the_same(old: Path, whole: Path, tmp_path: Path) -> None:
    interrupt(old, tmp_path / "new.mkv")

    colorize(old.rename(tmp_path / "moved.mkv"), tmp_path / "new.mkv")

    assert_same(tmp_path / "new.mkv", whole)


def test_restart_drops_what_is_kept(old: Path, tmp_path: Path) -> None:
    interrupt(old, tmp_path / "new.mkv")
    engine = FakeEngine()

    colorize(old, tmp_path / "new.mkv", engine, options=Options(smoothing=0), restart=True)

    assert len(engine.seen) == NUM_FRAMES


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("suffix", ["json", "packets", "state"])
@pytest.mark.parametrize(
    "spoil", [flip, Path.unlink, lambda path: path.write_bytes(b"")], ids=["flip", "gone", "empty"]
)
def test_what_is_damaged_is_made_again(
    number: int, suffix: str, spoil: Any, old: Path, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    interrupt(old, tmp_path / "new.mkv")
    assert len(entries(tmp_path / "new.mkv")) == 3
    spoil(folder_of(tmp_path / "new.mkv") / f"{number:06}.{suffix}")
    engine = FakeEngine()

    colorize(old, tmp_path / "new.mkv", engine)

    assert len(engine.seen) == NUM_FRAMES - (0, 12, 22)[number]
    assert ("kept_segment_is_damaged" in caplog.text) == (suffix != "json" or spoil is not Path.unlink)
    assert_same(tmp_path / "new.mkv", whole)


@pytest.mark.parametrize("name", ["job.json", "000001.part", "000001.new"])
def test_what_a_kill_leaves_half_written_does_no_harm(name: str, old: Path, whole: Path, tmp_path: Path) -> None:
    interrupt(old, tmp_path / "new.mkv")
    (folder_of(tmp_path / "new.mkv") / name).write_bytes(b'{"half')

    colorize(old, tmp_path / "new.mkv")

    assert_same(tmp_path / "new.mkv", whole)


def test_a_full_disk_is_an_error_that_keeps_what_is_finished(old: Path, whole: Path, tmp_path: Path) -> None:
    interrupt(old, tmp_path / "new.mkv", num_good=13)
    (folder_of(tmp_path / "new.mkv") / "000001.part").symlink_to("/dev/full")

    with pytest.raises(MediaError, match="No space left on device; is there space left") as raised:
        colorize(old, tmp_path / "new.mkv")

    assert raised.value.__notes__[0].startswith("12 frames are kept")
    colorize(old, tmp_path / "new.mkv")
    assert_same(tmp_path / "new.mkv", whole)


def test_a_disk_that_is_full_when_all_is_joined_keeps_all(old: Path, whole: Path, tmp_path: Path) -> None:
    (tmp_path / ".new.partial.mkv").symlink_to("/dev/full")
    real = segmented_film._rehearse  # it would meet the full disk first, and remove the link
    segmented_film._rehearse = lambda *_: None
    try:
        with pytest.raises(MediaError) as raised:
            colorize(old, tmp_path / "new.mkv")
    finally:
        segmented_film._rehearse = real

    assert raised.value.__notes__[0].startswith(f"{NUM_FRAMES} frames are kept")
    engine = FakeEngine()
    colorize(old, tmp_path / "new.mkv", engine)
    assert not engine.seen
    assert_same(tmp_path / "new.mkv", whole)


def test_two_processes_do_not_make_one_film(old: Path, tmp_path: Path) -> None:
    def meanwhile(ab: F32) -> F32:
        colorize(old, tmp_path / "new.mkv")
        return ab

    with pytest.raises(KeptWorkError, match="another process is making this film"):
        colorize(old, tmp_path / "new.mkv", FailingEngine(20, meanwhile))


def test_a_damaged_picture_keeps_what_is_before_it_and_lenient_goes_on(tmp_path: Path) -> None:
    recipe = {"codec": "prores_ks", "pix_fmt": "yuv422p10le", "pts": EVEN, "shot_length": 22}
    make_film(tmp_path / "good.mov", **recipe)
    damage(tmp_path / "good.mov", tmp_path / "old.mov", emptied, index=30)

    with pytest.raises(DamagedPictureError) as raised:
        colorize(tmp_path / "old.mov", tmp_path / "new.mkv")

    assert raised.value.number == 30
    assert "frame 30 at 1.20 s (pts 19200)" in str(raised.value)
    assert raised.value.__notes__[0].startswith("22 frames are kept")
    engine = FakeEngine()
    colorize(tmp_path / "old.mov", tmp_path / "new.mkv", engine, is_lenient=True)
    assert len(engine.seen) == NUM_FRAMES - 1 - 22
    colorize(tmp_path / "old.mov", tmp_path / "whole.mkv", is_lenient=True)
    assert_same(tmp_path / "new.mkv", tmp_path / "whole.mkv")


def test_without_a_finished_segment_nothing_is_left(old: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())

    error = interrupt(old, tmp_path / "new.mkv", num_good=9)

    assert not hasattr(error, "__notes__")
    assert sorted(tmp_path.iterdir()) == before


def test_numbered_pictures_are_resumed_into_a_film_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_film(tmp_path / "in" / "%03d.png", codec="png", pix_fmt="gray", pts=EVEN, shot_length=22)
    source = tmp_path / "in" / "%03d.png"
    colorize(source, tmp_path / "whole.mkv")
    interrupt(source, tmp_path / "new.mkv")

    colorize(source, tmp_path / "new.mkv")

    assert_same(tmp_path / "new.mkv", tmp_path / "whole.mkv")


def test_segments_end_at_cuts_and_never_later_than_said(old: Path, tmp_path: Path, monkeypatch: Any) -> None:
    lengths: list[int] = []
    close = SegmentWriter.close

    def note(writer: SegmentWriter) -> Segment:
        lengths.append(writer.num_frames)
        return close(writer)

    monkeypatch.setattr(SegmentWriter, "close", note)

    colorize(old, tmp_path / "new.mkv")

    assert lengths == [12, 10, 12, 10, 12, 4]


def test_a_subtitle_that_cannot_be_converted_is_found_before_any_work(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", subtitles="subrip", lines=["fine"] * 9 + ["\udcf9"], pts=EVEN)
    engine = FakeEngine()

    with pytest.raises(KinemaError, match=r"at 0\.90 s cannot be converted"):
        colorize(tmp_path / "old.mkv", tmp_path / "new.mp4", engine)

    assert not engine.seen
