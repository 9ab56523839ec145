"""What a host is made of: its disk, its command line, its image's recipe. Nothing is booted."""

import json
from pathlib import Path

import pytest

from lab.constants import BASE_RELEASE, UPDATED_RELEASE
from lab.errors import Failed, UsageError
from lab.machines import boot, host_image, packages
from lab.machines import host as module
from lab.machines.disk import SEED, Disk
from lab.machines.host import Host


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "STATE", tmp_path)
    return tmp_path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image of the least that shows."""
    root = tmp_path / "image"
    (root / "etc").mkdir(parents=True)
    (root / "root").mkdir(mode=0o700)
    return root


def test_create_writes_identity_seed_and_files(root: Path) -> None:
    host = Host.create(
        "i-1", address="198.18.64.4", image=root, hostname="ip-198-18-64-4.ec2.internal", user_data=b"#cloud-config\n",
        authorized_keys=["ssh-ed25519 AAAA"], files={"/root/deep/file": (b"x", 0o640)}, ssh=False,
    )  # fmt: skip
    assert (host.upper / "etc/hostname").read_text() == "ip-198-18-64-4.ec2.internal\n"
    assert "198.18.64.4 ip-198-18-64-4.ec2.internal ip-198-18-64-4\n" in (host.upper / "etc/hosts").read_text()
    seed = host.upper / SEED.lstrip("/")
    assert (seed / "user-data").read_bytes() == b"#cloud-config\n"
    assert (seed / "user-data").stat().st_mode & 0o777 == 0o600
    assert json.loads((seed / "meta-data").read_text()) == {
        "instance-id": "i-1",
        "local-hostname": "ip-198-18-64-4.ec2.internal",
        "public-keys": ["ssh-ed25519 AAAA"],
    }
    file = host.upper / "root/deep/file"
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"x", 0o640)
    assert (host.upper / "root").stat().st_mode & 0o777 == 0o700, "a directory of the image keeps its mode"
    assert (host.upper / "etc/systemd/system/ssh.service").readlink() == Path("/dev/null")
    assert (host.state, host.host_key) == ("stopped", None)


def test_create_again_is_the_same_host_or_an_error(root: Path) -> None:
    def create(name: str, address: str, hostname: str = "h") -> Host:
        return Host.create(name, address=address, image=root, hostname=hostname)

    first = create("i-1", "198.18.64.4")
    assert create("i-1", "198.18.64.4").spec == first.spec
    with pytest.raises(Failed, match="host i-1 exists with other properties"):
        create("i-1", "198.18.64.4", hostname="other")
    with pytest.raises(UsageError, match=r"address 198\.18\.64\.4 belongs to host i-1"):
        create("i-2", "198.18.64.4")
    with pytest.raises(UsageError, match=r"10\.0\.0\.1 is not in 198\.18\.0\.0/15"):
        create("i-2", "10.0.0.1")
    assert [host.name for host in Host.all()] == ["i-1"]


def test_a_half_made_host_does_not_exist_and_is_made_anew(root: Path, state: Path) -> None:
    (state / "hosts/.i-1/upper/etc").mkdir(parents=True)
    (state / "hosts/.i-1/spec.json").write_text("{}")
    assert (Host("i-1").state, Host.all()) == ("absent", [])
    assert Host.create("i-1", address="198.18.64.4", image=root, hostname="h").state == "stopped"
    assert not (state / "hosts/.i-1").exists()


def test_a_half_removed_host_is_found_and_can_be_made_anew(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.Cgroup, "names", lambda: {"i-1", "i-3"})
    (state / "hosts/i-1/upper/etc").mkdir(parents=True)
    (state / "hosts/.i-2/upper").mkdir(parents=True)
    assert [host.name for host in Host.remains()] == ["i-1", "i-2", "i-3"]
    Host.create("i-1", address="198.18.64.4", image=root, hostname="h")
    assert [host.name for host in Host.remains()] == ["i-2", "i-3"]


def test_a_host_that_is_not_there_says_so() -> None:
    for use in (lambda: Host("i-9").spec, Host("i-9").start):
        with pytest.raises(UsageError, match="there is no host i-9"):
            use()
    with pytest.raises(Failed, match="host i-9 is absent, not running"):
        Host("i-9").run("true")


@pytest.mark.parametrize("path", ["relative", "/../outside", "/"])
def test_a_disk_takes_only_paths_within(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="absolute path of a file"):
        Disk(tmp_path, []).write(path, b"")


def test_the_command_line_binds_volumes_read_write_and_the_rest_read_only(root: Path, state: Path) -> None:
    host = Host.create(
        "i-1", address="198.18.64.4", image=root, hostname="h.example", binds={"/cache/kubelet": "/bin/kubelet"}
    )
    command = boot.command(host)
    assert command[0] == "systemd-nspawn"
    for argument in (
        "--hostname=h.example",
        "--bind-ro=/cache/kubelet:/bin/kubelet",
        f"--bind={state}/hosts/i-1/volumes/var/lib/containerd:/var/lib/containerd",
        "--network-namespace-path=/proc/self/ns/net",
    ):
        assert argument in command
    assert host.link == "tpc6124004"


def test_another_recipe_is_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    before = host_image.path(BASE_RELEASE)
    assert host_image.path(BASE_RELEASE) == before
    assert host_image.path(UPDATED_RELEASE).name.removeprefix(f"debian-12-{UPDATED_RELEASE}-") == before.name[-12:]
    monkeypatch.setattr(host_image, "INCLUDE", (*host_image.INCLUDE, "vim"))
    assert host_image.path(BASE_RELEASE) != before


def test_an_image_is_finished_for_every_host(tmp_path: Path) -> None:
    for name in ("etc/ssh/ssh_host_rsa_key", "etc/machine-id", "etc/apt/sources.list"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("of the build")
    host_image._finish(tmp_path, BASE_RELEASE)
    assert not list(tmp_path.glob("etc/ssh/ssh_host_*"))
    assert (tmp_path / "etc/machine-id").read_text() == ""
    assert (tmp_path / "etc/apt/sources.list").read_text() == host_image.SOURCES
    assert "bookworm-security" in host_image.SOURCES
    assert "serial: 20260901" in (tmp_path / "etc/cloud/build.info").read_text()
    assert (tmp_path / "etc/systemd/system/systemd-udevd.service").readlink() == Path("/dev/null")
    assert (tmp_path / "etc/systemd/system/multi-user.target.wants/lab-ready.service").is_symlink()


def test_bad_use_of_images_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no image release 1: there are 20260901 and 20261101"):
        host_image.ensure("1")
    monkeypatch.setattr(host_image, "IMAGES", tmp_path)
    monkeypatch.setattr(host_image, "SPACE", 2**60)
    with pytest.raises(UsageError, match="make room"):
        host_image._check_space()


def test_old_images_go_unless_a_host_lies_on_them(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_image, "IMAGES", tmp_path / "images")
    monkeypatch.setattr(host_image, "STATE", state)
    used, unused = (tmp_path / "images" / f"debian-12-{BASE_RELEASE}-{tail * 12}" for tail in "ab")
    for folder in (used, unused, host_image.path(BASE_RELEASE), host_image.path(UPDATED_RELEASE)):
        folder.mkdir(parents=True)
    Host.create("i-1", address="198.18.64.4", image=used, hostname="h")
    host_image._prune()
    assert sorted((tmp_path / "images").iterdir()) == sorted(
        [used, host_image.path(BASE_RELEASE), host_image.path(UPDATED_RELEASE)]
    )


def test_packages_start_no_service_while_they_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(packages, "UNITS", tmp_path / "units")
    with packages._no_services(["apt-cacher-ng"]):
        assert packages.POLICY.read_text().endswith("exit 101\n")
        assert packages.POLICY.stat().st_mode & 0o111
    assert not packages.POLICY.exists()
    assert (packages.UNITS / "apt-cacher-ng.service").readlink() == Path("/dev/null")
    packages.POLICY.write_text("the machine's own")
    with packages._no_services([]):
        pass
    assert packages.POLICY.read_text() == "the machine's own"
