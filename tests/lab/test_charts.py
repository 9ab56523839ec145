"""Charts under the real engine and the real helm, against an API server in a thread: no lab is needed."""

import base64
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.identity.pod_identity import OidcIdentity
from components.ingress.ingress_controller import NAME, WEBHOOK, IngressController, IngressControllerArgs
from lab.errors import Failed
from lab.plugins.kubernetes.chart import rendered
from lab.toolchain import tool
from lab.toolchain.tool import INGRESS_CONTROLLER
from tests import engine
from tests.engine import PROJECT, Project
from tests.kubernetes_api import Api, api_server
from tests.pulumi_mocks import run

pytestmark = pytest.mark.lab

PROGRAM = """
import pulumi
import pulumi_kubernetes as kubernetes

config = pulumi.Config()
cluster = kubernetes.Provider("cluster", kubeconfig=config.require_secret("kubeconfig"))
chart = kubernetes.helm.v4.Chart(
    "web",
    chart=config.get("chart") or "./chart",
    namespace="apps",
    values={"greeting": config.get("greeting") or "hello", "password": pulumi.Output.secret("hush-hush")},
    dependency_update=True if config.get("update") else None,
    post_renderer={"command": "cat"} if config.get("wrong") else None,
    opts=pulumi.ResourceOptions(provider=cluster),
)
kubernetes.core.v1.ConfigMap(
    "after", metadata={"name": "after", "namespace": "apps"},
    opts=pulumi.ResourceOptions(provider=cluster, depends_on=[chart]),
)
"""
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\n",
    "values.yaml": "greeting: nothing\npassword: none\n",
    "crds/thing.yaml": """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.test}
spec: {group: example.test, names: {kind: Thing, plural: things}, scope: Namespaced}
""",
    "templates/all.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-greeting"}
