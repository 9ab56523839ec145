"""Observations -> one row of cells per node: what it runs, how far behind it is, who patches it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from twinplane.compare.evidence import Cell, Evidence
from twinplane.compare.observe import Observed
from twinplane.compare.places import Place, instance_evidence, places


@dataclass(frozen=True)
class NodeRow:
    """One machine of one cluster."""

    place: Place
    observed: Observed

    @property
    def group(self) -> str:
        """Its EKS node group; "" where EKS has none."""
        return self.place.node.node_group if self.place.node else ""

    def _seen_node(self) -> Evidence:
        return self.observed.nodes.evidence(self.place.node)

    def _seen_inside(self) -> Evidence:
        seen = self.observed.machines
        return seen.evidence(self.place.inside or {"error": seen.fact.failures if seen.fact else seen.error})

    def _of_node(self, field: str) -> Cell:
        if self.place.node is None:
            return Cell("no Node", (self._seen_node(),), "bad")
        value = getattr(self.place.node, field)
        return Cell(value, (self.observed.nodes.evidence({field: value}),))

    def status(self) -> Cell:
        """Ready, and open for pods?"""
        node = self.place.node
        if node is None or not node.ready:
            return Cell("NotReady" if node else "no Node", (self._seen_node(),), "bad")
        return Cell("Ready" if node.schedulable else "Ready, cordoned", (self._seen_node(),), "good")

    def image_release(self) -> Cell:
        """The release of the image that it was made from."""
        if group := self.observed.node_groups.get(self.group):
            return Cell(group.fact.release_version if group.fact else group.error, (group.evidence(group.fact),))
        if self.place.inside and self.place.inside.image_release:
            return Cell(self.place.inside.image_release, (self._seen_inside(),))
        image = self.place.instance.image_id if self.place.instance else ""
        name = (self.observed.images.fact or {}).get(image, image)
        evidence = (instance_evidence(self.observed, self.place), self.observed.images.evidence(name))
        return Cell(name or "unknown", evidence)

    def pending_updates(self) -> Cell:
        """Updates that exist and are not installed, security ones apart where they can be told apart."""
        if inside := self.place.inside:
            reboot = ", reboot required" if inside.reboot_required else ""
            behind = bool(inside.security_updates or inside.reboot_required)
            value = f"{inside.updates} ({inside.security_updates} security){reboot}"
            return Cell(value, (self._seen_inside(),), "bad" if behind else "good")
        group, newest = self.observed.node_groups.get(self.group), self.observed.recommended.get(self.group)
        if group and group.fact and newest and newest.fact:
            evidence = (group.evidence(group.fact.release_version), newest.evidence(newest.fact))
            if newest.fact == group.fact.release_version:
                return Cell("0: newest image", evidence, "good")
            return Cell(f"newer image {newest.fact}", evidence, "bad")
        return Cell("unknown", (self._seen_inside(),), "unknown")

    def last_boot(self) -> Cell:
        """When it was last started: as the machine says, else as EC2 does."""
        if self.place.inside:
            return Cell(_time(self.place.inside.booted), (self._seen_inside(),))
        launched = _time(self.place.instance.launched) if self.place.instance else "unknown"
        return Cell(launched, (instance_evidence(self.observed, self.place),))

    def patched_by(self) -> Cell:
        """Who applies updates, and how."""
        evidence = [self._seen_inside(), self.place.ssh.evidence(self.place.ssh.fact)]
        if inside := self.place.inside:
            alone = ", by itself too (unattended-upgrades)" if inside.unattended else ""
            return Cell(f"you: apt and reboot over SSH, node by node{alone}", tuple(evidence))
        if (group := self.observed.node_groups.get(self.group)) and group.fact:
            evidence.append(group.evidence(group.fact))
            return Cell("AWS, when you raise the release: new nodes replace old ones", tuple(evidence))
        return Cell("unknown", tuple(evidence), "unknown")

    def pays(self) -> Cell:
        """Who pays for it."""
        kind = self.place.instance.type if self.place.instance else "not seen"
        return Cell(f"you: EC2 {kind}", (instance_evidence(self.observed, self.place),))

    def cells(self) -> dict[str, Cell]:
        """Aspect -> cell, in the order of the report."""
        return {
            "status": self.status(),
            "OS": self._of_node("os"),
            "kernel": self._of_node("kernel"),
            "kubelet": self._of_node("kubelet"),
            "runtime": self._of_node("runtime"),
            "image release": self.image_release(),
            "pending updates": self.pending_updates(),
            "last boot": self.last_boot(),
            "patched by": self.patched_by(),
            "pays": self.pays(),
        }


def node_rows(observed: Observed) -> dict[str, dict[str, Cell]]:
    """Node name -> aspect -> cell."""
    return {place.name: NodeRow(place, observed).cells() for place in places(observed)}


def _time(when: datetime) -> str:
    return when.isoformat(sep=" ", timespec="minutes").replace("+00:00", " UTC")
