"""What EKS does in its own time: creations, deletions and updates; and finding what an interrupted run made."""

from collections.abc import Callable, Mapping
from typing import Any

from lab.plugins.aws.compare import project, same
from lab.plugins.aws.shapes import plain
from lab.plugins.aws.tags import EKS
from lab.plugins.aws.types import Call
from lab.plugins.provider import ProviderError
from lab.plugins.values import Values

FAILED = ("CREATE_FAILED", "FAILED", "DELETING", "DELETE_FAILED")


def settled(look: Callable[[Call], Values], good: str, bad: tuple[str, ...]) -> Callable[[Call], None]:
    """A `ready`: waits for status `good`; ProviderError with what EKS says of its health at one of `bad`."""

    def ready(call: Call) -> None:
        def done() -> bool:
            answer = look(call)
            if answer["status"] in bad:
                issues = [str(issue.get("message", issue.get("code"))) for issue in _issues(answer)]
                raise ProviderError(f"{call.id} is {answer['status']}: {'; '.join(issues) or 'no reason given'}")
            return bool(answer["status"] == good)

        call.until(done, f"{call.id} {good}")

    return ready


def gone(look: Callable[[Call], Values], start: Callable[[Call], Any]) -> Callable[[Call], None]:
    """A `delete`: starts it and waits until EKS knows the resource no more."""

    def delete(call: Call) -> None:
        start(call)

        def done() -> bool:
            try:
                answer = look(call)
            except call.api.exceptions.ResourceNotFoundException:
                return True
            if answer["status"] == "DELETE_FAILED":
                raise ProviderError("; ".join(issue.get("message", "") for issue in _issues(answer)) or "DELETE_FAILED")
            return False

        call.until(done, f"{call.id} deleted")

    return delete


def follow(call: Call, answer: Mapping[str, Any]) -> None:
    """Waits for an update of a cluster, node group or add-on; ProviderError with EKS's reasons when it fails."""
    part = "addonName" if "addonName" in call.type.inputs.names else "nodegroupName"
    place = dict(zip(("name", part), call.id.split(":", 1), strict=False))

    def done() -> bool:
        update = call.api.describe_update(updateId=answer["update"]["id"], **place)["update"]
        if update["status"] in ("Failed", "Cancelled"):
            reasons = "; ".join(error.get("errorMessage", "") for error in update.get("errors", []))
            raise ProviderError(f"update {update['type']} {update['status']}: {reasons or 'no reason given'}")
        return bool(update["status"] == "Successful")

    call.until(done, f"update of {call.id}")


def adopt(look: Callable[[Call], Values], name: Callable[[Call], str], of: Mapping[str, str]) -> Callable[[Call], Any]:
    """An `adopt`: what is there is ours, from a run that was interrupted, if it is what the inputs ask for."""

    def find(call: Call) -> str | None:
        found = name(call)
        try:
            answer = plain(look(Call(**{**vars(call), "id": found})))
        except call.api.exceptions.ClientError:
            return None
        alive = answer.get("status") in (None, "CREATING", "ACTIVE", "UPDATING")
        wanted = {member: call.inputs[name] for name, member in of.items() if call.inputs.get(name) is not None}
        asked = all(same(project(answer.get(member), value), value) for member, value in wanted.items())
        return found if alive and asked else None

    return find


def _issues(answer: Mapping[str, Any]) -> list[Values]:
    return list(answer.get("health", {}).get("issues", []))


def tagged(call: Call) -> Values:
    return EKS.create("", call.tags) if call.tags else {}
