"""The stack's own state, read while the engine may be writing it."""

import pulumi
import pytest

from stacks import living


class Answer:
    value = {"outputs": {"urn": {"type": "aws:ec2/vpc:Vpc", "outputs": {}}}}  # noqa: RUF012


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the engine answers before it can read the state."""
    left: list[str] = []

    def invoke(*_: object) -> Answer:
        if left:
            raise RuntimeError(left.pop())
        return Answer()

    monkeypatch.setattr(pulumi.runtime, "invoke", invoke)
    monkeypatch.setattr(living.time, "sleep", lambda _: None)
    for name in ("get_organization", "get_project", "get_stack"):
        monkeypatch.setattr(pulumi, name, lambda: "x")
    return left


def test_a_state_that_is_being_written_is_read_again(refusals: list[str]) -> None:
    refusals += ["failed to load checkpoint: EOF"] * (living.ATTEMPTS - 1)
    assert [each["type"] for each in living.resources()] == ["aws:ec2/vpc:Vpc"]


def test_a_state_that_cannot_be_read_is_one_line(refusals: list[str]) -> None:
    refusals += ["failed to load checkpoint: EOF"] * living.ATTEMPTS
    with pytest.raises(
        pulumi.RunError, match="the state of stack x/x/x cannot be read: failed to load checkpoint: EOF"
    ):
        living.resources()
