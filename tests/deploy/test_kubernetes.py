"""Manifests: valid, strict, and of one mind with the server's settings."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PrometheusRule, ServiceMonitor
from pydantic import BaseModel

from kinema_server.settings import Settings, settings_from
from tests.deploy.manifests import (
    COMPONENTS,
    KUBERNETES,
    OVERLAYS,
    Manifest,
    build,
    deployment,
    environment,
    load,
    manifests,
    server,
)

KUBERNETES_VERSION = "1.34"
"""preStop's sleep is stable since."""
OF_OPERATORS: dict[str, type[BaseModel]] = {
    "ServiceMonitor": ServiceMonitor,
    "PrometheusRule": PrometheusRule,
    "ScaledObject": ScaledObject,
}
"""Kinds that Kubernetes itself does not know, as models made from their operators' schemas."""
GIB = 1 << 30


def is_whole(path: Path) -> bool:
    """Whether a file is a manifest by itself, not a patch."""
    return path != KUBERNETES / "overlays" / "gpu" / "deployment.yaml"


def validate(manifest: Manifest) -> None:
    """Check a manifest against its kind's schema.

    Raises:
        ValueError: it has a word too many, lacks one, or one is of the wrong type.
    """
    model = OF_OPERATORS.get(manifest["kind"])
    if model is None:
        kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True)
        return
    understood = model.model_validate(manifest).model_dump(mode="json", by_alias=True, exclude_unset=True)
    if understood != manifest:  # a model passes over what it does not know
        raise ValueError(f"{manifest['kind']} understands {understood}, not all of {manifest}")


@pytest.mark.parametrize(("path", "manifest"), manifests(), ids=lambda value: getattr(value, "name", ""))
def test_a_manifest_is_valid_and_says_nothing_that_kubernetes_does_not_know(path: Path, manifest: Manifest) -> None:
    if is_whole(path):
        validate(manifest)


def test_a_manifest_with_a_word_too_many_is_found() -> None:
    manifest = deployment()
    manifest["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFileSystem"] = True

    with pytest.raises(kubernetes_validate.ValidationError):
        validate(manifest)


