"""What is wrong with the manifests and the Containerfile in deploy/, as sentences.

What enters: parsed YAML, lines of text. What leaves: problems; none for files that fit this
package's command line and settings. It needs no cluster and no container tool.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml

from streamer import config as settings
from streamer.cli.app import UsageError, app
from streamer.cli.main import COMMANDS
from streamer.config import Config
from streamer.errors import ConfigError
from streamer.kafka.groups import Stage, consumer_group
from streamer.kafka.topics import SCORES, WINDOWS

Manifest = dict[str, Any]
ENVIRONMENT = {
    "STREAMER__KAFKA__SECURITY__USERNAME": "somebody",
    "STREAMER__KAFKA__SECURITY__PASSWORD": "secret",
}
"""Stands for what the Secrets contain."""
SCALED: Mapping[str, tuple[Stage, str]] = {
    "streamer-infer": ("inference", WINDOWS.name),
    "streamer-process": ("smoothing", SCORES.name),
}
HEALTH_PATHS = {
    "startupProbe": "/healthz",
    "livenessProbe": "/healthz",
    "readinessProbe": "/readyz",
}
SETTINGS_FOLDER = "/etc/streamer"


@dataclass(frozen=True)
class Deployed:
    """All manifests of a folder."""

    manifests: Sequence[Manifest]

    def of_kind(self, kind: str) -> list[Manifest]:
        """Return the manifests of one kind."""
        return [each for each in self.manifests if each["kind"] == kind]

    def named(self, kind: str, name: str) -> Manifest | None:
        """Return one manifest; None if there is none."""
        return next((each for each in self.of_kind(kind) if each["metadata"]["name"] == name), None)

    @property
    def config_text(self) -> str:
        """The settings in the ConfigMap."""
        text: str = self.of_kind("ConfigMap")[0]["data"]["streamer.toml"]
        return text

    @property
    def config(self) -> Config:
        """The settings of the stages, checked as a stage checks them."""
        return settings.build(_merged(tomllib.loads(self.config_text), ENVIRONMENT))


def _merged(tree: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    for name, value in environment.items():
        *sections, key = name.removeprefix("STREAMER__").lower().split("__")
        section = tree
        for each in sections:
            section = section.setdefault(each, {})
        section[key] = value
    return tree


def read(*folders: Path) -> Deployed:
    """Return the manifests that the kustomizations of these folders name."""
    found: list[Manifest] = []
    for folder in folders:
        for name in kustomization(folder)["resources"]:
            if not (folder / name).is_dir():
                found += yaml.safe_load_all((folder / name).read_text("utf-8"))
    return Deployed(found)


def kustomization(folder: Path) -> Manifest:
    """Return a folder's kustomization."""
    read_back: Manifest = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    return read_back


def problems(deployed: Deployed) -> list[str]:
    """Return every problem of the manifests."""
    checks = (workload_problems, service_problems, scaling_problems)
    wrong_settings = list(settings_problems(deployed))
    return wrong_settings or [problem for check in checks for problem in check(deployed)]


def settings_problems(deployed: Deployed) -> Iterator[str]:
    """Check the settings in the ConfigMap."""
    try:
        config = deployed.config
    except ConfigError as error:
        yield str(error)
        return
    if config.kafka.broker == "embedded":
        yield "The stages need a broker that they all reach."
    if config.metrics.host != "0.0.0.0" or not config.metrics.port:
        yield "The probes need metrics.host and metrics.port."


def workload_problems(deployed: Deployed) -> Iterator[str]:
    """Check every Deployment and its containers."""
    for manifest in deployed.of_kind("Deployment"):
        name, template = manifest["metadata"]["name"], manifest["spec"]["template"]
        selected = manifest["spec"]["selector"]["matchLabels"]
        if not selected.items() <= template["metadata"]["labels"].items():
            yield f"{name}: its selector does not select its pods."
        pod = template["spec"]
        if not pod.get("securityContext", {}).get("runAsNonRoot"):
            yield f"{name}: it may run as root."
        yield from (f"{name}: {problem}" for problem in volume_problems(deployed, pod))
        for container in pod["containers"]:
            for problem in container_problems(deployed, container):
                yield f"{name}: {problem}"


def volume_problems(deployed: Deployed, pod: Manifest) -> Iterator[str]:
    """Check that every volume is mounted and every reference of one exists."""
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"] for each in pod["containers"] for mount in each["volumeMounts"]}
    for missing in sorted(mounts ^ volumes.keys()):
        yield f"the volume {missing} is either not there or not mounted."
    for volume in volumes.values():
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim and deployed.named("PersistentVolumeClaim", claim) is None:
            yield f"there is no claim {claim}."
        configured = volume.get("configMap", {}).get("name")
        if configured and deployed.named("ConfigMap", configured) is None:
            yield f"there is no ConfigMap {configured}."


def container_problems(deployed: Deployed, container: Manifest) -> Iterator[str]:
    """Check a container: command, environment, probes, rights, resources."""
    if container["image"] != "streamer":
        yield f"the image {container['image']} is not the one of the kustomization."
    yield from argument_problems(deployed, container)
    yield from environment_problems(container)
    yield from probe_problems(deployed, container)
    rights = container.get("securityContext", {})
    if rights.get("allowPrivilegeEscalation") is not False or not rights.get(
        "readOnlyRootFilesystem"
    ):
        yield "it has more rights than it needs."
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "it has no limit of memory."
    if "/tmp" not in {mount["mountPath"] for mount in container["volumeMounts"]}:
        yield "it has no /tmp to write to."


