"""The playbooks' own modules, run in this process with files, servers and units of the test's own."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.playbook_modules import Run

#: To the disk of the volume vol-1abc, as udev names it.
LINK = "nvme-Amazon_Elastic_Block_Store_vol1abc"


class TestDisk:
    """Real mkfs and blkid, on a file that has the link."""

    @pytest.fixture
    def disk(self, module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
        loaded = module("disk")
        (tmp_path / "nvme1n1").write_bytes(bytes(16 << 20))
        (tmp_path / LINK).symlink_to("nvme1n1")
        monkeypatch.setattr(loaded, "BY_ID", tmp_path)
        monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
        return loaded

    def test_makes_a_file_system_once(self, disk: ModuleType, run: Run, tmp_path: Path) -> None:
        asked = {"volume": "vol-1abc", "folder": str(tmp_path / "etcd"), "timeout": 0}
        for check, changed in ((True, True), (False, True), (False, False)):
            answer = run(disk, check=check, **asked)
            assert (answer["changed"], answer["device"]) == (changed, str(tmp_path / LINK))

    def test_leaves_alone_what_is_not_its_own(self, disk: ModuleType, run: Run, tmp_path: Path) -> None:
        asked = {"volume": "vol-1abc", "folder": str(tmp_path / "etcd"), "timeout": 0}
        subprocess.run(["mkswap", str(tmp_path / "nvme1n1")], check=True, capture_output=True)
        before = (tmp_path / "nvme1n1").read_bytes()
        answer = run(disk, **asked)
        assert "holds swap, not ext4" in answer["msg"]
        assert (tmp_path / "nvme1n1").read_bytes() == before

    def test_hides_no_data_and_waits_for_no_disk_for_ever(self, disk: ModuleType, run: Run, tmp_path: Path) -> None:
        folder = tmp_path / "etcd"
        assert "attached" in run(disk, volume="vol-9", folder=str(folder), timeout=0)["msg"]
        (folder / "member").mkdir(parents=True)
        assert "would hide" in run(disk, volume="vol-1abc", folder=str(folder), timeout=0)["msg"]
        assert not any((tmp_path / "nvme1n1").read_bytes()[:4096])


class TestFiles:
    def test_writes_once_and_shows_the_difference(
        self, module: Callable[[str], ModuleType], run: Run, tmp_path: Path
    ) -> None:
        files = module("files")
        path, link = tmp_path / "new" / "a", tmp_path / "b"
        wanted = [{"path": str(path), "content": "one\n", "mode": "0600"}, {"path": str(link), "link": str(path)}]
        dry = run(files, check=True, files=wanted)
        assert dry["changed"]
        assert not path.exists()
        answer = run(files, files=wanted)
        assert answer["written"] == [str(path), str(link)]
        assert (answer["diff"][0]["before"], answer["diff"][0]["after"]) == ("", "one\n")
        assert path.stat().st_mode & 0o777 == 0o600
        assert link.read_text() == "one\n"
        assert not run(files, files=wanted)["changed"]
        assert not run(files, check=True, files=wanted)["changed"]

    @pytest.mark.parametrize("spoil", [lambda p: p.write_text("two"), lambda p: p.chmod(0o666), lambda p: p.unlink()])
    def test_what_differs_is_put_right(
        self, module: Callable[[str], ModuleType], run: Run, tmp_path: Path, spoil: Callable[[Path], None]
    ) -> None:
        files, path = module("files"), tmp_path / "a"
        wanted = [{"path": str(path), "content": "one"}]
        run(files, files=wanted)
        spoil(path)
        assert run(files, files=wanted)["changed"]
        assert path.read_text() == "one"
        assert path.stat().st_mode & 0o777 == 0o644

    def test_a_program_in_the_place_of_a_link_is_not_read_into_the_answer(
        self, module: Callable[[str], ModuleType], run: Run, tmp_path: Path
    ) -> None:
        path = tmp_path / "kubelet"
        path.write_bytes(bytes(2 << 20))
        answer = run(module("files"), files=[{"path": str(path), "link": "/opt/kubelet"}])
        assert answer["diff"][0]["before"] == "(2097152 bytes)"
        assert str(path.readlink()) == "/opt/kubelet"

    def test_a_file_that_is_refused_changes_nothing(
        self, module: Callable[[str], ModuleType], run: Run, tmp_path: Path
    ) -> None:
        path = tmp_path / "a"
        path.write_text("good")
        wanted = [{"path": str(path), "content": "bad", "validate": "grep -q good %s"}]
        assert run(module("files"), files=wanted)["failed"]
        assert path.read_text() == "good"
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize(
        "case",
        [
            ({}, False),
            ({"ActiveState": "inactive"}, True),
            ({"ActiveState": "failed"}, True),
            ({"UnitFileState": "disabled"}, True),
            ({"ActiveEnterTimestampMonotonic": "1"}, True),  # runs since before the file was written
            ({"ActiveState": "inactive", "ConditionResult": "no"}, False),
            ({"ActiveState": "inactive", "ConditionResult": "no", "ConditionTimestampMonotonic": "0"}, True),
        ],
    )
    def test_the_unit_restarts_when_it_is_not_current(
        self,
        module: Callable[[str], ModuleType],
        run: Run,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        case: tuple[dict[str, str], bool],
    ) -> None:
        shown, restarts = case
        files, path = module("files"), tmp_path / "a"
        path.write_text("one")
        later = str(int(files.time.monotonic() * 1e6) + 60_000_000)
        properties = {
            "ActiveState": "active",
            "UnitFileState": "enabled",
            "ActiveEnterTimestampMonotonic": later,
            "ConditionTimestampMonotonic": later,
            "ConditionResult": "yes",
            **shown,
        }
        called: list[str] = []

        def systemctl(*argv: str) -> str:
            called.append(argv[1])
            return "\n".join(f"{name}={value}" for name, value in properties.items())

        monkeypatch.setattr(files, "run", systemctl)
        wanted = [{"path": str(path), "content": "one"}]
        assert run(files, check=True, files=wanted, unit="a.service")["restarted"] is restarts
        assert called == ["show"]
        assert run(files, files=wanted, unit="a.service")["changed"] is restarts
        assert ("restart" in called) is restarts
        assert ("enable" in called) is (properties["UnitFileState"] == "disabled")


class TestDownload:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[tuple[str, Path]]:
        folder = tmp_path / "served"
        folder.mkdir()

        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as serving:
            threading.Thread(target=serving.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{serving.server_port}", folder
            serving.shutdown()

    def publish(self, folder: Path, name: str, content: bytes) -> None:
        (folder / name).write_bytes(content)
        (folder / f"{name}.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  {name}\n")

    def test_files_and_archives_arrive_once(
        self, module: Callable[[str], ModuleType], run: Run, tmp_path: Path, server: tuple[str, Path]
    ) -> None:
        url, folder = server
        self.publish(folder, "tool", b"#!/bin/sh\n")
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            tar.add(folder / "tool", "bin/tool")
        self.publish(folder, "all.tar.gz", archive.getvalue())
        wanted = [
            {"url": f"{url}/tool", "checksum": ".sha256", "path": str(tmp_path / "opt" / "tool")},
            {"url": f"{url}/all.tar.gz", "checksum": ".sha256", "unpack": str(tmp_path / "opt" / "all")},
        ]
        download = module("download")
        assert run(download, check=True, files=wanted)["changed"]
        assert not (tmp_path / "opt").exists()
        assert run(download, files=wanted)["changed"]
        assert (tmp_path / "opt" / "tool").stat().st_mode & 0o777 == 0o755
        assert (tmp_path / "opt" / "all" / "bin" / "tool").read_bytes() == b"#!/bin/sh\n"
        for file in folder.iterdir():
            file.unlink()
        assert not run(download, files=wanted)["changed"]
        assert {path.name for path in (tmp_path / "opt").iterdir()} == {"tool", "all"}

    def test_a_wrong_checksum_leaves_nothing(
        self, module: Callable[[str], ModuleType], run: Run, tmp_path: Path, server: tuple[str, Path]
    ) -> None:
        url, folder = server
        self.publish(folder, "tool", b"one")
        (folder / "tool").write_bytes(b"other")
        wanted = [{"url": f"{url}/tool", "checksum": ".sha256", "path": str(tmp_path / "opt" / "tool")}]
        answer = run(module("download"), files=wanted)
        assert answer["failed"]
        assert f"{url}/tool: SHA-256 is " in answer["msg"]
        assert list((tmp_path / "opt").iterdir()) == []

    def test_a_pinned_checksum_asks_nobody(
        self, module: Callable[[str], ModuleType], run: Run, tmp_path: Path, server: tuple[str, Path]
    ) -> None:
        url, folder = server
        (folder / "tool").write_bytes(b"one")
        pin = hashlib.sha256(b"one").hexdigest()
        wanted = [{"url": f"{url}/tool", "checksum": pin, "path": str(tmp_path / "opt" / "tool")}]
        assert run(module("download"), files=wanted)["changed"]
        other = [{"url": f"{url}/tool", "checksum": "0" * 64, "path": str(tmp_path / "opt" / "other")}]
        assert run(module("download"), files=other)["msg"].endswith(f"{pin}, the pin says {'0' * 64}")

    def test_a_missing_file_is_named(
        self, module: Callable[[str], ModuleType], run: Run, tmp_path: Path, server: tuple[str, Path]
    ) -> None:
        wanted = [{"url": f"{server[0]}/none", "checksum": ".sha256", "path": str(tmp_path / "tool")}]
        assert run(module("download"), files=wanted)["msg"] == f"{server[0]}/none.sha256: HTTP 404"


class TestMachine:
    SHOWN = json.dumps([{"ifname": "host0", "mtu": 9001, "addr_info": [{"local": "10.0.0.1"}]}])

    @pytest.fixture
    def machine(self, module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        loaded = module("machine")
        system = {"ID": "debian", "VERSION_ID": "12", "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)"}
        monkeypatch.setattr(loaded.platform, "freedesktop_os_release", lambda: system)
        monkeypatch.setattr(loaded.platform, "machine", lambda: "x86_64")
        answers = {"ip": self.SHOWN, "dpkg-query": "installed runc\nconfig-files socat\n"}

        class Done:
            def __init__(self, argv: list[str]) -> None:
                self.stdout = answers[argv[0]]

        monkeypatch.setattr(loaded.subprocess, "run", lambda argv, **_: Done(argv))
        return loaded

    def test_says_what_is_missing_and_the_packet_size(self, machine: ModuleType, run: Run) -> None:
        answer = run(machine, address="10.0.0.1", packages=["runc", "socat", "conntrack"])
        assert answer["missing"] == ["conntrack", "socat"]
        assert answer["mtu"] == 9001
        assert not answer["changed"]

    def test_another_address_is_refused(self, machine: ModuleType, run: Run) -> None:
        assert "10.0.0.2" in run(machine, address="10.0.0.2", packages=[])["msg"]

    @pytest.mark.parametrize("version", ["12", "13"])
    def test_both_debians_are_taken(
        self, machine: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch, version: str
    ) -> None:
        system = {"ID": "debian", "VERSION_ID": version, "PRETTY_NAME": f"Debian GNU/Linux {version}"}
        monkeypatch.setattr(machine.platform, "freedesktop_os_release", lambda: system)
        assert "msg" not in run(machine, address="10.0.0.1", packages=[])

    def test_another_system_is_refused(self, machine: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        system = {"ID": "ubuntu", "VERSION_ID": "24.04", "PRETTY_NAME": "Ubuntu 24.04"}
        monkeypatch.setattr(machine.platform, "freedesktop_os_release", lambda: system)
        assert run(machine, address="10.0.0.1", packages=[])["msg"].startswith("this is Ubuntu 24.04")


class TestNodeFacts:
    def test_static_pods_are_read_from_their_manifests(
        self, module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        facts = module("node_facts")
        monkeypatch.setattr(facts, "MANIFESTS", tmp_path)
        (tmp_path / "etcd.yaml").write_text("spec:\n  containers:\n  - name: etcd\n    image: registry/etcd:3.6.8-0\n")
        assert facts.static_pods() == {"etcd": "registry/etcd:3.6.8-0"}

    @pytest.mark.parametrize(
        ("cgroup", "unit", "by"),
        [
            ("0::/system.slice/kubelet.service\n", "kubelet.service", "systemd, unit kubelet.service"),
            ("3:cpu:/x\n1:name=systemd:/system.slice/etcd.service\n", "etcd.service", "systemd, unit etcd.service"),
            ("0::/kubepods.slice/pod1/cri-x.scope\n", "kubelet.service", "kubelet, from a static pod manifest"),
            ("1:name=systemd:/user.slice/session-1.scope\n", "", ""),
        ],
    )
    def test_who_restarts_a_process_comes_from_its_cgroup(
        self, module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, cgroup: str, unit: str, by: str
    ) -> None:
        facts = module("node_facts")
        monkeypatch.setattr(
            facts, "read", lambda path: cgroup if str(path).endswith("cgroup") else "1 (x) T" + " 0" * 40
        )
        monkeypatch.setattr(facts, "version", lambda _: "1.36.3")
        found = facts.process(1, "etcd", {"etcd": "image"})
        assert (found["unit"], found["restarted_by"], found["state"]) == (unit, by, "T")

    @pytest.mark.parametrize(
        ("program", "part"),
        [
            ("/opt/kubernetes-1.36.3/bin/kubelet", "kubelet"),
            ("/bin/aws-cloud-controller-manager", "cloud-controller-manager"),
            ("cloud-controller-manager", "cloud-controller-manager"),
            ("kube-controller-manager", "kube-controller-manager"),
        ],
    )
    def test_a_program_is_known_by_its_name(self, module: Callable[[str], ModuleType], program: str, part: str) -> None:
        assert module("node_facts").part(program) == part
