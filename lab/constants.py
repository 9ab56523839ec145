"""Names, addresses and places of the lab, in one file."""

from ipaddress import IPv4Network
from pathlib import Path

#: Every lab address lies here: the benchmarking range of RFC 2544, routed nowhere.
RANGE = IPv4Network("198.18.0.0/15")
#: The machine's own address on the bridge: router, AWS API, mirror, registry, apt proxy, webhooks of API servers.
FABRIC = RANGE[-2]
BRIDGE = "twinplane0"


def part(prefix: int, number: int) -> IPv4Network:
    """Returns the block of that prefix length and number, counted from 0, in RANGE. stack_config.py has the stacks'."""
    return IPv4Network((int(RANGE.network_address) + (number << (32 - prefix)), prefix))


#: Pods of the lab's EKS, Services where a cluster names no range (EKS would choose one outside the lab), and its hidden
#: control planes.
EKS_PODS, EKS_SERVICES, EKS_CONTROL_PLANES = part(18, 2), part(20, 16), part(24, 496)
#: One address for each network load balancer.
LOAD_BALANCERS = part(24, 497)

API_PORT = 4515
API_URL = f"http://127.0.0.1:{API_PORT}"
#: The same API for machines and pods of the lab.
FABRIC_API_URL = f"http://{FABRIC}:{API_PORT}"
MIRROR_PORT = 8080
REGISTRY_PORT = 5000
APT_PROXY_PORT = 3142
WEBHOOKS_PORT = 8443
#: Of the instance metadata service, which EC2 has at 169.254.169.254.
METADATA_PORT = 1338

ACCOUNT = "123456789012"
REGION = "us-east-1"

PROJECT = Path(__file__).resolve().parents[1]
#: Kept by `make down`: tools, host images, Debian packages.
CACHE = Path.home() / ".cache" / "twinplane"
#: Gone after `make down`: hosts, API state, Pulumi state of the lab stacks, logs.
STATE = Path("/var/lib/twinplane")

#: Debian 12 as released, without its security updates, and the same with all of them.
BASE_RELEASE = "20260901"
UPDATED_RELEASE = "20261101"
