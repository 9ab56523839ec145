"""What nodes and pods use, on both clusters: metrics-server answers `kubectl top`."""

from tests.support.live import Cluster, until


def test_top_shows_every_node_and_the_sample_app_s_pods(cluster: Cluster) -> None:
    nodes = {node["metadata"]["name"] for node in cluster.ready_nodes()}

    def shown(*what: str) -> dict[str, list[str]]:
        lines = cluster.kubectl("top", *what, "--no-headers", check=False).splitlines()
        return {name: rest for name, *rest in (line.split() for line in lines)}

    # A node that has just come is asked with the next look, every 15 s; it tells what it used since the one before.
    until("each node", lambda: set(shown("nodes")) == nodes, 90)
    assert all(used[0].endswith("m") and used[2].endswith("Mi") for used in shown("nodes").values())
    pods = {pod["metadata"]["name"] for pod in cluster.get("pods", "-n", "twinplane")["items"]}
    assert pods <= set(shown("pods", "-n", "twinplane"))
