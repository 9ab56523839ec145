"""Machines as a self-managed stack's outputs list them."""


def machine(name: str, role: str, number: int) -> dict[str, str]:
    return {
        "name": name,
        "role": role,
        "instanceId": f"i-{number}",
        "zone": "us-east-1a",
        "privateIp": f"10.0.0.{number}",
        "sshAddress": f"203.0.113.{number}",
        "publicIp": f"203.0.113.{number}" if role == "worker" else "",
        "hostKey": f"ssh-ed25519 AAAA{number}",
        "etcdVolume": f"vol-{number}" if role == "control-plane" else "",
    }


MACHINES = [
    machine("control-plane-1", "control-plane", 1),
    machine("worker-2", "worker", 3),
    machine("worker-1", "worker", 2),
]
