"""What is noted of a film."""

import dataclasses
import itertools
import json
import logging
import math
from array import array
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinema_client.report import (
    FilmRecord,
    FilmRecorder,
    WarningLog,
    collected_warnings,
    join_records,
    record_from_json,
    record_to_json,
)
from kinema_client.report.record import Warned
from kinema_client.report.shots import find_shots
from kinema_core.errors import KinemaError
from kinema_core.frames import ColorTags, TransitionKind
from kinema_core.media.reader import FilmReader
from kinema_core.quality.colourfulness import colourfulness
from kinema_core.stage_clock import StageClock
from tests.client.reported_films import colour_frame, film, long_record, record_of, recorder
from tests.core.films import make_film

CUTS = {0: None, 9: TransitionKind.CUT, 20: TransitionKind.DISSOLVE}


def comparable(record: FilmRecord) -> dict[str, object]:
    """Return what does not depend on a clock, rounded as in JSON."""
    told: dict[str, object] = json.loads(record_to_json(record))
    return {name: value for name, value in told.items() if name not in {"wall_seconds", "stage_seconds"}}


def test_every_frame_is_noted_with_its_time_and_the_shots_with_how_they_begin() -> None:
    record = record_of(30, CUTS)

    assert record.pts.tolist() == list(range(30))
    assert record.cuts == CUTS
    assert len(record.colourfulness) == len(record.flicker) == len(record.confidence) == 30
    assert record.confidence.tolist() == [0.5] * 30


@pytest.mark.parametrize("tags", [ColorTags(), ColorTags(bit_depth=10)], ids=["8 bit", "10 bit"])
def test_colourfulness_is_none_for_grey_and_grows_with_the_colour(tags: ColorTags) -> None:
    taking = recorder()
    for number, strength in enumerate((0, 20, 40)):
        taking.add(colour_frame(number, strength=strength, tags=tags))

    found = taking.take().colourfulness.tolist()

    assert found[0] == pytest.approx(0, abs=0.3)  # a grey code may be half a step off neutral in one channel
    assert found[2] == pytest.approx(2 * found[1], rel=0.1)


def test_ten_bits_give_the_numbers_of_eight() -> None:
    eight, ten = recorder(), recorder()
    for number in range(3):
        eight.add(colour_frame(number, strength=20 + 5 * number))
        ten.add(colour_frame(number, strength=20 + 5 * number, tags=ColorTags(bit_depth=10)))

    one, other = eight.take(), ten.take()

    np.testing.assert_allclose(one.colourfulness, other.colourfulness, rtol=0.02)  # 8 bit round four times as coarsely
    np.testing.assert_allclose(one.flicker[1:], other.flicker[1:], rtol=0.1)


def test_a_picture_that_stays_does_not_flicker_and_a_cut_is_not_flicker() -> None:
    taking = recorder()
    for number, strength in enumerate((30, 30, 36, 5)):
        taking.add(colour_frame(number, strength=strength, is_cut=number in {0, 3}))

    first, still, changed, behind_cut = taking.take().flicker

    assert math.isnan(first)
    assert math.isnan(behind_cut)
    assert still < 0.05
    assert changed > 1


@pytest.mark.parametrize("ends", [(1,), (9,), (10, 20), (5, 9, 20, 29)], ids=str)
def test_a_record_in_pieces_joined_is_the_record_in_one(ends: tuple[int, ...]) -> None:
    taking, pieces = recorder(), []
    for number, frame in enumerate(film(30, CUTS)):
        if number in ends:
            pieces.append(record_to_json(taking.take()))
        taking.add(frame)
    pieces.append(record_to_json(taking.take()))

    joined, whole = comparable(join_records(map(record_from_json, pieces))), comparable(record_of(30, CUTS))

    pictures = joined.pop("pictures")
    assert isinstance(pictures, list)
    assert len(pictures) >= len(whole.pop("pictures"))  # type: ignore[arg-type]  # a list: a piece of a shot has its own
    assert joined == whole


def test_seconds_and_warnings_of_pieces_are_added() -> None:
    warned = Warned("WARNING", 3, ("left_out n=1", "left_out n=2"))
    pieces = [
        FilmRecord(stage_seconds={"engine": n}, wall_seconds=n, warnings={"left_out": warned}) for n in (1.0, 2.5)
    ]

    joined = join_records(pieces)

    assert joined.stage_seconds == {"engine": 3.5}
    assert joined.wall_seconds == 3.5
    assert joined.warnings == {"left_out": Warned("WARNING", 6, warned.examples)}


def test_what_was_kept_and_seen_is_counted_from_the_first_piece_on() -> None:
    taking = recorder()
    pieces = []
    for number in range(8):
        taking.add(dataclasses.replace(colour_frame(number, is_cut=number == 0), is_kept=number >= 5))
        if number == 3:
            pieces.append(taking.take())
    pieces.append(taking.take())

    joined = join_records(pieces)

    assert joined.kept.tolist() == [5, 6, 7]
    assert [picture.frame for picture in joined.pictures] == [2, 6]