def argument_problems(deployed: Deployed, container: Manifest) -> Iterator[str]:
    """Check that the command line accepts the arguments, and that the files in them exist."""
    assert COMMANDS
    verb, *words = container["args"]
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    if verb not in commands:
        yield f"there is no command {verb}."
        return
    try:
        chosen = commands[verb].make_context(verb, list(words)).params
    except UsageError as error:
        yield f"streamer {verb}: {error.message}"
        return
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    config = chosen.get("config")
    (data,) = [each["data"] for each in deployed.of_kind("ConfigMap")]
    if config is None or str(config.parent) != SETTINGS_FOLDER or config.name not in data:
        yield "it does not read the settings of the ConfigMap."
    folder = chosen.get("folder")
    if folder is not None and str(folder) not in mounted:
        yield f"{folder} is not a volume."
    if SETTINGS_FOLDER not in mounted:
        yield f"{SETTINGS_FOLDER} is not a volume."


def environment_problems(container: Manifest) -> Iterator[str]:
    """Check that each variable is a setting, or one that the command reads, and is a secret."""
    for variable in container.get("env", []):
        name = variable["name"]
        if "secretKeyRef" not in variable.get("valueFrom", {}):
            yield f"{name} is not from a Secret."
        if name == "STREAMER_DASHBOARD_TOKEN" and container["args"][0] == "dashboard":
            continue
        if name not in ENVIRONMENT:
            yield f"{name} is no secret setting."


def probe_problems(deployed: Deployed, container: Manifest) -> Iterator[str]:
    """Check the probes: on the metrics port, or on the page's."""
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for kind, path in HEALTH_PATHS.items():
        probe = container.get(kind)
        if probe is None:
            if kind != "livenessProbe" or "metrics" in ports:
                yield f"it has no {kind}."
            continue
        target = probe.get("httpGet") or probe["tcpSocket"]
        if target["port"] not in ports:
            yield f"its {kind} asks a port {target['port']} that is not there."
        elif "metrics" in ports and target.get("path") != path:
            yield f"its {kind} does not ask {path}."
    if "metrics" in ports and ports["metrics"] != deployed.config.metrics.port:
        yield "its metrics port is not metrics.port."
    words = container["args"]
    if "--port" in words and int(words[words.index("--port") + 1]) not in ports.values():
        yield "the port of its command is not among its ports."


def service_problems(deployed: Deployed) -> Iterator[str]:
    """Check that every Service selects the pods of one Deployment, and a port of theirs."""
    for service in deployed.of_kind("Service"):
        selector, name = service["spec"]["selector"], service["metadata"]["name"]
        targets = [
            each["spec"]["template"]
            for each in deployed.of_kind("Deployment")
            if selector.items() <= each["spec"]["template"]["metadata"]["labels"].items()
        ]
        if len(targets) != 1:
            yield f"The Service {name} selects {len(targets)} Deployments."
            continue
        (container,) = targets[0]["spec"]["containers"]
        names = {port["name"] for port in container["ports"]}
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in names:
                yield f"The Service {name} leads to a port {port['targetPort']} that is not there."


def scaling_problems(deployed: Deployed) -> Iterator[str]:
    """Check that KEDA watches the groups and topics that the stages use."""
    config = deployed.config
    for scaled in deployed.of_kind("ScaledObject"):
        spec, name = scaled["spec"], scaled["spec"]["scaleTargetRef"]["name"]
        if deployed.named("Deployment", name) is None or name not in SCALED:
            yield f"There is no stage {name} to scale."
            continue
        stage, topic = SCALED[name]
        (trigger,) = spec["triggers"]
        expected = {
            "bootstrapServers": config.kafka.broker,
            "consumerGroup": consumer_group(config, stage),
            "topic": f"{config.kafka.topic_prefix}.{topic}.v1",
        }
        for key, value in expected.items():
            if trigger["metadata"].get(key) != value:
                yield f"{name} scales on {key} {trigger['metadata'].get(key)}, not {value}."
        if spec["maxReplicaCount"] > config.kafka.partitions:
            yield f"{name} may have more workers than kafka.partitions."
        authentication = trigger["authenticationRef"]["name"]
        if deployed.named("TriggerAuthentication", authentication) is None:
            yield f"There is no TriggerAuthentication {authentication}."


def instructions(containerfile: str) -> list[tuple[str, str]]:
    """Return the instructions of a Containerfile, continued lines joined, comments left out."""
    text = "\n".join(line for line in containerfile.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", text)
    found = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in found]


def containerfile_problems(text: str, root: Path) -> Iterator[str]:
    """Check a Containerfile against the repository in `root` and the settings."""
    steps = instructions(text)
    stages = [rest for name, rest in steps if name == "FROM"]
    if len(stages) < 2 or " AS " in stages[-1]:
        yield "It must build in one stage and run in another."
    last = len(steps) - 1 - [name for name, _ in reversed(steps)].index("FROM")
    for rest in (rest for name, rest in steps[:last] if name == "COPY"):
        *sources, _ = rest.split()
        yield from (f"There is no {each}." for each in sources if not (root / each).exists())
    if not any("--constraint constraints.txt" in rest for name, rest in steps if name == "RUN"):
        yield "It does not install the versions of constraints.txt."
    final = dict(steps[last:])
    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", final.get("USER", "")):
        yield "It must run as a numbered user who is not root."
    variables = dict(re.findall(r"(STREAMER__\w+)=(\S+)", final.get("ENV", "")))
    try:
        config = settings.load(None, (), variables)
    except ConfigError as error:
        yield str(error)
        return
    if f":{config.metrics.port}/readyz" not in final.get("HEALTHCHECK", ""):
        yield "Its health check does not ask /readyz on metrics.port."
    if final.get("ENTRYPOINT") != '["streamer"]':
        yield "Its entry point is not the command streamer."
