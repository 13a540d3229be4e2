"""Where the colour comes from: this process or a server."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_client import Client, Model, Timings, Tls
from kinema_client.choices import PhotoChoices
from kinema_client.commands.fingerprint import (
    Fingerprint,
    fingerprint_of_choices,
    fingerprint_of_engine,
    fingerprint_of_programs,
)
from kinema_core.bundle import Bundle, load_bundle
from kinema_core.engines.engine import Engine, Precision
from kinema_core.engines.retry import RetryingEngine
from kinema_core.engines.select import open_engine
from kinema_core.errors import InvalidInputError
from kinema_core.frame_way import way_for
from kinema_core.frames import LumaFrame
from kinema_core.media.photos import decode_photo
from kinema_core.media.reader import FilmReader
from kinema_core.pipeline import Colorizer, Options, Step, colorize_photo, colorize_steps
from kinema_core.stage_clock import StageClock


class Backend(Protocol):
    """Colorizes films and photographs with the options it was opened with."""

    description: str
    """For people: which model, and what runs it."""
    pauses: Sequence[float]
    """Seconds to wait before a film that failed is gone on with, for each time that it may be."""
    keeps_state: bool
    """Whether a film can be gone on with behind any frame; else only where a new shot begins."""

    options: Options

    @property
    def facts(self) -> Mapping[str, str]:
        """Model, engine and options in words, by what they are; complete once a film was colorized."""

    def fingerprint(self) -> Fingerprint:
        """Write down what the colours depend on."""

    def colorize_film(
        self, film: FilmReader, frames: Iterable[LumaFrame], state: bytes = b"", clock: StageClock | None = None
    ) -> Generator[Step, None, None]:
        """Yield a step for each of `frames`, which are pictures of `film`; closing the generator ends all work on them.

        Args:
            film: for its size and tags.
            frames: in order; iterated on another thread.
            state: what the frame before the first one left, as the state of its step; nothing at the beginning.
            clock: what is known of the time that each stage takes is added to it.

        Raises:
            KinemaError: a frame got no colour; those before it have been yielded.
            MemoryError: so it is, for want of memory.
        """

    def colorize_photo(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Colorize the lightness of a photograph (H, W, 3), sRGB."""