@pytest.mark.parametrize("file", ["monitoring/service-monitor", "monitoring/prometheus-rule", "keda/scaled-object"])
def test_a_word_too_many_or_of_the_wrong_type_is_found_in_what_operators_read(file: str) -> None:
    (manifest,) = load(KUBERNETES / "components" / f"{file}.yaml")
    validate(manifest)
    key, inner = next((key, inner) for key, inner in manifest["spec"].items() if isinstance(inner, list))

    for wrong in ({key: [inner[0] | {"intervall": "15s"}]}, {key: "one"}):
        with pytest.raises(ValueError, match=r"intervall|valid list"):
            validate(manifest | {"spec": manifest["spec"] | wrong})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_builds_into_valid_manifests(overlay: str, kustomize: list[str]) -> None:
    built = build(KUBERNETES / "overlays" / overlay, kustomize)

    for manifest in built:
        validate(manifest)
    kinds = {manifest["kind"] for manifest in built}
    assert {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor"} <= kinds
    assert ("HorizontalPodAutoscaler" in kinds) != ("ScaledObject" in kinds)  # two would fight
    assert all(manifest["metadata"].get("namespace", "kinema") == "kinema" for manifest in built)


def test_every_component_builds_on_the_base(tmp_path: Path, kustomize: list[str]) -> None:
    for component in COMPONENTS:
        overlay = tmp_path / component
        overlay.mkdir()
        base = Path("../" * (len(overlay.resolve().parts) - 1)) / KUBERNETES.relative_to("/")
        text = f"resources: [{base}/base]\ncomponents: [{base}/components/{component}]\n"
        (overlay / "kustomization.yaml").write_text(text)

        for manifest in build(overlay, kustomize):
            validate(manifest)
            if manifest["kind"] == "Deployment":
                check_settings(manifest)


def test_the_overlays_name_files_that_are_there() -> None:
    for path in KUBERNETES.rglob("kustomization.yaml"):
        (kustomization,) = load(path)
        named = [*kustomization.get("resources", []), *kustomization.get("components", [])]
        named += [patch["path"] for patch in kustomization.get("patches", []) if "path" in patch]
        named += [file for maker in kustomization.get("configMapGenerator", []) for file in maker["files"]]
        assert named or kustomization["patches"]
        for name in named:
            assert (path.parent / name).exists(), f"{path} names {name}"


def check_settings(manifest: Manifest) -> Settings:
    """Build the settings that a deployment makes, less what is not the server's own."""
    told = {name: value for name, value in environment(manifest).items() if name.startswith("KINEMA_")}
    known = set(re.findall(r'"(KINEMA_\w+)"', (KUBERNETES.parents[1] / SETTINGS).read_text()))
    assert set(told) <= known
    return settings_from(told)


SETTINGS = Path("server") / "kinema_server" / "settings.py"


def test_the_server_is_told_only_what_it_knows_and_its_ports_are_the_container_s() -> None:
    settings = check_settings(deployment())
    ports = {port["name"]: port["containerPort"] for port in server(deployment())["ports"]}

    assert ports == {"grpc": settings.port, "health": settings.health_port, "metrics": settings.metrics_port}


def test_the_probes_ask_for_health_over_grpc_where_no_certificate_is_needed() -> None:
    container = server(deployment())

    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["grpc"]["port"] == check_settings(deployment()).health_port


def test_running_streams_get_their_grace_before_the_pod_is_killed() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    before = server(deployment())["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert before + check_settings(deployment()).grace_seconds + 10 <= pod["terminationGracePeriodSeconds"]


def test_the_films_that_are_being_sent_fit_into_their_volume_and_the_volume_into_the_limit() -> None:
    settings = check_settings(deployment())
    pod = deployment()["spec"]["template"]["spec"]
    (volume,) = (volume for volume in pod["volumes"] if "emptyDir" in volume)
    (mount,) = (mount for mount in server(deployment())["volumeMounts"] if not mount.get("readOnly"))
    size = gib(volume["emptyDir"]["sizeLimit"])

    assert (mount["name"], mount["mountPath"]) == (volume["name"], "/tmp")  # noqa: S108 - the container's
    assert settings.max_videos * settings.max_video_bytes < size
    assert size <= gib(server(deployment())["resources"]["limits"]["ephemeral-storage"])


def test_the_secret_of_resume_tokens_is_where_the_server_looks_for_it() -> None:
    (volume,) = (volume for volume in deployment()["spec"]["template"]["spec"]["volumes"] if "secret" in volume)
    (mount,) = (mount for mount in server(deployment())["volumeMounts"] if mount["name"] == volume["name"])

    assert check_settings(deployment()).resume_secret == Path(mount["mountPath"]) / "secret"
    guide = (KUBERNETES.parents[1] / "docs" / "operations.md").read_text()
    assert f"create secret generic {volume['secret']['secretName']} --from-literal=secret=" in guide


def gib(quantity: str) -> int:
    assert quantity.endswith("Gi")
    return int(quantity[:-2]) * GIB


def test_the_pod_has_no_rights() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    container = server(deployment())["securityContext"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_every_selector_finds_the_pods() -> None:
    found = [selector for path, manifest in manifests() if is_whole(path) for selector in selectors(manifest)]

    assert len(found) >= 7
    assert all(selector == {"app.kubernetes.io/name": "kinema"} for selector in found)
    (base,) = load(KUBERNETES / "base" / "kustomization.yaml")
    assert base["labels"][0]["pairs"] == {"app.kubernetes.io/name": "kinema"}
    assert base["labels"][0]["includeTemplates"] is True


def selectors(manifest: Manifest) -> Iterator[Any]:
    """Give what a manifest selects Kinema's pods, or its service, by."""
    spec = manifest.get("spec", {})
    if manifest["kind"] == "Service":
        yield spec["selector"]
    elif "selector" in spec:
        yield spec["selector"]["matchLabels"]
    if manifest["kind"] == "NetworkPolicy":
        yield spec["podSelector"]["matchLabels"]
    for spread in spec.get("template", {}).get("spec", {}).get("topologySpreadConstraints", []):
        yield spread["labelSelector"]["matchLabels"]


def test_the_service_is_headless_and_its_ports_are_the_container_s() -> None:
    (service,) = load(KUBERNETES / "base" / "service.yaml")
    names = {port["name"] for port in server(deployment())["ports"]}

    assert service["spec"]["clusterIP"] == "None"
    assert {port["targetPort"] for port in service["spec"]["ports"]} == {"grpc", "metrics"} <= names


def test_the_autoscalers_aim_below_what_one_pod_takes() -> None:
    settings = check_settings(deployment())
    (hpa,) = load(KUBERNETES / "components" / "hpa" / "horizontal-pod-autoscaler.yaml")
    (keda,) = load(KUBERNETES / "components" / "keda" / "scaled-object.yaml")
    by_hpa = {metric["pods"]["metric"]["name"]: metric["pods"]["target"] for metric in hpa["spec"]["metrics"]}
    by_keda = {trigger["metadata"]["query"]: trigger["metadata"] for trigger in keda["spec"]["triggers"]}

    for name, most in (
        ("kinema_queue_depth", settings.credits * settings.max_streams),
        ("kinema_places_used", settings.max_streams),
    ):
        aim = by_hpa[name]["averageValue"]
        assert int(aim) < most
        assert by_keda[f'sum({name}{{namespace="kinema"}})']["threshold"] == aim
