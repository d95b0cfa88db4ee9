"""The manifests, as `kubectl apply -k` would send them: against Kubernetes' schemas, the image, settings and docs."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import validate  # type: ignore[import-untyped]
from kubernetes_validate.utils import all_versions  # type: ignore[import-untyped]

from app.api.identity.api_keys import ApiKeys
from app.api.identity.gate import PUBLIC
from app.settings import Settings
from tests import kubectl
from tests.servers.openai_wire import OpenAIWire
from tests.service import serving

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy/kubernetes"
BASE = sorted(path for path in (FOLDER / "base").glob("*.yaml") if path.name != "kustomization.yaml")
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DOCS = (ROOT / "docs/deploying.md").read_text(encoding="utf-8")
IMAGE = dict(re.findall(r"\b([A-Z_]+)=(\S+)", DOCKERFILE[DOCKERFILE.index("\nENV PATH=") :]))
VERSIONS = [version for version in sorted(set(all_versions())) if int(version.split(".")[1]) >= 33]
"""Of Kubernetes: those that are still maintained, and newer ones."""

Manifest = dict[str, Any]


def rendered(folder: str) -> list[Manifest]:
    """What kustomize makes of it."""
    program = kubectl.find()
    if program is None:
        pytest.skip("kubectl is not there: make test fetches it on x86-64 Linux")
    command = [program, "kustomize", str(FOLDER / folder)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    assert result.returncode == 0, result.stderr
    return list(yaml.safe_load_all(result.stdout))


@pytest.fixture(scope="module", params=["base", "overlays/replicas"])
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return rendered(request.param)


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}


def only(manifests: list[Manifest], kind: str) -> Manifest:
    (found,) = of_kind(manifests, kind).values()
    return found


def pod(manifests: list[Manifest]) -> Manifest:
    template: Manifest = only(manifests, "Deployment")["spec"]["template"]
    return template


def container(manifests: list[Manifest]) -> Manifest:
    (found,) = pod(manifests)["spec"]["containers"]
    return dict(found)


def found(value: Any, name: str) -> Iterator[Any]:
    """Everything under that name, however deep."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == name:
                yield item
            yield from found(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from found(item, name)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_it(manifests: list[Manifest], version: str) -> None:
    """By its schemas, with nothing that they do not know, in the project's namespace."""
    for manifest in manifests:
        validate(manifest, version, strict=True)
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "waggle"


@pytest.mark.parametrize("path", BASE, ids=lambda path: path.name)
def test_each_file_stands_for_itself(path: Path) -> None:
    """They are no templates: the base's files may be applied one by one."""
    for manifest in yaml.safe_load_all(path.read_text()):
        validate(manifest, VERSIONS[-1], strict=True)


def test_every_file_is_used() -> None:
    """None was forgotten in its kustomization."""
    for folder in ("base", "overlays/replicas"):
        text = (FOLDER / folder / "kustomization.yaml").read_text()
        files = {path.name for path in (FOLDER / folder).glob("*.yaml")} - {"kustomization.yaml"}
        assert files == set(re.findall(r"([\w-]+\.yaml)$", text, re.MULTILINE))


def test_selectors_find_the_pods(manifests: list[Manifest]) -> None:
    """Of the Deployment, Service, budget, policies and spread; and the autoscaler its Deployment."""
    labels = pod(manifests)["metadata"]["labels"].items()
    selectors = [*found(manifests, "podSelector"), *found(manifests, "labelSelector")]
    selectors += [manifest["spec"]["selector"] for manifest in manifests if "selector" in manifest.get("spec", {})]
    own = [selector.get("matchLabels", selector) for selector in selectors]
    own = [selector for selector in own if "k8s-app" not in selector]  # the DNS server's
    assert len(own) >= 5
    assert [selector for selector in own if not (selector and selector.items() <= labels)] == []
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler").values():
        assert scaler["spec"]["scaleTargetRef"]["name"] in of_kind(manifests, "Deployment")
        assert "replicas" not in only(manifests, "Deployment")["spec"], "each would undo the other"


def test_what_is_referred_to_is_there(manifests: list[Manifest]) -> None:
    """ConfigMaps, Secrets, volumes, the service account."""
    spec = pod(manifests)["spec"]
    assert spec["serviceAccountName"] in of_kind(manifests, "ServiceAccount")
    config = {ref["name"] for ref in found(spec, "configMapRef")} | {ref["name"] for ref in found(spec, "configMap")}
    secret = {ref["name"] for ref in found(spec, "secretRef")} | {ref["secretName"] for ref in found(spec, "secret")}
    claims = {ref["claimName"] for ref in found(spec, "persistentVolumeClaim")}
    assert config == set(of_kind(manifests, "ConfigMap"))
    assert secret == set(of_kind(manifests, "Secret"))
    assert claims == set(of_kind(manifests, "PersistentVolumeClaim"))
    assert {volume["name"] for volume in spec["volumes"]} == {
        mount["name"] for mount in container(manifests)["volumeMounts"]
    }


def test_ports_and_paths_are_the_image_s(manifests: list[Manifest]) -> None:
    """The port that it listens on, the folders that it writes to and reads agents from, probes that need no key."""
    image = container(manifests)
    (port,) = image["ports"]
    assert str(port["containerPort"]) == IMAGE["PORT"]
    assert {service["targetPort"] for service in only(manifests, "Service")["spec"]["ports"]} == {port["name"]}
    assert {to["port"] for ingress in found(manifests, "ingress") for rule in ingress for to in rule["ports"]} == {
        port["name"]
    }
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert image[probe]["httpGet"]["path"] in PUBLIC
        assert image[probe]["httpGet"]["port"] == port["name"]
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in image["volumeMounts"]}
    assert mounts == {IMAGE["DATA_DIR"]: False, IMAGE["HOME"]: False, IMAGE["AGENTS_DIR"]: True, "/etc/waggle": True}


