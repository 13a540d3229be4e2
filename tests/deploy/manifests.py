"""What is in `deploy/`, as tests read it."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.programs import find

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("cpu", "gpu")
COMPONENTS = ("admin", "hpa", "keda", "monitoring", "secured", "tracing")
RULES = KUBERNETES / "components" / "monitoring" / "prometheus-rule.yaml"
DASHBOARD = KUBERNETES / "components" / "monitoring" / "kinema-dashboard.json"

Manifest = dict[str, Any]


def load(path: Path) -> list[Manifest]:
    """Read the documents of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def manifests() -> list[tuple[Path, Manifest]]:
    """Read every manifest as it was written: no overlay is resolved."""
    paths = sorted(path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml")
    return [(path, manifest) for path in paths for manifest in load(path)]


def deployment() -> Manifest:
    """Read the base's deployment."""
    (manifest,) = load(KUBERNETES / "base" / "deployment.yaml")
    return manifest


def server(manifest: Manifest) -> Manifest:
    """Return the one container of a deployment."""
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    return container  # type: ignore[no-any-return]  # as it lies in the file


def environment(manifest: Manifest) -> dict[str, str]:
    """Return what the server is told in plain words."""
    return {variable["name"]: variable["value"] for variable in server(manifest)["env"] if "value" in variable}


def kustomize() -> list[str] | None:
    """Return the command that builds a kustomization, if there is one here."""
    if path := find("kustomize"):
        return [path, "build"]
    if path := find("kubectl"):
        return [path, "kustomize"]
    return None


def build(folder: Path, command: list[str]) -> list[Manifest]:
    """Build a kustomization."""
    built = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return [document for document in yaml.safe_load_all(built.stdout) if document is not None]
