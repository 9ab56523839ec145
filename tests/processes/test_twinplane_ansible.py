"""The runner, with real ansible-playbook on this machine in place of remote ones."""

import io
import json
import os
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.processes.conftest import PLAY
from tests.support import aws_cli
from tests.support.machines import MACHINES
from twinplane import ansible
from twinplane.errors import UsageError
from twinplane.live import ssh


def test_progress_stats_and_what_the_playbook_hands_out(playbooks: Path, request_: dict[str, Any]) -> None:
    (playbooks / "site.yml").write_text(
        PLAY
        + "    - name: Set\n      ansible.builtin.set_fact: {a: 1}\n      changed_when: true\n"
        + "    - name: Hand out\n      ansible.builtin.set_stats: {data: {kubeconfig: '{{ secret }}'}}\n"
        + "      no_log: true\n      when: inventory_hostname == 'control-plane-1'\n"
    )
    lines: list[str] = []
    result = ansible.run("site", request_, lines.append)
    assert result.ok
    assert result.failures == []
    assert result.kubeconfig == "hunter2"
    assert result.stats["control-plane-1"] == {"ok": 2, "changed": 1, "unreachable": 0, "failures": 0, "skipped": 0}
    assert result.stats["worker-2"]["skipped"] == 1
    shown = "\n".join(lines)
    assert "worker-2" in shown
    assert "changed  Set" in shown
    assert "hunter2" not in shown


