"""Observations -> one row of cells per node: what it runs, how far behind it is, who patches it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network

from twinplane.compare.evidence import Cell, Evidence, Row, State
from twinplane.compare.machines import Machine, instance_evidence, machines
from twinplane.compare.observe import Observed
from twinplane.compare.probes.machines import Disk

GIB, MIB = 2**30, 2**20
ETCD_DATA = "/var/lib/etcd"


#: As long as a node of EKS Auto Mode may live (https://docs.aws.amazon.com/eks/latest/userguide/automode.html).
AUTO_MODE_LIFE = "after 21 days at the latest"


@dataclass(frozen=True)
class NodeRow:
    """One machine of one cluster."""

    machine: Machine
    observed: Observed

    @property
    def group(self) -> str:
        """Its EKS node group; "" where EKS has none."""
        return self.machine.node.node_group if self.machine.node else ""

    @property
    def cordoned(self) -> bool:
        """Whether its Node takes no new pods."""
        return self.machine.node is not None and not self.machine.node.schedulable

    @property
    def _by_itself(self) -> bool:
        """Whether EKS Auto Mode keeps the node."""
        return self.observed.outputs.node_mode == "auto" and self.machine.node is not None

    def _seen_node(self) -> Evidence:
        return self.observed.nodes.evidence(self.machine.node)

    def _seen_inside(self) -> Evidence:
        seen = self.observed.machines
        return seen.evidence(self.machine.inside or {"error": seen.fact.failures if seen.fact else seen.error})

    def shown(self, field: str) -> Cell:
        """What the Node says in one of its fields."""
        if self.machine.node is None:
            return Cell("not shown", (self._seen_node(),), "unknown")
        value = getattr(self.machine.node, field)
        return Cell(value, (self.observed.nodes.evidence({field: value}),))

    def status(self) -> Cell:
        """Ready, and open for pods? And why its machine does not carry it, or will not for long."""
        node, cause = self.machine.node, self._cause()
        evidence = (self._seen_node(), instance_evidence(self.observed, self.machine), self._seen_inside())
        because = f": {cause}" if cause else ""
        if node is None and self.observed.nodes.fact is None:
            value = f"not shown: {self.observed.nodes.error}"
            return Cell(f"{value}; {cause}" if cause else value, evidence, "bad" if cause else "unknown")
        if node is None or not node.ready:
            return Cell(f"{'NotReady' if node else 'no Node'}{because}", evidence, "bad")
        value = "Ready" if node.schedulable else "Ready, cordoned"
        return Cell(f"{value}, but {cause}", evidence, "bad") if cause else Cell(value, evidence, "good")

    def _cause(self) -> str:
        """Returns what is wrong with the machine, the first cause only; "" when nothing is."""
        instance, exported, inside = self.machine.instance, self.machine.exported, self.machine.inside
        if instance and instance.state != "running":
            return f"its instance {instance.id} is {instance.state} in EC2"
        if inside is None and exported:
            if instance is None and self.observed.instances.fact is not None:
                return f"its instance {exported.instance_id} does not exist in EC2"
            seen = self.observed.machines
            return f"not reached: {seen.fact.reason(exported.name) if seen.fact else seen.error}"
        if inside and inside.kubelet.stopped:
            return f"the kubelet does not run ({inside.kubelet.stopped})"
        if inside and not any(process.name == "kubelet" for process in inside.processes):
            return "the kubelet does not run (no such process)"
        return ""

    def image_release(self) -> Cell:
        """The release of the image that it was made from."""
        if group := self.observed.node_groups.get(self.group):
            return Cell(group.fact.release_version if group.fact else group.error, (group.evidence(group.fact),))
        if self.machine.inside and self.machine.inside.image_release:
            return Cell(self.machine.inside.image_release, (self._seen_inside(),))
        image = self.machine.instance.image_id if self.machine.instance else ""
        name = (self.observed.images.fact or {}).get(image, image)
        evidence = (instance_evidence(self.observed, self.machine), self.observed.images.evidence(name))
        return Cell(name or "unknown", evidence)

    def pending_updates(self) -> Cell:
        """Updates that exist and are not installed, security ones apart where they can be told apart."""
        if inside := self.machine.inside:
            if inside.updates_error:
                return Cell(f"not known: {inside.updates_error}", (self._seen_inside(),), "warning")
            held = f", {inside.held} held" if inside.held else ""
            broken = f", half installed: {', '.join(inside.unfinished)}" if inside.unfinished else ""
            reasons, more = inside.reboot_reasons[:1], len(inside.reboot_reasons) - 1
            others = f" (and {more} more)" if more > 0 else ""
            reboot = f", reboot required: {reasons[0]}{others}" if reasons else ""
            behind = inside.security_updates or inside.held or inside.unfinished or inside.reboot_reasons
            value = f"{inside.updates} ({inside.security_updates} security){held}{broken}{reboot}"
            return Cell(value, (self._seen_inside(),), "bad" if behind else "good")
        group, newest = self.observed.node_groups.get(self.group), self.observed.recommended.get(self.group)
        if group and group.fact and newest and newest.fact:
            evidence = (group.evidence(group.fact.release_version), newest.evidence(newest.fact))
            if newest.fact == group.fact.release_version:
                return Cell("0: newest image", evidence, "good")
            return Cell(f"newer image {newest.fact}", evidence, "bad")
        if self._by_itself:
            return Cell(f"come with a newer image, {AUTO_MODE_LIFE}", (self._seen_node(),))
        return Cell("unknown", (self._seen_inside(),), "unknown")

    def free_space(self) -> Cell:
        """Returns the space that is left on /, and for etcd on control planes."""
        if inside := self.machine.inside:
            shown = {
                name: inside.disks[path]
                for path, name in (("/", "/"), (ETCD_DATA, "etcd"))
                if path in inside.disks and (path == "/" or self.machine.control_plane)
            }
            states = {_fullness(disk) for disk in shown.values()}
            state: State = "bad" if "bad" in states else "warning" if "warning" in states else "good"
            value = ", ".join(f"{name} {_space(disk)}" for name, disk in shown.items())
            return Cell(value, (self.observed.machines.evidence(inside.disks),), state)
        pressed = self.machine.node.disk_pressure if self.machine.node else None
        evidence = (self.observed.nodes.evidence({"DiskPressure": pressed}),)
        if pressed is None:
            return Cell("unknown", evidence, "unknown")
        return Cell("disk pressure", evidence, "warning") if pressed else Cell("no disk pressure", evidence)

    def pods_range(self) -> Cell:
        """Returns the range of its pods' addresses; the Node's, the machine's and other nodes' must fit together."""
        own = ranges(self.machine)
        evidence = (
            self.observed.nodes.evidence(self.machine.node and self.machine.node.pod_range),
            self.observed.machines.evidence(self.machine.inside and self.machine.inside.pod_range),
        )
        if not own:
            return Cell("none of its own", evidence)
        if len(own) > 1:
            value = f"its Node has {own[0]}, its machine gives out {own[1]}: run `pulumi up`"
            return Cell(value, evidence, "bad")
        shared = [
            other.name
            for other in machines(self.observed)
            if other != self.machine and any(ip_network(own[0]).overlaps(ip_network(each)) for each in ranges(other))
        ]
        if shared:
            return Cell(f"{own[0]}, overlaps that of {', '.join(shared)}", evidence, "bad")
        return Cell(own[0], evidence)

    def last_boot(self) -> Cell:
        """When it was last started: as the machine says, else as EC2 does."""
        if self.machine.inside:
            return Cell(_time(self.machine.inside.booted), (self._seen_inside(),))
        launched = _time(self.machine.instance.launched) if self.machine.instance else "unknown"
        return Cell(launched, (instance_evidence(self.observed, self.machine),))

    def patched_by(self) -> Cell:
        """Who applies updates, and how."""
        evidence = [self._seen_inside(), self.machine.ssh.evidence(self.machine.ssh.fact)]
        if inside := self.machine.inside:
            alone = ", by itself too (unattended-upgrades)" if inside.unattended else ""
            return Cell(f"you: apt and reboot over SSH, node by node{alone}", tuple(evidence))
        if (group := self.observed.node_groups.get(self.group)) and group.fact:
            evidence.append(group.evidence(group.fact))
            return Cell("AWS, when you raise the release: new nodes replace old ones", tuple(evidence))
        if self._by_itself:
            return Cell(f"AWS, by itself: new nodes replace old ones, {AUTO_MODE_LIFE}", (self._seen_node(),))
        return Cell("unknown", tuple(evidence), "unknown")

    def pays(self) -> Cell:
        """Who pays for it."""
        kind = self.machine.instance.type if self.machine.instance else "not seen"
        return Cell(f"you: EC2 {kind}", (instance_evidence(self.observed, self.machine),))

    def cells(self) -> dict[str, Cell]:
        """Returns aspect -> cell, in the order of the report."""
        return {row.aspect: row.how(self) for row in ROWS}


def ranges(machine: Machine) -> list[str]:
    """Returns the ranges that the Node and the machine say it has: one, when they agree."""
    seen = (machine.node, machine.inside)
    return [*dict.fromkeys(each.pod_range for each in seen if each and each.pod_range)]


#: The aspect that says whether a node works, and the one that asks for work and stops nothing.
STATUS, PENDING_UPDATES = "status", "pending updates"
NODES = "Nodes"
ROWS: tuple[Row[NodeRow], ...] = (
    Row(STATUS, NODES, NodeRow.status),
    Row("OS", NODES, lambda node: node.shown("os")),
    Row("kernel", NODES, lambda node: node.shown("kernel")),
    Row("kubelet", NODES, lambda node: node.shown("kubelet")),
    Row("runtime", NODES, lambda node: node.shown("runtime")),
    Row("image release", NODES, NodeRow.image_release),
    Row(PENDING_UPDATES, NODES, NodeRow.pending_updates),
    Row("free space", NODES, NodeRow.free_space),
    Row("pods' range", NODES, NodeRow.pods_range),
    Row("last boot", NODES, NodeRow.last_boot),
    Row("patched by", NODES, NodeRow.patched_by),
    Row("paid by", NODES, NodeRow.pays),
)


def node_rows(observed: Observed) -> tuple[NodeRow, ...]:
    """Returns the machines of a cluster, in the order of the report."""
    return tuple(NodeRow(machine, observed) for machine in machines(observed))


def _fullness(disk: Disk) -> State:
    """Returns how bad it is: etcd needs room to compact, the kubelet evicts pods below a tenth."""
    if disk.free < 0.03 * disk.size or disk.free < 300 * MIB:
        return "bad"
    return "warning" if disk.free < 0.1 * disk.size or disk.free < GIB else "good"


def _space(disk: Disk) -> str:
    return f"{disk.free / GIB:.1f} GiB ({disk.free / max(disk.size, 1):.0%})"


def _time(when: datetime) -> str:
    return when.isoformat(sep=" ", timespec="minutes").replace("+00:00", " UTC")
