"""Names, addresses and places of the lab, in one file."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

#: Every lab address lies here: the benchmarking range of RFC 2544, routed nowhere.
RANGE = IPv4Network("198.18.0.0/15")
#: The machine's own address on the bridge: router, AWS API, mirror, registry, apt proxy, webhooks of API servers.
FABRIC = IPv4Address("198.19.255.254")
BRIDGE = "twinplane0"

#: Pods of the lab's EKS nodes, and its hidden control planes. Stacks choose the other ranges.
EKS_PODS = IPv4Network("198.18.128.0/18")
EKS_CONTROL_PLANES = IPv4Network("198.19.240.0/24")
#: One address for each network load balancer.
LOAD_BALANCERS = IPv4Network("198.19.241.0/24")

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
