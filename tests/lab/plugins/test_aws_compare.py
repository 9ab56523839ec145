"""When two values mean the same to AWS."""

import json
from typing import Any

import pytest

from lab.plugins.aws.compare import same, settle
from lab.plugins.values import UNKNOWN

POLICY = {"Statement": [{"Effect": "Allow"}], "Version": "2012-10-17"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", None),
        ({"a": "", "b": 1}, {"b": 1}),
        ({}, None),
        ([], None),
        ({"a": [{"b": ""}]}, {"a": [{}]}),
        (["a", "b"], ["b", "a"]),
        (json.dumps(POLICY), json.dumps(POLICY, indent=1, sort_keys=True)),
    ],
)
def test_what_means_the_same(one: Any, other: Any) -> None:
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", None),
        ("", "a"),
        (0, None),
        (False, None),
        ([1], [2]),
        ({"a": 1}, {"a": 2}),
        (UNKNOWN, UNKNOWN),
        ("{", "}"),
    ],
)
def test_what_does_not(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert not same(other, one)


def test_a_refresh_keeps_the_order_that_was_given() -> None:
    assert settle({"zones": ["b", "a"], "arn": "x"}, {"zones": ["a", "b"]}) == {"zones": ["a", "b"], "arn": "x"}
    assert settle({"zones": ["b", "c"]}, {"zones": ["a", "b"]}) == {"zones": ["b", "c"]}