data: {greeting: "{{ .Values.greeting }}"}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {password: "{{ .Values.password }}"}
---
apiVersion: example.test/v1
kind: Thing
metadata: {name: thing, namespace: "{{ .Release.Namespace }}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: hooked, annotations: {helm.sh/hook: pre-install}}
""",
}
MAPS = "/api/v1/namespaces/apps/configmaps"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.test"
THING = "/apis/example.test/v1/namespaces/apps/things/thing"


def chart_in(folder: Path) -> Path:
    for name, text in CHART.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(name="api")
def _api() -> Iterator[Api]:
    with api_server() as api:
        yield api


@pytest.fixture(name="project")
def _project(tmp_path: Path, api: Api) -> Project:
    chart_in(tmp_path / "chart")
    made = engine.project(tmp_path, "http://127.0.0.1:9", PROGRAM, "charts")  # it has no use for AWS
    made("config", "set", "--secret", "kubeconfig", api.kubeconfig())
    api.later[DEFINITION] = (0.2, {"status": {"conditions": [{"type": "Established", "status": "True"}]}})
    return made


def test_install_upgrade_and_destroy(project: Project, api: Api) -> None:
    project("up", "--yes", "--skip-preview")
    assert api.objects[f"{MAPS}/web-greeting"]["data"] == {"greeting": "hello"}
    assert api.objects["/api/v1/namespaces/apps/secrets/password"]["stringData"] == {"password": "hush-hush"}
    assert f"{MAPS}/hooked" not in api.objects
    made = api.asked("PATCH")
    assert made.index(DEFINITION) < made.index(THING) < made.index(f"{MAPS}/after")
    assert "hush-hush" not in project.state()

    assert set(project.changes()) == {"same"}
    project("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    project("config", "set", "greeting", "goodbye")
    assert project.changes() == {"same": 7, "replace": 1}
    project("up", "--yes", "--skip-preview")
    assert api.objects[f"{MAPS}/web-greeting"]["data"] == {"greeting": "goodbye"}

    api.requests.clear()
    project("destroy", "--yes", "--skip-preview")
    assert api.objects == {}
    gone = api.asked("DELETE")
    assert gone[0] == f"{MAPS}/after", "what needs the chart goes before all of it"
    assert gone.index(THING) < gone.index(DEFINITION)


def test_the_lab_s_ingress_controller_takes_what_the_stacks_say() -> None:
    def program() -> None:
        image = f"198.19.255.254:5000/ingress-controller:v{INGRESS_CONTROLLER}"
        more = {"hostNetwork": True, "env": {"A": "b"}}
        identity = OidcIdentity("https://i.test", "arn:aws:iam::123456789012:oidc-provider/i.test")
        given: dict[str, Any] = {
            "cidrs": ("198.18.0.0/15",),
            "cluster": "demo",
            "region": "us-east-1",
            "vpc_id": "vpc-1",
            "identity": identity,
        }
        IngressController("c", IngressControllerArgs(**given, image=image, values=more))

    values = run(program).one("Chart").inputs["values"]
    asked = {"name": NAME, "chart": str(PROJECT / "lab" / "ingress_controller" / "chart"), "namespace": "kube-system"}
    found = rendered("c", {**asked, "values": values})
    kinds = {obj["kind"]: obj for obj in found}
    assert found[0]["metadata"]["name"] == "ingressclassparams.elbv2.k8s.aws", "before what needs it"
    deployment = kinds["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    [container] = pod["containers"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    tags = "--default-tags=ManagedBy=pulumi,Project=twinplane,Stack=test"
    assert container["args"] == ["--cluster-name=demo", "--aws-region=us-east-1", "--aws-vpc-id=vpc-1", tags]
    assert [each["name"] for each in container["env"]] == ["A", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"]
    assert (deployment["replicas"], pod["hostNetwork"], pod["serviceAccountName"]) == (2, True, NAME)
    assert kinds["ServiceAccount"]["metadata"]["name"] == NAME
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert len(pod["volumes"]) == 2, "its certificate, and the token that shows who it is"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz", "the chart is ready when its webhook answers"
    certificate = base64.b64encode(values["webhookTLS"]["cert"].encode()).decode()
    assert kinds["Secret"]["data"]["tls.crt"] == certificate
    hooks = {hook["name"]: hook for hook in kinds["ValidatingWebhookConfiguration"]["webhooks"]}
    assert set(hooks) == {"vingress.elbv2.k8s.aws", "vingressclassparams.elbv2.k8s.aws"}
    for hook in hooks.values():
        assert hook["failurePolicy"] == "Fail"
        assert hook["clientConfig"]["caBundle"] == certificate
        assert hook["clientConfig"]["service"]["name"] == kinds["Service"]["metadata"]["name"] == WEBHOOK

    with pytest.raises(Failed, match="'unheard' not allowed"):
        rendered("c", {**asked, "values": {**values, "unheard": 1}})


def test_what_is_wrong_is_told(project: Project) -> None:
    project("config", "set", "wrong", "1")
    assert "postRenderer: is no input that the lab's kubernetes plugin knows" in project("preview", code=1)
    project("config", "rm", "wrong")
    project("config", "set", "chart", "./nowhere")
    assert "chart ./nowhere: path" in project("preview", code=1)


def test_a_chart_of_a_repository(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(site)))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    helm = str(tool("helm"))
    chart = chart_in(tmp_path / "chart")
    try:
        subprocess.run([helm, "package", str(chart), "-d", str(site)], check=True, capture_output=True)
        subprocess.run([helm, "repo", "index", str(site), "--url", url], check=True, capture_output=True)
        given = {"chart": "web", "repositoryOpts": {"repo": url}, "version": "0.1.0", "values": {"greeting": "far"}}
        found = rendered("web", given)
    finally:
        server.shutdown()
        server.server_close()
    assert [obj["kind"] for obj in found] == ["CustomResourceDefinition", "Secret", "ConfigMap", "Thing"]
    assert found[2]["data"] == {"greeting": "far"}
