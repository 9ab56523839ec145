"""The report: tables where somebody looks, lines elsewhere, one page for everybody else."""

import io
import json
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.console import Console

from tests.support import golden_files
from tests.support.compare_cases import FACTS, TIME, cluster, without_scheduler
from twinplane.compare import report, summary
from twinplane.compare.differences import Comparison


@pytest.fixture
def comparison() -> Comparison:
    return Comparison(cluster("managed"), cluster("self-managed", without_scheduler))


def test_plain_lines(comparison: Comparison) -> None:
    golden_files.check("compare/report.txt", "\n".join(report.lines(comparison)) + "\n")


def test_off_a_terminal_it_prints_these_lines(comparison: Comparison) -> None:
    file = io.StringIO()
    report.show(comparison, Console(file=file, soft_wrap=True))
    assert file.getvalue().splitlines() == list(report.lines(comparison))


def test_a_terminal_gets_tables_with_every_value(comparison: Comparison) -> None:
    file = io.StringIO()
    report.show(comparison, Console(file=file, width=240, force_terminal=True, color_system=None))
    shown = file.getvalue()
    assert "Control plane" in shown
    for difference in comparison.differences():
        assert difference.self_managed.value in shown
    assert "✗ self-managed-lab: kube-scheduler: stopped" in shown
    assert "first to expire /etc/kubernetes/admin.conf on cp-1, in 364 days" in shown


def test_json_says_what_differs_and_what_does_not_work(comparison: Comparison) -> None:
    exported = json.loads(json.dumps(comparison.export(), default=str))
    rows = {(each["component"], each["aspect"]): each for each in exported["differences"]}
    assert rows["kube-apiserver", "version"]["differs"] is False
    assert rows["kube-apiserver", "machine"]["differs"] is True
    assert exported["troubles"] == [
        "self-managed-lab: kube-scheduler: stopped: lease given up; no process on cp-1; "
        "its manifest is gone from /etc/kubernetes/manifests on cp-1",
    ]
    assert exported["managed"]["components"]["etcd"]["SSH"]["evidence"][0]["question"] == "TCP connect 198.19.240.2:22"


def test_warnings_are_in_every_form() -> None:
    def change(answers: Any) -> None:
        without_scheduler(answers)
        answers[FACTS]["facts"]["w-1"]["disks"]["/"] = {"size": 100 << 30, "free": 9 << 30}

    both = Comparison(cluster("managed"), cluster("self-managed", change))
    warning = "self-managed-lab: w-1: free space: / 9.0 GiB (9%)"
    assert list(report.lines(both))[-2] == f"warning: {warning}"
    file = io.StringIO()
    report.show(both, Console(file=file, width=240, force_terminal=True, color_system=None))
    assert f"! {warning}" in file.getvalue()
    assert f'<p class="warning">{warning}</p>' in report.html(both, TIME)
    assert both.export()["warnings"] == [warning]


def test_the_summary_fits_one_screen_and_says_what_to_type() -> None:
    file = io.StringIO()
    both = Comparison(cluster("managed"), cluster("self-managed"))
    summary.show(both, Console(file=file, width=120, force_terminal=True, color_system=None, soft_wrap=True))
    lines = file.getvalue().splitlines()
    assert len(lines) <= 24
    text = " ".join(" ".join(lines).split())
    assert "yours: cp-1 (i-0a, t3.medium)" in text
    assert "managed-lab: has no load balancer" in text
    assert any(line.split()[:3] == ["twinplane", "patch", "self-managed-lab"] for line in lines)


def test_the_summary_says_what_does_not_work(comparison: Comparison) -> None:
    file = io.StringIO()
    summary.show(comparison, Console(file=file, width=120, color_system=None, soft_wrap=True))
    assert "trouble: self-managed-lab: kube-scheduler: stopped: " in file.getvalue()


class Page(HTMLParser):
    """Collects what a page loads, and whether its elements nest."""

    VOID = frozenset({"meta", "rect", "line", "br", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.loads += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(comparison: Comparison) -> None:
    text = report.html(comparison, TIME)
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.loads == []
    assert "url(" not in text
    assert {"svg", "style", "details"} <= page.seen
    assert "stopped: lease given up" in text
    assert "Seen 2026-11-24 22:00 UTC" in text
    assert "&#34;daysLeft&#34;: 364" in text
    assert "&#34;holder&#34;: &#34;eks-1_22&#34;" in text  # the evidence, as JSON


def test_the_page_escapes_what_clusters_answer(comparison: Comparison) -> None:
    comparison.managed.nodes["<script>alert(1)</script>"] = next(iter(comparison.managed.nodes.values()))
    assert "<script>" not in report.html(comparison, TIME)
