"""The manifests are what Kubernetes takes, and name what the server and its image have."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import kubernetes_validate
import pytest
import yaml  # type: ignore[import-untyped]  # comes with bentoml, its types do not

from asr_core.api.app import create_app
from asr_core.api.metrics import EngineCollector
from asr_core.engine.dispatcher import Tally
from asr_core.engine.engine import Engine, EngineStatus
from asr_core.settings import Settings
from tools.image_test.engines import IMAGE_USER

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
VERSIONS = ["1.27", "1.33"]
VALUES = "prometheus-adapter.values.yaml"
"""Not a manifest: the values of somebody else's chart."""


def documents() -> list[dict[str, Any]]:
    files = [path for path in sorted(FOLDER.glob("*.yaml")) if path.name != VALUES]
    return [document for path in files for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def one(kind: str) -> dict[str, Any]:
    (found,) = (document for document in documents() if document["kind"] == kind)
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = one("Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_manifest(version: str) -> None:
    for document in documents():
        kubernetes_validate.validate(document, version, strict=True)
    wrong = one("Deployment")
    wrong["spec"]["template"]["spec"]["containers"][0]["readyProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_every_claim_is_made_and_the_service_finds_the_pods() -> None:
    claims = {document["metadata"]["name"] for document in documents() if document["kind"] == "PersistentVolumeClaim"}
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    used = {v["persistentVolumeClaim"]["claimName"] for v in volumes.values() if "persistentVolumeClaim" in v}
    assert used == claims
    containers = pod()["initContainers"] + pod()["containers"]
    assert {mount["name"] for container in containers for mount in container["volumeMounts"]} == volumes.keys()
    deployment = one("Deployment")
    assert one("Service")["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]


def test_the_autoscaler_goes_by_a_metric_that_the_server_has_and_the_adapter_knows() -> None:
    (metric,) = one("HorizontalPodAutoscaler")["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    state = {"status": EngineStatus("demo", ready=True), "tally": Tally(), "n_waiting": 0, "n_live": 0, "in_memory": {}}
    engine = cast(Engine, SimpleNamespace(**state))
    assert name in {family.name for family in EngineCollector(engine).collect()}
    (rule,) = yaml.safe_load((FOLDER / VALUES).read_text(encoding="utf-8"))["rules"]["custom"]
    assert rule["seriesQuery"].startswith(f"{name}{{")
    assert rule["name"]["matches"] == f"^{name}$"


def test_the_container_is_set_up_as_the_compose_files_have_it() -> None:
    (server,) = pod()["containers"]
    compose = yaml.safe_load((FOLDER.parents[1] / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["asr"]
    environment = {variable["name"]: variable["value"] for variable in server["env"]}
    assert environment == {name: str(value) for name, value in compose["environment"].items()}
    assert (server["image"], server["args"]) == (compose["image"], compose["command"])
    settings = one("ConfigMap")["data"]
    assert settings.keys() <= {name.upper() for name in Settings.model_fields} - environment.keys()
    assert Settings.model_validate({name.lower(): value for name, value in settings.items()})
    security = server["securityContext"]
    assert security["readOnlyRootFilesystem"] and security["capabilities"]["drop"] == ["ALL"]
    assert pod()["securityContext"]["runAsUser"] == IMAGE_USER


def test_results_of_tasks_are_kept_where_all_replicas_see_them_and_uploads_are_not() -> None:
    (server,) = pod()["containers"]
    mounts = {mount["mountPath"]: mount for mount in server["volumeMounts"]}
    assert mounts[f"/data/uploads/asr-tasks-{IMAGE_USER}"]["name"] == "tasks"
    assert mounts["/data/uploads"]["name"] == "uploads"


def test_the_probes_ask_where_the_server_answers() -> None:
    (server,) = pod()["containers"]
    routes = {*create_app().openapi()["paths"], "/livez"}  # that one is BentoML's
    probed = {server[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probed == {"/livez", "/readyz"} <= routes
    assert "/metrics" in routes
