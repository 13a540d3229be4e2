"""The model that ships gives the same colours on every engine, whatever the batch, threads and sizes."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.bundle import Bundle, load_bundle
from kinema_core.engines.engine import Engine
from kinema_core.engines.select import CPU_ENGINES, open_engine

F32 = NDArray[np.float32]

TOLERANCE_AB = 1e-3
"""Lab units. Engines sum in different orders, which on trained models of this shape shows as 4e-5, and as 4e-4 on an
untrained one whose ab reach 480; kinds of CPU differ as well. bf16 in place of f32 differs by 0.5 and more, and the
step of an 8-bit chroma code is about that large, too."""

SIZES = [(256, 256), (128, 224), (224, 128), (32, 64)]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle()


@pytest.fixture(scope="module")
def engines(bundle: Bundle) -> Iterator[dict[str, Engine]]:
    opened = {name: open_engine(bundle, name, num_threads=2).engine for name in CPU_ENGINES}
    yield opened
    for engine in opened.values():
        engine.close()


def picture(height: int, width: int, seed: int = 0) -> F32:
    """Return L* (1, 1, height, width): a shaded sphere before a gradient, with grain."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    shade = np.sqrt(np.clip(0.5 - x * x - y * y, 0, None))
    grain = np.random.default_rng(seed).normal(0, 2, (height, width))
    lightness: F32 = np.clip(45 + 30 * y + 60 * shade + grain, 0, 100).astype(np.float32)
    return lightness[None, None]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_engines_agree_on_the_colours(engines: dict[str, Engine], height: int, width: int) -> None:
    lightness = picture(height, width)

    results = {name: engine.infer(lightness) for name, engine in engines.items()}

    for ab in results.values():
        np.testing.assert_allclose(ab, results["onnxruntime"], rtol=0, atol=TOLERANCE_AB)
    assert results["onnxruntime"].std() > 0.1  # colours, not one constant that all could agree on


@pytest.mark.parametrize("name", list(CPU_ENGINES))
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_picture_gets_the_same_bits_alone_and_in_company(
    engines: dict[str, Engine], name: str, height: int, width: int
) -> None:
    pictures = [picture(height, width, seed) for seed in range(3)]

    together = engines[name].infer(np.concatenate(pictures))

    np.testing.assert_array_equal(together, np.concatenate([engines[name].infer(alone) for alone in pictures]))


@pytest.mark.parametrize("name", list(CPU_ENGINES))
def test_the_bits_do_not_depend_on_threads_nor_on_the_sizes_before(
    engines: dict[str, Engine], bundle: Bundle, name: str
) -> None:
    fresh = open_engine(bundle, name, num_threads=1).engine

    for height, width in reversed(SIZES):
        np.testing.assert_array_equal(
            fresh.infer(picture(height, width)),
            engines[name].infer(picture(height, width)),
            err_msg=f"{height}x{width}",
        )
    fresh.close()
