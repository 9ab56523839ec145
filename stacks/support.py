"""Until when EKS supports a minor of Kubernetes, and what is to be done before, and after."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import pulumi_aws as aws

from stacks.parsers import SUPPORTED_MINORS, minor
from twinplane.outputs import Kind

#: Minor -> end of standard support, where EKS is not asked, as of 2026-11
#: (https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html).
ENDS: Mapping[str, date] = {"1.34": date(2026, 12, 2), "1.35": date(2027, 3, 27), "1.36": date(2027, 8, 2)}
#: So long before the end it is said.
NOTICE = timedelta(days=90)


def ends() -> dict[str, date]:
    """Returns the end of standard support by minor, as EKS says it; else as ENDS has it."""
    try:
        answer = aws.eks.get_cluster_versions(include_all=True).cluster_versions
        said = {each.cluster_version: each.end_of_standard_support_date for each in answer}
        return {**ENDS, **{name: datetime.fromisoformat(end).date() for name, end in said.items() if end}}
    except Exception:  # whoever runs this may not ask, or a plugin cannot
        return dict(ENDS)


def actual(alive: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Returns the record of the living cluster with the minor that EKS says it has: the state may not know yet that EKS
    has raised it. What was asked for last is then its `lastVersion`."""
    if alive is None or alive.get("kind") != "managed" or "kubernetesVersion" not in alive:
        return alive
    try:
        version = str(aws.eks.get_cluster(name=alive["name"]).version)
    except Exception:  # deleted by hand, or not to be asked: what the state says has to do
        return alive
    if minor(version) == minor(alive["kubernetesVersion"]):
        return alive
    return {"lastVersion": alive["kubernetesVersion"], **alive, "kubernetesVersion": version}


def raised(alive: Mapping[str, str], wanted: str, key: str) -> str:
    """Returns how to follow with `key`, where EKS has raised the living cluster over what was asked for, and `wanted`
    still is what was asked for; else nothing."""
    now, last = alive.get("kubernetesVersion", ""), alive.get("lastVersion", "")
    if not last or not _number(minor(last)) < _number(minor(now)) or _number(minor(wanted)) >= _number(minor(now)):
        return ""
    return (
        f"EKS has raised the cluster to {minor(now)}, as it does when standard support ends, and never goes back: "
        f"pulumi config set {key} {release(minor(now))}, unset nodeReleaseVersion and the kube-proxy of addOnVersions "
        "where they are set, and pulumi up --refresh"
    )


def refusal(version: str, living: str | None) -> str:
    """Returns why a release is not for this cluster: its minor is none of those that this program is tested with. One
    that the cluster has already stays, for its owner needs a way up from it."""
    if minor(version) in SUPPORTED_MINORS or (living and minor(version) == minor(living)):
        return ""
    return f"{version} is not supported; minors that are: {', '.join(SUPPORTED_MINORS)}"


def ended(version: str, living: str | None, ends: Mapping[str, date], today: date) -> str:
    """Returns why a new cluster of EKS does not get a minor: its standard support has ended. A living one may have it,
    or pass through it on its way up."""
    end = ends.get(minor(version))
    if living is not None or end is None or today < end:
        return ""
    return (
        f"standard support of {minor(version)} ended on {end}: EKS would raise the cluster by itself; "
        f"choose a later one of {', '.join(SUPPORTED_MINORS)}"
    )


def warning(kind: Kind, version: str, ends: Mapping[str, date], today: date) -> str:
    """Returns what the owner of a cluster of that release should know soon; else nothing."""
    of = minor(version)
    later = [each for each in SUPPORTED_MINORS if _number(each) > _number(of)]
    what = f"set kubernetesVersion to {release(later[0])}" if later else "a later release of this program has the next"
    if kind == "managed" and (end := ends.get(of)) and today >= end - NOTICE:
        when = f"ended on {end}" if today >= end else f"ends on {end}, in {(end - today).days} days"
        return f"standard support of Kubernetes {of} {when}: EKS then raises the cluster by itself; before that, {what}"
    if of not in SUPPORTED_MINORS:
        return f"Kubernetes {of} is no longer tested by this program: {what}"
    return ""


def release(of: str) -> str:
    """Returns a release to set for a minor; EKS takes the minor of it alone."""
    return f"{of}.0"


def _number(of: str) -> tuple[int, ...]:
    return tuple(int(part) for part in of.split("."))
