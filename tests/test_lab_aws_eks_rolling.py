"""Which nodes go and come: for every size and every order of events the group arrives, and never has too few."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lab.cloud.eks.rolling import Plan, Seen, plan


def _nodes(current: int, old: int, phase: str = "ready") -> list[Seen]:
    made = [Seen(f"new-{n}", phase, phase == "ready", True) for n in range(current)]
    return made + [Seen(f"old-{n}", phase, phase == "ready", False) for n in range(old)]


def test_an_update_starts_with_a_new_node() -> None:
    assert plan(_nodes(0, 2), 2, 1) == Plan(1, (), False)


def test_an_old_node_goes_when_the_new_one_is_ready() -> None:
    assert plan(_nodes(1, 2), 2, 1) == Plan(0, ("old-0",), False)


def test_a_new_node_that_is_not_ready_frees_no_old_one() -> None:
    assert plan([*_nodes(0, 2), Seen("new", "joining", False, True)], 2, 1) == Plan(0, (), False)


def test_one_drain_at_a_time() -> None:
    nodes = [*_nodes(2, 1), Seen("old-9", "draining", True, False)]
    assert plan(nodes, 2, 1).drain == ()
    assert plan(nodes, 2, 2).drain == ("old-0",)


def test_an_old_node_that_never_joined_goes_at_once() -> None:
    assert plan([*_nodes(0, 2), Seen("old-9", "joining", False, False)], 2, 1).drain == ("old-9",)


def test_smaller_and_larger() -> None:
    assert plan(_nodes(3, 0), 2, 1) == Plan(0, ("new-0",), False)
    assert plan(_nodes(1, 0), 3, 1) == Plan(2, (), False)
    assert plan(_nodes(2, 0), 2, 1) == Plan(0, (), True)


def test_a_lost_node_is_replaced() -> None:
    assert plan([*_nodes(1, 0), Seen("new-9", "leaving", False, True)], 2, 1) == Plan(1, (), False)


@given(
    st.integers(0, 5),
    st.integers(0, 4),
    st.integers(0, 4),
    st.integers(1, 3),
    st.lists(st.integers(0, 30), max_size=200),
)
def test_every_order_of_events_ends_with_the_wanted_nodes(
    desired: int, current: int, old: int, at_once: int, events: list[int]
) -> None:
    nodes = {node.token: node for node in _nodes(current, old)}
    made = 0
    floor = min(desired, current + old)
    for step in range(len(events) + 200):
        seen = list(nodes.values())
        decided = plan(seen, desired, at_once)
        if decided.done:
            break
        for token in decided.drain:
            nodes[token] = replace(nodes[token], phase="draining")
        for _ in range(decided.launch):
            nodes[f"made-{made}"] = Seen(f"made-{made}", "joining", False, True)
            made += 1
        if decided.launch:
            working = [node for node in nodes.values() if node.phase != "leaving"]
            assert len(working) <= max(desired, current + old) + at_once
        # One node gets on, chosen by the test while it has a wish, in turn afterwards.
        on_the_way = [node for node in nodes.values() if node.phase != "ready"]
        if on_the_way:
            choice = events[step] if step < len(events) else step
            node = on_the_way[choice % len(on_the_way)]
            match node.phase:
                case "joining":
                    nodes[node.token] = replace(node, phase="ready", ready=True)
                case "draining":
                    nodes[node.token] = replace(node, phase="leaving", ready=False)
                case _:
                    del nodes[node.token]
        assert sum(node.ready for node in nodes.values() if node.phase == "ready") >= floor
    assert len(nodes) == desired
    assert all(node.current and node.ready for node in nodes.values())
