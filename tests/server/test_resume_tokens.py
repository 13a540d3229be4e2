"""What a resume token promises: nothing is read but what this deployment sealed, for this very stream, and in time."""

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema_core.errors import InvalidInputError
from kinema_core.frames import ColorRange, ColorTags, Matrix
from kinema_core.pipeline import Options
from kinema_core.steering.colour_statistics import ColourStatistics
from kinema_server.errors import StartError
from kinema_server.resume_tokens import LIFETIME_SECONDS, MAX_TOKEN_BYTES, ResumePoint, ResumeTokens, Secrets
from kinema_server.stream import OutputForm, PixelFormat, StreamSpec

MODEL = "f" * 64
PALETTE = ColourStatistics(mean_a=1, mean_b=2, variance_a=30, variance_b=40, covariance=5)
SPEC = StreamSpec(
    height=18,
    width=32,
    pixel_format=PixelFormat.GRAY8,
    tags=ColorTags(),
    time_base=Fraction(1, 1000),
    model="",
    output_form=OutputForm.CHROMA,
    options=Options(reference=PALETTE),
)
OTHERS = {
    "height": replace(SPEC, height=20),
    "width": replace(SPEC, width=34),
    "pixel format": replace(SPEC, pixel_format=PixelFormat.YUV420P),
    "matrix": replace(SPEC, tags=ColorTags(matrix=Matrix.BT601)),
    "range": replace(SPEC, tags=ColorTags(color_range=ColorRange.FULL)),
    "output form": replace(SPEC, output_form=OutputForm.RGB24),
    "smoothing": replace(SPEC, options=replace(SPEC.options, smoothing=0.25)),
    "palette": replace(SPEC, options=replace(SPEC.options, reference=replace(PALETTE, mean_a=3.0))),
    "kept colour": replace(SPEC, options=replace(SPEC.options, keep_colour=True)),
}
NO_SECRET = Secrets(None)
TOKENS = ResumeTokens(NO_SECRET, MODEL)
POINT = ResumePoint(41, b"what the frames left")
TOKEN = TOKENS.seal(SPEC, POINT)


def why_refused(tokens: ResumeTokens, spec: StreamSpec, token: bytes) -> str:
    with pytest.raises(InvalidInputError) as caught:
        tokens.open(spec, token)
    assert caught.value.field == "config.resume_token"
    return caught.value.reason


@given(st.none() | st.integers(0, 2**64 - 1), st.binary(max_size=200))
def test_what_is_sealed_is_what_is_opened(seq: int | None, state: bytes) -> None:
    point = ResumePoint(seq, state)

    assert TOKENS.open(SPEC, TOKENS.seal(SPEC, point)) == point


@given(st.integers(0, len(TOKEN) - 1), st.integers(1, 255))
def test_a_token_with_another_byte_is_refused_unread(at: int, change: int) -> None:
    altered = TOKEN[:at] + bytes([TOKEN[at] ^ change]) + TOKEN[at + 1 :]

    assert "damaged" in why_refused(TOKENS, SPEC, altered)


@given(st.integers(0, len(TOKEN) - 1))
def test_a_token_that_breaks_off_is_refused(length: int) -> None:
    why_refused(TOKENS, SPEC, TOKEN[:length])


@given(st.binary(min_size=1, max_size=400))
def test_anything_else_is_refused(token: bytes) -> None:
    why_refused(TOKENS, SPEC, token)
    why_refused(TOKENS, SPEC, TOKEN + token)


def test_a_server_with_another_secret_refuses() -> None:
    assert "another secret" in why_refused(ResumeTokens(Secrets(None), MODEL), SPEC, TOKEN)


def test_a_server_with_another_model_refuses() -> None:
    assert "another model" in why_refused(ResumeTokens(NO_SECRET, "e" * 64), SPEC, TOKEN)


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_stream_is_refused(other: StreamSpec) -> None:
    assert "another config" in why_refused(TOKENS, other, TOKEN)


def test_what_no_colour_depends_on_may_differ() -> None:
    alike = replace(SPEC, time_base=Fraction(1, 25), model="fake")

    assert TOKENS.open(alike, TOKEN) == POINT


def test_a_token_expires() -> None:
    now = 1_000_000.0
    tokens = ResumeTokens(NO_SECRET, MODEL, clock=lambda: now)
    token = tokens.seal(SPEC, POINT)
    now += LIFETIME_SECONDS - 1
    assert tokens.open(SPEC, token) == POINT

    now += 1

    assert "expired" in why_refused(tokens, SPEC, token)


def test_no_token_is_larger_than_it_may_be() -> None:
    room = MAX_TOKEN_BYTES - len(TOKENS.seal(SPEC, ResumePoint(0, b"")))

    largest = TOKENS.seal(SPEC, ResumePoint(0, bytes(room)))

    assert len(largest) == MAX_TOKEN_BYTES
    assert len(TOKENS.open(SPEC, largest).state) == room
    assert TOKENS.seal(SPEC, ResumePoint(0, bytes(room + 1))) == b""
    assert "at most" in why_refused(TOKENS, SPEC, largest + b"x")


def test_the_secret_may_change_while_the_old_one_still_opens(tmp_path: Path) -> None:
    old, new = "o" * 32, "n" * 32
    path = tmp_path / "secret"
    path.write_text(f"{old}\n")
    secrets = Secrets(path)
    tokens = ResumeTokens(secrets, MODEL)
    with_old = tokens.seal(SPEC, POINT)

    path.write_text(f"{new}\n{old}\n")
    os.utime(path, ns=(1, 1))

    assert tokens.open(SPEC, with_old) == POINT
    path.write_text(f"{new}\n")
    os.utime(path, ns=(2, 2))
    why_refused(tokens, SPEC, with_old)
    assert tokens.open(SPEC, tokens.seal(SPEC, POINT)) == POINT


def test_a_secret_that_is_damaged_while_the_server_runs_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("s" * 32)
    tokens = ResumeTokens(Secrets(path), MODEL)
    token = tokens.seal(SPEC, POINT)

    path.write_text("short")
    os.utime(path, ns=(1, 1))

    assert tokens.open(SPEC, token) == POINT


@pytest.mark.parametrize("text", ["", "short", f"{'s' * 32}\nshort\n"])
def test_a_secret_that_can_be_guessed_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret"
    path.write_text(text)

    with pytest.raises(StartError, match="openssl rand"):
        Secrets(path)


def test_a_secret_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="nowhere"):
        Secrets(tmp_path / "nowhere")