def test_ssh_goes_through_a_tunnel_with_pinned_keys(
    playbooks: Path, request_: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_cli.install(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    machines = [{**each, "sshAddress": each["instanceId"], "sshTunnel": "eu-west-1"} for each in MACHINES[:2]]
    (playbooks / "site.yml").write_text(
        PLAY
        + "    - run_once: true\n      ansible.builtin.set_stats:\n"
        + "        data: {kubeconfig: \"{{ lookup('ansible.builtin.env', 'ANSIBLE_SSH_COMMON_ARGS') }}\"}\n"
    )
    way = shlex.split(str(ansible.run("site", {**request_, "machines": machines}).kubeconfig))
    assert way[0::2] == ["-o"] * 3
    assert way[1].startswith("UserKnownHostsFile=/dev/shm/twinplane-")
    asked = "ec2-instance-connect open-tunnel --instance-id %h --region eu-west-1"
    assert way[5] == f"ProxyCommand={tmp_path}/aws {asked}"


def test_ssh_is_of_the_environment_that_it_is_given(
    playbooks: Path, request_: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_cli.install(tmp_path)
    monkeypatch.setenv("AWS_PROFILE", "the caller's")
    asked: list[Any] = []
    monkeypatch.setattr(ssh, "wait", lambda *_, environment, **__: asked.append(environment) or {})
    machines = [{**each, "sshAddress": each["instanceId"], "sshTunnel": "eu-west-1"} for each in MACHINES[:2]]
    names = ("ANSIBLE_SSH_COMMON_ARGS", "AWS_PROFILE", "OTHER")
    looked = " + ' ' + ".join(f"lookup('ansible.builtin.env', '{name}')" for name in names)
    (playbooks / "site.yml").write_text(
        PLAY
        + "    - run_once: true\n      ansible.builtin.set_stats:\n"
        + f'        data: {{kubeconfig: "{{{{ {looked} }}}}"}}\n'
    )
    its = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "AWS_PROFILE": "its-own", "OTHER": "x"}
    said = str(ansible.run("site", {**request_, "machines": machines}, environment=its).kubeconfig)
    assert f"ProxyCommand={tmp_path}/aws " in said
    assert said.split(" its-own")[1].split() == []
    assert asked == [its]


def test_without_an_aws_cli_nothing_starts(request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(ssh, "wait", lambda *_, **__: pytest.fail("a machine was asked"))
    machines = [{**each, "sshTunnel": "eu-west-1"} for each in MACHINES]
    with pytest.raises(UsageError, match="install version 2"):
        ansible.run("site", {**request_, "machines": machines})


def test_a_failure_is_one_line_with_host_task_and_reason(playbooks: Path, request_: dict[str, Any]) -> None:
    (playbooks / "site.yml").write_text(
        PLAY + "    - name: Break\n      ansible.builtin.fail: {msg: 'no\n\n        disk'}\n"
    )
    result = ansible.run("site", request_)
    assert not result.ok
    assert "control-plane-1: Break: no disk" in result.failures


def test_only_a_censored_result_counts_as_a_secret(playbooks: Path, request_: dict[str, Any]) -> None:
    (playbooks / "site.yml").write_text(
        PLAY
        + "    - name: Wait\n      ansible.builtin.command: echo worker-3 has no Node\n      register: seen\n"
        + "      until: false\n      retries: 1\n      delay: 0\n      when: inventory_hostname == 'worker-2'\n"
        + "    - name: Hide\n      ansible.builtin.command: 'false'\n      no_log: true\n"
    )
    failures = sorted(ansible.run("site", request_).failures)
    assert failures == [
        "control-plane-1: Hide: it handles a secret, so what it said is not shown",
        "worker-2: Wait: worker-3 has no Node",
    ]


def test_an_error_line_has_no_colours_and_both_its_ends() -> None:
    assert ansible.one_line("\x1b[0;1;31mFailed\x1b[0m to\n connect [0;1;31mnow") == "Failed to connect now"
    long = ansible.one_line("begin " + "x" * 2000 + " end")
    assert long.startswith("begin x")
    assert long.endswith("x end")
    assert len(long) <= ansible.LINE + 5


def test_notes_of_modules_are_kept_once(playbooks: Path, request_: dict[str, Any]) -> None:
    (playbooks / "library").mkdir()
    (playbooks / "library" / "held.py").write_text(
        "from ansible.module_utils.basic import AnsibleModule\nAnsibleModule({}).exit_json(notes=['tzdata is held'])\n"
    )
    (playbooks / "site.yml").write_text(PLAY + "    - held:\n    - held:\n")
    result = ansible.run("site", request_)
    assert sorted(result.notes) == ["control-plane-1: tzdata is held", "worker-2: tzdata is held"]


def test_a_playbook_that_cannot_start_says_why(playbooks: Path, request_: dict[str, Any]) -> None:
    (playbooks / "site.yml").write_text("- hosts: kubernetes\n  roles: [nowhere]\n")
    result = ansible.run("site", request_)
    assert not result.ok
    assert "nowhere" in result.failures[0]


def test_secrets_are_in_no_argv_and_gone_afterwards(playbooks: Path, request_: dict[str, Any], tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    folders = f"/dev/shm/twinplane-{os.getuid()}-ansible-{os.getpid()}-*"  # the run's; a client's has another purpose
    (playbooks / "site.yml").write_text(
        PLAY + f"    - ansible.builtin.shell: cat /proc/[0-9]*/cmdline > {seen}; ls -d {folders} >> {seen}\n"
    )
    assert ansible.run("site", request_).ok
    text = seen.read_text(errors="replace")
    assert "hunter2" not in text
    assert "PRIVATE KEY" not in text
    [folder] = {Path(line) for line in text.split("\0")[-1].splitlines() if line.startswith("/dev/shm/twinplane-")}
    assert not folder.exists()


def test_a_silent_machine_stops_site_and_is_left_out_of_facts(
    playbooks: Path, request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "wait", lambda *_, **__: {"worker-2": "worker-2 at 203.0.113.3: no SSH"})
    with pytest.raises(UsageError, match="worker-2 at 203"):
        ansible.run("site", request_)
    (playbooks / "facts.yml").write_text(PLAY + "    - ansible.builtin.debug: {msg: x}\n")
    result = ansible.run("facts", request_)
    assert set(result.stats) == {"control-plane-1"}
    assert result.failures == ["worker-2 at 203.0.113.3: no SSH"]
    assert not result.ok


def test_reset_goes_on_where_no_machine_is_left(
    playbooks: Path, request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "wait", lambda machines, *_, **__: {each["name"]: "gone" for each in machines})
    assert ansible.run("reset", request_).ok
    assert not (playbooks / "reset.yml").exists()


def test_cancelling_ends_the_playbook_and_says_so(playbooks: Path, request_: dict[str, Any]) -> None:
    runs = playbooks / "runs"
    (playbooks / "site.yml").write_text(PLAY + f"    - ansible.builtin.shell: touch {runs}; sleep 300\n")
    began = time.monotonic()
    result = ansible.run("site", request_, cancelled=runs.exists)
    assert time.monotonic() - began < 30
    assert not result.ok
    assert "interrupted" in result.failures[-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"machines": None}, "machines"),
        ({"sshUser": None}, "sshUser"),
        ({"sshPrivateKey": "x"}, "sshPrivateKey"),
        ({"variables": []}, "variables"),
        ({"machines": []}, "control-plane"),
    ],
)
def test_a_wrong_request_is_named(request_: dict[str, Any], change: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ansible.run("site", {**request_, **change})


@pytest.mark.parametrize(
    ("argv", "stdin", "words"),
    [
        (["twinplane.ansible"], "{}", "usage"),
        (["twinplane.ansible", "site"], "{", "not JSON"),
        (["twinplane.ansible", "site"], "[]", "not a JSON object"),
        (["twinplane.ansible", "upgrade"], "{}", "site, patch, backup, restore, reset, facts"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str], stdin: str, words: str
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert ansible.main() == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert words in shown.err


def test_the_command_answers_json_and_exit_code_1_on_failure(
    playbooks: Path, request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (playbooks / "facts.yml").write_text(PLAY + "    - ansible.builtin.fail: {msg: x}\n")
    monkeypatch.setattr(sys, "argv", ["twinplane.ansible", "facts"])
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(request_)))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert ansible.main() == 1
    shown = capsys.readouterr()
    answer = json.loads(shown.out)
    assert answer["playbook"] == "facts"
    assert answer["ok"] is False
    assert answer["facts"] == {}
    assert "error: control-plane-1: " in shown.err
