"""Pieces of a film, encoded each by itself and joined."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.errors import MediaError
from kinema_core.frames import ColorFrame
from kinema_core.media.reader import FilmReader
from kinema_core.media.segments import Segment, SegmentWriter, is_intact, joined_packets
from kinema_core.media.writer import FilmWriter
from tests.core.films import make_film, planes_of, read_film, read_packets

Planes = list[NDArray[Any]]
SIZES = [1, 2, 13, 1, 1, 30, 3]
"""Frames of each segment: with and without room for B-frames."""
UNEVEN = [int(40 * number + 17 * np.sin(number)) + 500 * (number // 20) for number in range(sum(SIZES))]


def write_segments(source: Path, folder: Path, codec: str, sizes: list[int]) -> list[tuple[Path, Segment]]:
    found = []
    with FilmReader(source) as film:
        frames = iter(film.color_frames())
        for number, size in enumerate(sizes):
            path = folder / f"{number}.packets"
            writer = SegmentWriter(path, film, codec=codec)
            for _ in range(size):
                writer.write(next(frames))
            found.append((path, writer.close()))
        assert next(frames, None) is None
    return found


def join(source: Path, target: Path, codec: str, segments: list[tuple[Path, Segment]]) -> None:
    with FilmReader(source) as film, FilmWriter.like(film, target, codec=codec) as writer:
        writer.join(film, segments)


def decode_alone(path: Path, segment: Segment, codec: str, pix_fmt: str) -> list[Planes]:
    """Decode one segment by a decoder that has seen no other."""
    decoder: Any = av.CodecContext.create({"h264": "h264", "hevc": "hevc", "av1": "libdav1d"}.get(codec, codec), "r")
    if codec == "ffv1":
        decoder.width, decoder.height, decoder.pix_fmt = 64, 48, pix_fmt
    decoder.extradata = segment.extradata or None
    frames = []
    for packet in joined_packets([(path, segment)], Fraction(1, 1000)):
        frames += decoder.decode(packet)
    return [planes_of(frame) for frame in [*frames, *decoder.decode(None)]]


@pytest.mark.parametrize(
    ("codec", "target"),
    [("h264", "new.mp4"), ("h264", "new.mkv"), ("h264", "new.mov"), ("hevc", "new.mp4"), ("hevc", "new.mkv"),
     ("av1", "new.mp4"), ("av1", "new.mkv"), ("ffv1", "new.mkv"), ("ffv1", "new.mp4"), ("prores", "new.mov"),
     ("prores", "new.mkv")],
)  # fmt: skip
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_joined_segments_are_the_frames_of_each_at_the_times_of_the_film(
    codec: str, target: str, pix_fmt: str, tmp_path: Path
) -> None:
    make_film(tmp_path / "old.mkv", pts=UNEVEN, is_moving=True, pix_fmt=pix_fmt, sounds=["eng"])
    segments = write_segments(tmp_path / "old.mkv", tmp_path, codec, SIZES)

    join(tmp_path / "old.mkv", tmp_path / target, codec, segments)

    times, pictures = read_film(tmp_path / target)
    assert times == [at * Fraction(1, 1000) for at in UNEVEN]
    alone = [planes for path, segment in segments for planes in decode_alone(path, segment, codec, pix_fmt)]
    assert len(alone) == len(pictures)
    for number, (one, other) in enumerate(zip(pictures, alone, strict=True)):
        for joined, own in zip(one, other, strict=True):
            np.testing.assert_array_equal(joined, own, err_msg=f"frame {number}")
    assert [data for track in read_packets(tmp_path / target, "audio") for _, data in track] == [
        data for track in read_packets(tmp_path / "old.mkv", "audio") for _, data in track
    ]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_one_segment_has_the_decoding_times_of_its_encoder(codec: str, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=UNEVEN, is_moving=True)
    segments = write_segments(tmp_path / "old.mkv", tmp_path, codec, [len(UNEVEN)])
    assert segments[0][1].delay > 0, "there are B-frames"

    join(tmp_path / "old.mkv", tmp_path / "joined.mp4", codec, segments)

    with FilmReader(tmp_path / "old.mkv") as film, FilmWriter.like(film, tmp_path / "whole.mp4", codec=codec) as whole:
        for frame in film.color_frames():
            whole.write(frame)
    found, expected = (times_of_packets(tmp_path / name) for name in ("joined.mp4", "whole.mp4"))
    assert found == expected


def times_of_packets(path: Path) -> list[tuple[int | None, int | None, int | None, bytes]]:
    with av.open(path) as film:
        return [(p.pts, p.dts, p.duration, bytes(p)) for p in film.demux(video=0) if p.size]


@pytest.mark.parametrize("name", ["old.mkv", "old.mp4"])
def test_sound_is_interleaved_wherever_the_source_has_it(name: str, tmp_path: Path) -> None:
    """Sound that lies before all pictures, as `make_film` writes it, comes out among them."""
    codec = "libx264" if name.endswith("mp4") else "ffv1"
    make_film(tmp_path / name, pts=[40 * n for n in range(200)], is_moving=True, sounds=["eng"], codec=codec)
    segments = write_segments(tmp_path / name, tmp_path, "h264", [100, 100])

    join(tmp_path / name, tmp_path / "new.mkv", "h264", segments)

    with av.open(tmp_path / "new.mkv") as film:
        kinds = [packet.stream.type for packet in film.demux() if packet.size]
    first_half = kinds[: len(kinds) // 2]
    assert abs(first_half.count("video") - 100) <= 5


def test_a_segment_that_is_damaged_missing_or_short_is_known(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv")
    [(path, segment)] = write_segments(tmp_path / "old.mkv", tmp_path, "ffv1", [12])
    data = path.read_bytes()

    assert is_intact(path, segment)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert not is_intact(path, segment)
    path.write_bytes(data[:-1])
    assert not is_intact(path, segment)
    with pytest.raises(MediaError, match="ends early"):
        list(joined_packets([(path, segment)], Fraction(1, 1000)))
    path.unlink()
    assert not is_intact(path, segment)


def test_segments_of_another_encoder_are_not_joined(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv")
    segments = write_segments(tmp_path / "old.mkv", tmp_path, "h264", [12])

    with pytest.raises(MediaError, match="of another encoder; say --restart"):
        join(tmp_path / "old.mkv", tmp_path / "new.mkv", "hevc", segments)

    assert not (tmp_path / "new.mkv").exists()


def test_a_full_disk_is_an_error_that_says_so(tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv")
    with FilmReader(tmp_path / "old.mkv") as film:
        frames = list(film.color_frames())
        (tmp_path / "0.packets").symlink_to("/dev/full")
        writer = SegmentWriter(tmp_path / "0.packets", film, codec="ffv1")

        with pytest.raises(MediaError, match="cannot be written on: No space left on device; is there space left"):
            write_all(writer, frames)

        writer.abort()
        assert not (tmp_path / "0.packets").is_symlink()


def write_all(writer: SegmentWriter, frames: list[ColorFrame]) -> None:
    for frame in frames:
        writer.write(frame)
    writer.close()


ENCODE = """
import hashlib, sys
from pathlib import Path
from tests.core.test_media_segments import write_segments
for codec in ("h264", "hevc", "av1"):
    print(write_segments(Path(sys.argv[1]), Path(sys.argv[2]), codec, [51])[0][1].digest)
"""


def test_an_encoder_gives_the_same_bits_whatever_was_in_memory_before(tmp_path: Path) -> None:
    """What a resumed film must be identical by; x264 on AVX-512 is not so."""
    make_film(tmp_path / "old.mkv", pts=[40 * n for n in range(51)], is_moving=True, height=240, width=320)
    said = [
        subprocess.run(
            [sys.executable, "-c", ENCODE, tmp_path / "old.mkv", tmp_path],
            env=os.environ | {"MALLOC_PERTURB_": perturbation, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True, text=True, check=True,
        ).stdout
        for perturbation in ("1", "200")
    ]  # fmt: skip

    assert said[0] == said[1]
    assert len(said[0].split()) == 3
