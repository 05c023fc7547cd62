"""deploy/: the manifests and the Containerfile fit the command line and the settings."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamer.capacity.plan import Demand, plan
from tests.deploy_lint import (
    Deployed,
    Manifest,
    containerfile_problems,
    kustomization,
    problems,
    read,
)

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text("utf-8")


@pytest.fixture
def deployed() -> Deployed:
    """All manifests, KEDA's too, for a test to change."""
    return copy.deepcopy(read(DEPLOY / "base", DEPLOY / "keda"))


def container(deployed: Deployed, name: str) -> Manifest:
    manifest = deployed.named("Deployment", name)
    assert manifest is not None
    (only,) = manifest["spec"]["template"]["spec"]["containers"]
    found: Manifest = only
    return found


def test_the_manifests_fit_the_command_line_and_the_settings(deployed: Deployed) -> None:
    assert problems(deployed) == []


@pytest.mark.parametrize("folder", ["base", "keda"])
def test_a_kustomization_names_every_file_beside_it(folder: str) -> None:
    beside = {path.name for path in (DEPLOY / folder).glob("*.yaml")} - {"kustomization.yaml"}
    named = set(kustomization(DEPLOY / folder)["resources"])
    assert named - {"../base"} == beside


def test_there_is_a_deployment_for_each_stage_that_runs_in_a_cluster(deployed: Deployed) -> None:
    verbs = {
        each["spec"]["template"]["spec"]["containers"][0]["args"][0]
        for each in deployed.of_kind("Deployment")
    }
    assert verbs == {"infer", "process", "record", "dashboard"}


def test_the_image_has_the_version_of_the_package() -> None:
    (image,) = kustomization(DEPLOY / "base")["images"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert image == {"name": "streamer", "newTag": project["version"]}
    assert f"streamer:{project['version']}" in CONTAINERFILE


def test_lag_thresholds_are_those_of_the_plan(deployed: Deployed) -> None:
    planned = plan(deployed.config, Demand(100))
    expected = {"streamer-infer": planned.windows_lag, "streamer-process": planned.scores_lag}
    for scaled in deployed.of_kind("ScaledObject"):
        (trigger,) = scaled["spec"]["triggers"]
        name = scaled["spec"]["scaleTargetRef"]["name"]
        assert int(trigger["metadata"]["lagThreshold"]) == expected[name]


def rename_option(deployed: Deployed) -> None:
    container(deployed, "streamer-infer")["args"][1] = "--configuration"


def rename_command(deployed: Deployed) -> None:
    container(deployed, "streamer-infer")["args"][0] = "inference"


def misspell_a_setting(deployed: Deployed) -> None:
    data = deployed.of_kind("ConfigMap")[0]["data"]
    data["streamer.toml"] = data["streamer.toml"].replace("partitions", "partition")


def move_the_metrics(deployed: Deployed) -> None:
    container(deployed, "streamer-process")["ports"][0]["containerPort"] = 9103


def ask_another_path(deployed: Deployed) -> None:
    container(deployed, "streamer-process")["readinessProbe"]["httpGet"]["path"] = "/ready"


def scale_on_another_group(deployed: Deployed) -> None:
    metadata = deployed.of_kind("ScaledObject")[0]["spec"]["triggers"][0]["metadata"]
    metadata["consumerGroup"] = "inference"


def allow_too_many_workers(deployed: Deployed) -> None:
    deployed.of_kind("ScaledObject")[0]["spec"]["maxReplicaCount"] = 13


def write_a_password(deployed: Deployed) -> None:
    variable = container(deployed, "streamer-record")["env"][1]
    variable["value"], variable["valueFrom"] = "hunter2", {}


def forget_the_volume(deployed: Deployed) -> None:
    mounts = container(deployed, "streamer-record")["volumeMounts"]
    mounts[:] = [mount for mount in mounts if mount["name"] != "recordings"]


def run_as_root(deployed: Deployed) -> None:
    manifest: Any = deployed.named("Deployment", "streamer-infer")
    manifest["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] = False


def lead_nowhere(deployed: Deployed) -> None:
    deployed.of_kind("Service")[0]["spec"]["ports"][0]["targetPort"] = "http"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (rename_option, "No such option: --configuration"),
        (rename_command, "there is no command inference"),
        (misspell_a_setting, "did you mean 'kafka.partitions'"),
        (move_the_metrics, "metrics port is not metrics.port"),
        (ask_another_path, "readinessProbe does not ask /readyz"),
        (scale_on_another_group, "not sentiment-inference"),
        (allow_too_many_workers, "more workers than kafka.partitions"),
        (write_a_password, "is not from a Secret"),
        (forget_the_volume, "/recordings is not a volume"),
        (run_as_root, "may run as root"),
        (lead_nowhere, "leads to a port http"),
    ],
)
def test_a_fault_in_a_manifest_is_found(
    deployed: Deployed, change: Callable[[Deployed], None], problem: str
) -> None:
    change(deployed)
    assert problem in "\n".join(problems(deployed))


def test_the_containerfile_fits_the_repository_and_the_settings() -> None:
    assert list(containerfile_problems(CONTAINERFILE, ROOT)) == []


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("COPY semi_iin semi_iin", "COPY semiiin semiiin", "There is no semiiin."),
        ("--constraint constraints.txt", "", "versions of constraints.txt"),
        ("USER 10001:10001", "USER root", "not root"),
        ("STREAMER__METRICS__PORT=9100", "STREAMER__METRICS__PORT=9101", "/readyz on metrics.port"),
        ("STREAMER__METRICS__PORT", "STREAMER__METRIC__PORT", "did you mean 'metrics"),
        ('ENTRYPOINT ["streamer"]', 'ENTRYPOINT ["python"]', "entry point"),
    ],
)
def test_a_fault_in_the_containerfile_is_found(before: str, after: str, problem: str) -> None:
    assert before in CONTAINERFILE
    changed = CONTAINERFILE.replace(before, after)
    assert problem in "\n".join(containerfile_problems(changed, ROOT))
