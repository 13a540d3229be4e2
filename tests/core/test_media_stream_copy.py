"""What a film carries beside its pictures arrives in the new one as it was."""

from __future__ import annotations  # Packet is generic in PyAV's stubs alone

import logging
import threading
import zlib
from fractions import Fraction
from pathlib import Path
from queue import Queue
from typing import Any

import av
import numpy as np
import pytest
from av.packet import Packet
from av.stream import Stream

from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.frames import ColorFrame
from kinema_core.media import matroska_aspect
from kinema_core.media.reader import FilmReader
from kinema_core.media.stream_copy import StreamCopies
from kinema_core.media.writer import FilmWriter
from tests.core.films import make_film, read_film, read_lines, read_packets


def copy_film(source: Path, target: Path, **options: Any) -> None:
    """Write the film's own colour again, with all that it carries."""
    with FilmReader(source) as reader, open_copy(reader, target, **options) as writer:
        for frame in reader.color_frames():
            writer.write(frame)


def open_copy(reader: FilmReader, target: Path, **options: Any) -> FilmWriter:
    """Open a writer for the reader's film."""
    return FilmWriter(
        target,
        height=reader.height,
        width=reader.width,
        time_base=reader.time_base,
        average_rate=reader.average_rate,
        tags=reader.tags,
        copy_from=reader,
        **options,
    )


@pytest.mark.parametrize(
    ("source", "target", "codec"),
    [
        ("old.mp4", "new.mp4", "libx264"),
        ("old.mp4", "new.mov", "libx264"),
        ("old.mkv", "new.mkv", "ffv1"),
        ("old.mkv", "new.mp4", "ffv1"),
        ("old.avi", "new.mkv", "mpeg4"),
    ],
)
def test_every_sound_track_is_copied_packet_by_packet(tmp_path: Path, source: str, target: str, codec: str) -> None:
    recipe: dict[str, Any] = {"codec": codec, "sounds": ["eng", "fra"]}
    if source == "old.avi":
        recipe |= {"time_base": Fraction(1, 25), "pts": list(range(12))}
    make_film(tmp_path / source, **recipe)

    copy_film(tmp_path / source, tmp_path / target)

    before, after = read_packets(tmp_path / source, "audio"), read_packets(tmp_path / target, "audio")
    assert len(after) == 2
    for old, new in zip(before, after, strict=True):
        # PCM may be cut into other packets; the samples are the same
        assert b"".join(data for _, data in new) == b"".join(data for _, data in old)
        assert new[0][0] == old[0][0]
    with av.open(tmp_path / target) as container:
        languages = [stream.language for stream in container.streams.audio]
    assert languages == (["eng", "fra"] if source != "old.avi" else [None, None])


