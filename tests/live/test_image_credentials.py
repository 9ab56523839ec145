"""Login to ECR on self-managed nodes: what the kubelet runs gets it, by the role of the machine alone."""

import json
import subprocess
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from lab.constants import ACCOUNT, REGION
from lab.machines.host import Host
from tests.support.live import Cluster

REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"


def provider(host: Host) -> tuple[str, dict[str, Any]]:
    """Returns the program, and its entry in the config, as the running kubelet was told."""
    line = host.run("cat", "/proc/" + host.run("pidof", "kubelet").stdout.strip() + "/cmdline").stdout
    flags = dict(each.removeprefix("--").split("=", 1) for each in line.split("\0")[1:] if "=" in each)
    config = yaml.safe_load(host.run("cat", flags["image-credential-provider-config"]).stdout)
    [entry] = config["providers"]
    return str(PurePosixPath(flags["image-credential-provider-bin-dir"]) / entry["name"]), entry


@pytest.mark.parametrize("role", ["control-plane", "worker"])
def test_the_kubelets_provider_logs_in_by_the_machines_role(self_managed: Cluster, role: str) -> None:
    host = Host(next(each for each in self_managed.outputs["machines"] if each["role"] == role)["instanceId"])
    program, entry = provider(host)
    given = {each["name"]: each["value"] for each in entry["env"]}
    request = {"kind": "CredentialProviderRequest", "apiVersion": entry["apiVersion"], "image": f"{REGISTRY}/x:v1"}

    def ask(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        words = [f"{name}={value}" for name, value in environment.items()]
        return host.run("env", "-i", *words, program, input=json.dumps(request))

    answer = json.loads(ask(given).stdout)
    assert answer["kind"] == "CredentialProviderResponse"
    assert answer["auth"][REGISTRY]["username"] == "AWS"
    assert answer["auth"][REGISTRY]["password"]
    # Without the metadata service there is no role, and so no login.
    without = ask({**given, "AWS_EC2_METADATA_DISABLED": "true"})
    assert without.returncode != 0
    assert "credentials" in without.stderr