def variables(manifests: list[Manifest]) -> dict[str, str]:
    config, secret = of_kind(manifests, "ConfigMap")["waggle"], of_kind(manifests, "Secret")["waggle"]
    return dict(config["data"]) | dict(secret["stringData"])


def test_variables_are_settings(manifests: list[Manifest]) -> None:
    """Each is one that the service reads, and together, with the image's own, they are taken; the door is closed."""
    given = variables(manifests)
    assert set(given) <= {name.upper() for name in Settings.model_fields}
    assert "AUTH" not in given
    names = {name.lower(): value for name, value in (IMAGE | given).items() if name.lower() in Settings.model_fields}
    settings = Settings(_env_file=None, **{name: value for name, value in names.items() if value})
    assert settings.asks_for_credentials
    keys = of_kind(manifests, "Secret")["waggle-keys"]["stringData"]
    assert str(settings.api_keys_file) in {f"/etc/waggle/{name}" for name in keys}


def test_example_secrets_open_nothing(manifests: list[Manifest], tmp_path: Path) -> None:
    """Applied as it is, the service refuses to start; with hashes in their places, the file is one."""
    file = tmp_path / "keys.yaml"
    text = of_kind(manifests, "Secret")["waggle-keys"]["stringData"]["keys.yaml"]
    file.write_text(text)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        ApiKeys((), file)
    file.write_text(re.sub("<.*?>", "ab" * 32, text))
    ApiKeys((), file)
    assert variables(manifests)["OPENAI_API_KEY"] == ""


def test_there_is_time_to_stop(manifests: list[Manifest]) -> None:
    """preStop, the drain, and what cancelled runs, connections and parts get: Kubernetes kills nothing before that."""
    before = container(manifests)["lifecycle"]["preStop"]["sleep"]["seconds"]
    names = ("drain_s", "cancel_timeout_s", "shutdown_timeout_s")
    drain, cancel, end = (Settings.model_fields[name].default for name in names)
    cancelled, connections, parts, leftover = cancel + end, end + 1, 2 * end, 2
    needed = before + drain + cancelled + connections + parts + leftover
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["waggle"]
    assert int(compose["stop_grace_period"].removesuffix("s")) >= needed - before
    assert pod(manifests)["spec"]["terminationGracePeriodSeconds"] >= needed


def test_the_pod_is_locked_down(manifests: list[Manifest]) -> None:
    """As Kubernetes' restricted standard has it, with a read-only file system and no token."""
    spec, own = pod(manifests)["spec"], container(manifests)["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    assert only(manifests, "ServiceAccount")["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"USER {spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}\n" in DOCKERFILE
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    labels = only(manifests, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


async def test_its_agent_runs_and_its_metric_is_counted(openai: OpenAIWire, tmp_path: Path) -> None:
    """The agent of the ConfigMap answers; what the autoscaler asks for is exported, and is what the adapter gives."""
    agents = yaml.safe_load((FOLDER / "base/agents.yaml").read_text())["data"]
    (tmp_path / "agents").mkdir()
    for name, text in agents.items():
        (tmp_path / "agents" / name).write_text(text)
    model = {"model": "openai:gpt-4o-mini", "model_base_url": f"{openai.url}/v1", "openai_api_key": "sk-test"}
    async with serving(agents_dir=tmp_path / "agents", data_dir=tmp_path, **model) as service:
        assert (await service.run("greeter", "Hello"))["status"] == "completed"
        exported = (await service.client.get("/metrics")).text
    asked = next(iter(found(yaml.safe_load((FOLDER / "overlays/replicas/hpa.yaml").read_text()), "pods")))
    name = asked["metric"]["name"]
    assert re.search(rf"^{name}\{{", exported, re.MULTILINE)
    (rules,) = (
        block for block in re.findall(r"^```yaml\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL) if "seriesQuery" in block
    )
    (rule,) = yaml.safe_load(rules)["rules"]["custom"]
    assert rule["seriesQuery"].startswith(name)
    assert rule["name"] == {"as": name}
    assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}