@pytest.mark.parametrize(
    ("sound_codec", "target", "is_told"),
    [("mp2", "new.mp4", True), ("mp2", "new.mkv", False), ("aac", "new.mp4", False)],
)
def test_sound_that_few_players_take_from_mp4_is_told(
    sound_codec: str,
    target: str,
    is_told: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_film(tmp_path / "old.mkv", codec="libx264", sounds=["eng"], sound_codec=sound_codec)

    copy_film(tmp_path / "old.mkv", tmp_path / target)

    assert ("sound_seldom_played index=1 codec=mp2" in caplog.text) == is_told


def test_sound_and_pictures_keep_their_times(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mp4", codec="libx264", sounds=["eng"], pts=[500 + 40 * n for n in range(12)])

    copy_film(tmp_path / "old.mp4", tmp_path / "new.mp4")

    assert read_film(tmp_path / "new.mp4")[0] == read_film(tmp_path / "old.mp4")[0]
    assert read_packets(tmp_path / "new.mp4", "audio") == read_packets(tmp_path / "old.mp4", "audio")


@pytest.mark.parametrize("rate", [44100, 48000])
def test_sound_from_mp4_begins_in_matroska_where_it_did(tmp_path: Path, rate: int) -> None:
    """AAC is primed by packets before zero, of which nothing is to be heard."""
    make_film(tmp_path / "old.mp4", codec="libx264", sounds=["eng"], sound_rate=rate)

    copy_film(tmp_path / "old.mp4", tmp_path / "new.mkv")

    heard = []
    for name in ("old.mp4", "new.mkv"):
        with av.open(tmp_path / name) as container:
            frames = list(container.decode(audio=0))
            heard.append((float(frames[0].time or 0), np.hstack([frame.to_ndarray() for frame in frames])))
    (old_start, old), (start, new) = heard
    assert abs(start - old_start) < 0.001
    # MP4 also tells how much of the last packet is not to be heard.
    length = min(old.shape[1], new.shape[1])
    assert length > 0.9 * old.shape[1]
    np.testing.assert_array_equal(new[:, :length], old[:, :length])


def test_a_packet_without_a_time_follows_the_one_before_it(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", sounds=["eng"])
    with FilmReader(tmp_path / "old.mkv") as reader, av.open(tmp_path / "new.mkv", "w") as container:
        copies = StreamCopies(reader, container)
        times: list[int | None] = []

        def take(packet: Packet[Stream]) -> None:
            if len(times) in {0, 2}:
                packet.pts = packet.dts = None
            readdressed = copies.readdress(packet)
            assert readdressed is not None
            times.append(readdressed.pts)

        reader.hand_packets_to(take)
        list(reader)

    expected = [time for time, _ in read_packets(tmp_path / "old.mkv", "audio")[0]]
    assert [(at or 0) * Fraction(1, 1000) for at in times] == pytest.approx(expected, abs=0.001)


def test_sound_is_interleaved_with_the_pictures(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mp4", codec="libx264", sounds=["eng"], pts=[40 * n for n in range(120)])

    copy_film(tmp_path / "old.mp4", tmp_path / "new.mp4")

    with av.open(tmp_path / "new.mp4") as container:
        places = [(p.pos, p.stream.type, float((p.dts or 0) * p.time_base)) for p in container.demux() if p.size]
    latest = {"audio": 0.0, "video": 0.0}
    for _, kind, seconds in sorted(places):
        latest[kind] = seconds
        assert abs(latest["audio"] - latest["video"]) < 1, "a player need not seek to and fro"


def test_lossless_pictures_do_not_wait_long_for_a_subtitle(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", subtitles="subrip", pts=[40 * n for n in range(150)])

    with FilmReader(tmp_path / "old.mkv") as reader, open_copy(reader, tmp_path / "new.mkv", codec="ffv1") as writer:
        for frame in reader.color_frames():
            writer.write(frame)
        num_bytes = (tmp_path / ".new.partial.mkv").stat().st_size

    # Six seconds were written; two may be held back, and a little in FFmpeg's file buffer.
    assert num_bytes > 0.5 * (tmp_path / "new.mkv").stat().st_size


def test_reader_and_writer_may_run_in_two_threads(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mp4", codec="libx264", sounds=["eng", "fra"], pts=[40 * n for n in range(60)])
    frames: Queue[ColorFrame | None] = Queue(maxsize=4)

    with FilmReader(tmp_path / "old.mp4") as reader, open_copy(reader, tmp_path / "new.mp4") as writer:

        def read() -> None:
            for frame in reader.color_frames():
                frames.put(frame)
            frames.put(None)

        thread = threading.Thread(target=read)
        thread.start()
        while (frame := frames.get()) is not None:
            writer.write(frame)
        thread.join()

    assert len(read_film(tmp_path / "new.mp4")[0]) == 60
    assert read_packets(tmp_path / "new.mp4", "audio") == read_packets(tmp_path / "old.mp4", "audio")


def test_subtitles_are_copied_as_they_are_where_the_container_holds_them(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", subtitles="subrip", sounds=["eng"])

    copy_film(tmp_path / "old.mkv", tmp_path / "new.mkv")

    (lines,) = read_packets(tmp_path / "new.mkv", "subtitle")
    assert lines == [(Fraction(0), b"line 0"), (Fraction(1, 10), b"line 1")]


@pytest.mark.parametrize("target", ["new.mp4", "new.mov"])
def test_text_subtitles_are_converted_where_it_does_not(tmp_path: Path, target: str) -> None:
    lines = ["<i>Où ?</i>", "two\nlines"]
    make_film(tmp_path / "old.mkv", subtitles="subrip", lines=lines, codec="libx264")

    copy_film(tmp_path / "old.mkv", tmp_path / target)
    copy_film(tmp_path / target, tmp_path / "again.mkv")

    (there,) = read_lines(tmp_path / target)
    assert there == [(Fraction(0), Fraction(9, 100), r"{\i1}Où ?"), (Fraction(1, 10), Fraction(9, 100), "two\nlines")]
    (back,) = read_packets(tmp_path / "again.mkv", "subtitle")
    assert [text.decode().replace("\r", "") for _, text in back] == lines
    with av.open(tmp_path / target) as container:
        (stream,) = container.streams.subtitles
        assert (stream.codec_context.codec.canonical_name, stream.language) == ("mov_text", "nor")


def test_sound_that_the_container_does_not_hold_is_refused_before_any_work(tmp_path: Path) -> None:
    make_film(tmp_path / "old.nut", sounds=["eng"], sound_codec="pcm_alaw")

    with (
        FilmReader(tmp_path / "old.nut") as reader,
        pytest.raises(MediaError, match=r"\(audio/pcm_alaw\) .* write \.mkv"),
    ):
        open_copy(reader, tmp_path / "new.mp4")

    assert not list(tmp_path.glob("*new*"))


def test_titles_and_chapters_come_along(tmp_path: Path) -> None:
    chapters = [(0, 200, "Arrival"), (200, 480, "Departure")]
    make_film(tmp_path / "old.mkv", title="The Train", chapters=chapters)

    for name in ("new.mkv", "new.mp4"):
        copy_film(tmp_path / "old.mkv", tmp_path / name)

        with av.open(tmp_path / name) as container:
            assert container.metadata["title"] == "The Train"
            found = []
            for chapter in container.chapters():
                milliseconds = 1000 * (chapter["time_base"] or Fraction(1))
                start, end = int(chapter["start"] * milliseconds), int(chapter["end"] * milliseconds)
                found.append((start, end, chapter["metadata"]["title"]))
            assert found == chapters


def test_chapters_of_mp4_come_along_without_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_film(tmp_path / "old.mp4", codec="libx264", chapters=[(0, 480, "All")])

    copy_film(tmp_path / "old.mp4", tmp_path / "new.mp4")

    with av.open(tmp_path / "new.mp4") as container:
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["All"]
    assert "stream_not_copied" not in caplog.text


def test_the_timecode_comes_along(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_film(tmp_path / "old.mov", codec="libx264", timecode="01:02:03:04")

    copy_film(tmp_path / "old.mov", tmp_path / "new.mov")

    with av.open(tmp_path / "new.mov") as container:
        assert container.streams.video[0].metadata["timecode"] == "01:02:03:04"
        assert [stream.type for stream in container.streams] == ["video", "data"]
    assert "stream_not_copied" not in caplog.text


def test_fonts_come_along_to_matroska_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_film(tmp_path / "old.mkv", attachment=b"not really a font")

    copy_film(tmp_path / "old.mkv", tmp_path / "new.mkv")
    copy_film(tmp_path / "old.mkv", tmp_path / "new.mp4")

    with av.open(tmp_path / "new.mkv") as container:
        (font,) = container.streams.attachments
        assert (font.name, font.data) == ("font.ttf", b"not really a font")
    assert "reason='mp4 holds no attachments'" in caplog.text


@pytest.mark.parametrize("target", ["new.mp4", "new.mov", "new.mkv"])
def test_rotation_and_pixel_aspect_come_along(tmp_path: Path, target: str) -> None:
    make_film(tmp_path / "old.mp4", codec="libx264", rotation=90, aspect=Fraction(4, 3))

    copy_film(tmp_path / "old.mp4", tmp_path / target)

    with av.open(tmp_path / target) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
        assert next(container.decode(video=0)).rotation == 90


@pytest.mark.parametrize(
    ("height", "width", "aspect"),
    [
        (48, 64, Fraction(4, 3)),
        (576, 720, Fraction(64, 45)),
        (480, 720, Fraction(8, 9)),
        (480, 720, Fraction(32, 27)),
        (300, 352, Fraction(12, 11)),
        (47, 63, Fraction(59, 54)),
        (2, 600, Fraction(1, 3)),
    ],
)
def test_matroska_holds_the_pixel_aspect_of_any_codec(
    tmp_path: Path, height: int, width: int, aspect: Fraction
) -> None:
    make_film(
        tmp_path / "old.mp4", codec="ffv1", height=height, width=width, pts=[0, 40], aspect=aspect, sounds=["eng"]
    )

    copy_film(tmp_path / "old.mp4", tmp_path / "new.mkv", codec="ffv1")

    with av.open(tmp_path / "new.mkv") as container:
        found = container.streams.video[0].sample_aspect_ratio
        assert found is not None
        assert abs(found / aspect - 1) < Fraction(1, 150)  # one byte for the width of small pictures
        assert found == aspect or width < 512
        assert "stereo_mode" not in container.streams.video[0].metadata
        assert len(list(container.decode(video=0))) == 2


def test_the_patched_header_keeps_its_checksum(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mp4", codec="libx264", aspect=Fraction(4, 3))
    copy_film(tmp_path / "old.mp4", tmp_path / "new.mkv", codec="ffv1")

    start, size = matroska_aspect._find_tracks((tmp_path / "new.mkv").read_bytes())

    tracks = (tmp_path / "new.mkv").read_bytes()[start : start + size]
    assert tracks[2:6] == zlib.crc32(tracks[6:]).to_bytes(4, "little")


def test_a_further_video_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_film(tmp_path / "one.mkv")
    with av.open(tmp_path / "one.mkv") as one, av.open(tmp_path / "two.mkv", "w") as two:
        copies = [two.add_stream_from_template(one.streams.video[0], opaque=True) for _ in range(2)]
        for packet in one.demux(video=0):
            if packet.size:
                for copy in copies:
                    packet.stream = copy
                    two.mux(packet)

    with caplog.at_level(logging.WARNING):
        copy_film(tmp_path / "two.mkv", tmp_path / "new.mkv")

    assert "stream_not_copied index=1 kind=video/ffv1 reason='only the first video stream is colorized'" in caplog.text
    with av.open(tmp_path / "new.mkv") as container:
        assert len(container.streams.video) == 1


def test_a_writer_made_too_late_is_refused(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", sounds=["eng"])

    with FilmReader(tmp_path / "old.mkv") as reader:
        next(iter(reader))
        with pytest.raises(InvalidInputError, match="made before its pictures are read"):
            open_copy(reader, tmp_path / "new.mkv")

    assert not list(tmp_path.glob(".new*"))


def test_packets_that_come_after_an_abort_are_dropped(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", sounds=["eng"])

    with FilmReader(tmp_path / "old.mkv") as reader:
        writer = open_copy(reader, tmp_path / "new.mkv")
        writer.abort()
        assert len(list(reader)) == 12

    assert [path.name for path in tmp_path.iterdir()] == ["old.mkv"]
