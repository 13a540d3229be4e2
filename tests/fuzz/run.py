"""Fuzz one target with atheris: `python tests/fuzz/run.py TARGET [FOLDER] [-max_total_time=600 ...]`.

Options are libFuzzer's. FOLDER keeps what reached new code: `tests/fuzz/corpus/TARGET` to let the repository have it
(-merge=1 FOLDER leaves out what adds nothing). What it finds goes to `tests/fuzz/found/TARGET/` by hand, and is a test
from then on.
"""

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))
with atheris.instrument_imports():
    from tests.fuzz.seeds import kept_for, made_for
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Begin from the target's seeds."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"name a target, one of {', '.join(TARGETS)}; got {' '.join(sys.argv[1:]) or 'nothing'}")
    name = sys.argv[1]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate([*made_for(name), *kept_for(name)]):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([f"{sys.executable} {__file__} {name}", *sys.argv[2:], corpus], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