def test_pieces_of_two_films_are_not_joined() -> None:
    one, other = long_record(3, 3), dataclasses.replace(long_record(3, 3), time_base=2)  # type: ignore[arg-type]

    with pytest.raises(KinemaError, match="one time base"):
        join_records([one, other])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format_version": 2}', "null"]
    + [
        json.dumps({**json.loads(record_to_json(FilmRecord())), name: value})
        for name, value in (
            ("pts", [1]),
            ("pts", ["a"]),
            ("time_base", "1/0"),
            ("cuts", [[0, "wipe"]]),
            ("pictures", [[0, "%"]]),
            ("warnings", {"a": [1]}),
        )
    ],
)
def test_what_is_no_record_is_an_error(text: str) -> None:
    with pytest.raises(KinemaError):
        record_from_json(text)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 9, 31, 32, 33])
def test_a_shots_picture_is_of_its_second_quarter(length: int) -> None:
    taking = recorder()
    for number in range(length):
        taking.add(colour_frame(number, is_cut=number == 0))

    (picture,) = taking.take().pictures

    assert picture.frame == 0 if length < 2 else length / 4 <= picture.frame <= length / 2
    assert picture.frame <= length / 2


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_picture_shows_grey_and_colour_upright(turns: int) -> None:
    taking = FilmRecorder(StageClock(), WarningLog(), num_quarter_turns=turns)
    taking.add(colour_frame(0, strength=60, is_cut=True))
    still = FilmRecorder(StageClock(), WarningLog())
    still.add(colour_frame(0, strength=60, is_cut=True))

    grey, colour = halves(taking.take().pictures[0].jpeg, axis=turns % 2)
    unturned = halves(still.take().pictures[0].jpeg, axis=0)[1]

    assert colourfulness(grey) < 1
    assert colourfulness(colour) > 20
    clockwise = np.rot90(unturned, -turns)
    assert clockwise.shape == colour.shape
    assert np.abs(clockwise.astype(int) - colour).mean() < 8  # JPEG's blocks lie elsewhere


def halves(jpeg: bytes, axis: int) -> list[NDArray[np.uint8]]:
    rgb = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert rgb is not None
    return np.split(np.asarray(rgb, np.uint8), 2, axis)


@pytest.mark.parametrize(("rotation", "turns"), [(None, 0), (90, 3), (-90, 1), (180, 2)])
def test_a_film_that_is_shown_turned_and_wide_has_such_pictures(
    rotation: int | None, turns: int, tmp_path: Path
) -> None:
    make_film(tmp_path / "old.mp4", codec="libx264", rotation=rotation, aspect=Fraction(3, 2))

    with FilmReader(tmp_path / "old.mp4") as film:
        taking = FilmRecorder.of(film, StageClock(), WarningLog())

    assert taking._turns == turns  # FFmpeg's angle is counter-clockwise
    assert taking._aspect == 2


def test_a_cut_that_proves_a_flash_is_no_shot() -> None:
    record = long_record(100, 100)
    record.cuts |= {40: TransitionKind.CUT, 42: TransitionKind.RETURN, 60: TransitionKind.FADE}

    shots = find_shots(record)

    assert [(shot.first, shot.end, shot.transition) for shot in shots] == [
        (0, 60, None),
        (60, 100, TransitionKind.FADE),
    ]


@given(st.sets(st.integers(0, 49)), st.integers(1, 50))
def test_shots_cover_a_record_without_gap(cuts: set[int], length: int) -> None:
    record = long_record(length, length)
    record.cuts = {cut: TransitionKind.CUT for cut in cuts if cut < length}

    shots = find_shots(record)

    assert shots[0].first == 0
    assert shots[-1].end == length
    assert all(one.end == other.first for one, other in itertools.pairwise(shots))
    assert [shot.number for shot in shots] == list(range(1, len(shots) + 1))


def test_most_of_a_shot_kept_makes_it_kept_and_unknown_is_no_number() -> None:
    record = long_record(10, 5)
    record.kept.extend([5, 6, 7])
    record.confidence = array("d", [math.nan] * 5 + [0.25] * 5)

    one, other = find_shots(record)

    assert (one.is_kept, other.is_kept) == (False, True)
    assert math.isnan(one.confidence)
    assert other.confidence == 0.25


def test_a_film_without_frames_has_no_shots() -> None:
    assert find_shots(FilmRecord()) == []


def test_the_log_is_collected_counted_and_left_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("kinema_core.media.demuxer")
    before = (logging.getLogger("kinema_core").level, list(logging.getLogger("kinema_core").handlers))

    with collected_warnings() as log:
        for number in range(9):
            logger.warning("picture_left_out number=%d", number)
        logger.info("subtitles_converted", extra={"index": 2})
    logger.warning("behind")

    events = log.take()
    assert (logging.getLogger("kinema_core").level, list(logging.getLogger("kinema_core").handlers)) == before
    assert events.keys() == {"picture_left_out", "subtitles_converted"}
    assert events["picture_left_out"].num_times == 9
    assert events["picture_left_out"].examples == tuple(f"picture_left_out number={n}" for n in range(5))
    assert events["subtitles_converted"] == Warned("INFO", 1, ("subtitles_converted index=2",))
    assert log.take() == {}
    assert "picture_left_out number=8" in caplog.text