class LocalBackend:
    """Colorizes in this process; the engine is one that tries again by itself."""

    pauses: Sequence[float] = (0.0,)
    keeps_state = True

    def __init__(self, bundle: Bundle, engine: Engine, options: Options) -> None:
        self._manifest = bundle.manifest
        self._digest = bundle.digest
        self._engine = engine
        self.options = options
        self.description = f"{bundle.manifest.name} {bundle.manifest.version} on {engine.name} {engine.precision}"
        self.facts = _model_facts(bundle.manifest.name, bundle.manifest.version, bundle.digest) | {
            "Engine": f"{engine.name}, {engine.precision}, on {engine.device}",
            **_option_facts(options),
        }

    def fingerprint(self) -> Fingerprint:
        """Write down model, engine and options."""
        model = {"model": self._digest} | fingerprint_of_engine(self._engine)
        return model | fingerprint_of_choices(self.options) | fingerprint_of_programs()

    def colorize_film(
        self, film: FilmReader, frames: Iterable[LumaFrame], state: bytes = b"", clock: StageClock | None = None
    ) -> Generator[Step, None, None]:
        """Colorize as Backend says; the stages overlap on threads."""
        colorizer = Colorizer(
            self._manifest,
            height=film.height,
            width=film.width,
            tags=film.tags,
            options=self.options,
            way=way_for(self._engine),
        )
        if state:
            colorizer.import_state(state)
        with closing(colorize_steps(frames, colorizer, self._engine, clock)) as steps:
            yield from steps

    def colorize_photo(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Colorize as Backend says."""
        return colorize_photo(rgb, self._engine, self._manifest, self.options)


class ServerBackend:
    """Colorizes through a server, which keeps what one frame leaves to the next for as long as a stream lasts."""

    pauses: Sequence[float] = (1.0, 5.0, 25.0)
    keeps_state = False

    def __init__(self, client: Client, target: str, model: Model, options: Options) -> None:
        self._client = client
        self._model = model.name
        self._digest = model.digest
        self.options = options
        self.description = f"{model.name} {model.version} at {target}"
        self.facts = _model_facts(model.name, model.version, model.digest) | {
            "Server": target,
            **_option_facts(options),
        }

    def fingerprint(self) -> Fingerprint:
        """Write down model and options; the engine is the server's business."""
        served = {"model": self._digest, "engine": "a server's"}
        return served | fingerprint_of_choices(self.options) | fingerprint_of_programs()

    def colorize_film(
        self,
        film: FilmReader,  # noqa: ARG002  # the frames say it all
        frames: Iterable[LumaFrame],
        state: bytes = b"",
        clock: StageClock | None = None,
    ) -> Generator[Step, None, None]:
        """Colorize as Backend says; the luma goes up and chroma comes down."""
        assert not state, "nobody has a server's state"
        clock = clock or StageClock()
        stream = self._client.colorize_frames(
            clock.iterate("decode", frames),
            smoothing=self.options.smoothing,
            **choices_of(self.options, self._model),
        )
        with closing(iter(stream)) as colored:
            for frame in colored:
                if stream.timings is not None:
                    _add_timings(clock, stream.timings)
                yield Step(frame, {})
        if stream.accepted is not None:
            self.facts["Engine"] = f"{stream.accepted.engine}, {stream.accepted.precision}"

    def colorize_photo(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Colorize as Backend says."""
        # PNG, whatever the photo was: the server need not know its format, and gets its pixels as they are to be seen.
        _, encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        answer = self._client.colorize_image(
            encoded.tobytes(), output_format="png", **choices_of(self.options, self._model)
        )
        return decode_photo(answer, name="the server's answer")


def choices_of(options: Options, model: str) -> PhotoChoices:
    """Translate what films and photographs have in common."""
    return {
        "model": model,
        "saturation": options.saturation,
        "working_size": options.working_size,
        "warmth": options.warmth,
        "desaturate_blacks": options.desaturate_blacks,
        "desaturate_highlights": options.desaturate_highlights,
        "reference": options.reference,
        "keep_colour": options.keep_colour,
    }


def _model_facts(name: str, version: str, digest: str) -> dict[str, str]:
    return {"Model": f"{name}, version {version}", "SHA-256 of its manifest": digest}


def _option_facts(options: Options) -> dict[str, str]:
    told = {field.name: getattr(options, field.name) for field in fields(options)}
    told["working_size"] = options.working_size or "the model's own"
    return {name.replace("_", " ").capitalize(): _option_in_words(value) for name, value in told.items()}


def _option_in_words(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, (int, float, str)) else "given"


def _add_timings(clock: StageClock, timings: Timings) -> None:
    clock.add("prepare", timings.prepare_seconds)
    clock.add("queue", timings.queue_seconds)
    clock.add("engine", timings.engine_seconds)
    clock.add("finish", timings.finish_seconds)


@contextmanager
def local_backend(
    model: Path | None, engine_name: str, precision: Precision, options: Options
) -> Generator[LocalBackend, None, None]:
    """Open a model in this process.

    Raises:
        BundleError: the model cannot be used.
        EngineError: the engine cannot run here, or not with this model.
    """
    bundle = load_bundle(model)
    chosen = open_engine(bundle, engine_name, precision=precision).engine
    # Again the one that was chosen: another's last bits are others, and the film's colours would change.
    engine = RetryingEngine(chosen, lambda: open_engine(bundle, chosen.name, precision=precision).engine)
    try:
        yield LocalBackend(bundle, engine, options)
    finally:
        engine.close()


@contextmanager
def server_backend(
    target: str, model: str | None, options: Options, *, tls: Tls | None = None, api_key: str | None = None
) -> Generator[ServerBackend, None, None]:
    """Connect to the server at `target`, host:port; `model` is one of its models, or None for its default.

    Raises:
        KinemaError: the server cannot be reached, or has no such model.
    """
    with Client(target, tls=tls, api_key=api_key) as client:
        models = client.list_models()
        chosen = next((offered for offered in models if model in {None, offered.name}), None)
        if chosen is None:
            offered = ", ".join(offered.name for offered in models)
            raise InvalidInputError("model", f"must be one of the server's ({offered}), got {model!r}")
        yield ServerBackend(client, target, chosen, options)
