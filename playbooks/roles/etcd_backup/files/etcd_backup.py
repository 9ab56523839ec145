#!/usr/bin/python3
"""Snapshots of etcd in the stack's bucket, with the keys without which nobody can use them.

`etcd-backup save` takes one, looks at it, encrypts it and puts it into the bucket.
`etcd-backup check ID` restores one into an etcd of its own, beside the living one, and compares what that has.
`etcd-backup stage ID NAME=URL,...` makes a data folder of it, for this machine as a member of that cluster.

check and stage read the private key on stdin. Each prints one JSON object; exit code 1, with one line, when it fails.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

KUBERNETES = Path("/etc/kubernetes")
CONFIG, CERTIFICATE = KUBERNETES / "etcd-backup.json", KUBERNETES / "etcd-backup.crt"
#: Where a snapshot is put together, beside the data that it is of.
DATA = Path("/var/lib/etcd")
#: What goes along: with a snapshot alone, nobody reads its Secrets, and no kubelet trusts the API.
KEYS = ("pki", "api-server/encryption.key")
PREFIX = "snapshots/"
#: Watchers must see that time went back: their revisions are all older than those after a restore
#: (https://etcd.io/docs/v3.6/op-guide/recovery/#restoring-with-revision-bump).
BUMP = 1_000_000_000
#: Where the etcd of a drill listens, by addresses: its image knows no name, not even localhost.
PEER, CLIENT = "http://127.0.0.1:2380", "http://127.0.0.1:2379"
ALONE = ("--name=default", f"--initial-cluster=default={PEER}", f"--initial-advertise-peer-urls={PEER}")
#: Seconds that an etcd of the drill has until it answers.
PATIENCE = 60


class Failure(Exception):
    """One line."""


def run(*argv: str, **options: Any) -> str:
    """Returns standard output. Raises Failure with the last line of what the command says."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "failed").splitlines()[-1]
        raise Failure(f"{argv[0]}: {said}")
    return done.stdout


class Container:
    """Programs of the cluster's own etcd image: the same version as the data. `folder` is /backup there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"etcd-backup-{uuid.uuid4().hex[:8]}"

    def command(self, *argv: str, host_network: bool = False) -> list[str]:
        """Returns the command that runs a program in a new container, which is gone when it ends."""
        mounts = {self.folder: "/backup:rw", KUBERNETES / "pki/etcd": f"{KUBERNETES}/pki/etcd:ro"}
        return [
            *("ctr", "--namespace", "k8s.io", "run", "--rm"),
            *(["--net-host"] if host_network else []),
            *(
                f"--mount=type=bind,src={source},dst={target.split(':')[0]},options=rbind:{target.split(':')[1]}"
                for source, target in mounts.items()
            ),
            *(image(), self.name, *argv),
        ]

    def run(self, *argv: str, host_network: bool = False) -> str:
        return run(*self.command(*argv, host_network=host_network))

    @contextmanager
    def etcd(self, data: str) -> Iterator[Container]:
        """Runs an etcd on a data folder, in a network of its own that nothing else reaches."""
        argv = (
            *("etcd", f"--data-dir={data}", "--log-level=error", f"--listen-peer-urls={PEER}"),
            *(f"--listen-client-urls={CLIENT}", f"--advertise-client-urls={CLIENT}", *ALONE),
        )
        log = self.folder / "etcd.log"
        with log.open("wb") as out:
            process = subprocess.Popen(self.command(*argv), stdout=out, stderr=out)
        try:
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    self.etcdctl("endpoint", "health")
                    break
                except Failure:
                    if process.poll() is not None or time.monotonic() > end:
                        said = [line for line in log.read_text(errors="replace").splitlines() if '"level"' in line]
                        raise Failure(f"the restored etcd does not start: {(said or ['no word'])[-1][:300]}") from None
                    time.sleep(0.5)
            yield self
        finally:
            subprocess.run(
                ["ctr", "--namespace", "k8s.io", "task", "kill", "--signal", "SIGKILL", self.name],
                capture_output=True,
                check=False,
            )
            process.wait(30)

    def etcdctl(self, *argv: str) -> str:
        """Runs etcdctl beside the container's etcd."""
        run_id = uuid.uuid4().hex[:8]
        command = ("etcdctl", f"--endpoints={CLIENT}", *argv)
        return run("ctr", "--namespace", "k8s.io", "task", "exec", "--exec-id", run_id, self.name, *command)


def image() -> str:
    """Returns the image of the cluster's etcd, from its static pod."""
    for manifest in (KUBERNETES / "manifests/etcd.yaml", KUBERNETES / "restoring/etcd.yaml"):
        if manifest.exists() and (found := re.search(r"^\s*image: (\S+)$", manifest.read_text(), re.M)):
            return found[1]
    raise Failure(f"{KUBERNETES}/manifests/etcd.yaml: there is no etcd here")


def living(container: Container, *argv: str) -> str:
    """Runs etcdctl against the machine's own etcd."""
    pki = KUBERNETES / "pki/etcd"
    login = (
        *("--endpoints=https://127.0.0.1:2379", f"--cacert={pki}/ca.crt"),
        *(f"--cert={pki}/healthcheck-client.crt", f"--key={pki}/healthcheck-client.key"),
    )
    return container.run("etcdctl", *login, *argv, host_network=True)


@contextmanager
def scratch() -> Iterator[Path]:
    """Yields an empty folder that only root reads, on the disk of the data; what a killed run left goes first."""
    for left in DATA.glob("backup-*"):
        if left.stat().st_mtime < time.time() - 3600:
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="backup-", dir=DATA))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def bucket() -> tuple[Any, str]:
    """Returns a client of S3, with the rights of this machine's role, and the bucket's name."""
    import boto3

    config = json.loads(CONFIG.read_text())
    os.environ.update(config["environment"])
    client = boto3.client("s3", region_name=config["region"], endpoint_url=os.environ.get("AWS_ENDPOINT_URL"))
    return client, config["bucket"]


def status(container: Container) -> dict[str, Any]:
    """Returns hash, revision and size of the snapshot in the container's folder."""
    return dict(json.loads(container.run("etcdutl", "snapshot", "status", "/backup/snapshot.db", "--write-out=json")))


#: Arguments of etcdctl that count all keys.
COUNT = ("get", "", "--prefix", "--count-only", "--write-out=fields")


def counted(answer: str) -> dict[str, str]:
    """Returns the numbers in an answer to COUNT, "Count" and "Revision" among them."""
    return dict(re.findall(r'^"(\w+)" : (\d+)$', answer, re.MULTILINE))


def save() -> dict[str, Any]:
    """Returns the new snapshot's id and what is known of it. It is in the bucket, and whole."""
    name = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{socket.gethostname()}"  # noqa: UP017 -- Debian's Python
    with scratch() as folder:
        container = Container(folder)
        living(container, "snapshot", "save", "/backup/snapshot.db")
        found = status(container)
        revision = found["revision"]
        keys = int(counted(living(container, *COUNT, f"--rev={revision}"))["Count"])
        encrypted = folder / "encrypted"
        pack(folder / "snapshot.db", encrypted)
        known = {"hash": found["hash"], "revision": revision, "keys": keys, "etcd": image().rpartition(":")[2]}
        client, target = bucket()
        metadata = {key: str(value) for key, value in known.items()}
        client.upload_file(str(encrypted), target, PREFIX + name, ExtraArgs={"Metadata": metadata})
        size = client.head_object(Bucket=target, Key=PREFIX + name)["ContentLength"]
        if size != encrypted.stat().st_size:
            raise Failure(f"s3://{target}/{PREFIX}{name}: {size} bytes arrived of {encrypted.stat().st_size}")
        return {"id": name, "size": size, **known}


def pack(snapshot: Path, encrypted: Path) -> None:
    """Writes snapshot and keys as one archive that only the owner of the private key can read."""
    argv = ["openssl", "cms", "-encrypt", "-binary", "-stream", "-outform", "DER", "-aes-256-gcm"]
    with encrypted.open("wb") as out:
        process = subprocess.Popen([*argv, str(CERTIFICATE)], stdin=subprocess.PIPE, stdout=out)
        with process.stdin as pipe, tarfile.open(fileobj=pipe, mode="w|") as archive:  # type: ignore[union-attr]
            archive.add(snapshot, "snapshot.db")
            for each in KEYS:
                archive.add(KUBERNETES / each, each)
    if process.wait():
        raise Failure("openssl: the snapshot could not be encrypted")


def fetch(name: str, folder: Path, private_key: bytes) -> dict[str, str]:
    """Puts a snapshot and its keys into the folder. Returns what was noted when it was taken."""
    if not re.fullmatch(r"[0-9TZ]{16}-[a-z0-9-]+", name):
        raise Failure(f"{name}: not the id of a snapshot")
    from botocore.exceptions import ClientError

    client, source = bucket()
    encrypted = folder / "encrypted"
    try:
        known = client.head_object(Bucket=source, Key=PREFIX + name)["Metadata"]
        client.download_file(source, PREFIX + name, str(encrypted))
    except ClientError as error:
        raise Failure(f"s3://{source}/{PREFIX}{name}: {error.response['Error']['Message']}") from None
    reading, writing = os.pipe()
    os.write(writing, private_key)
    os.close(writing)
    argv = ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", str(encrypted)]
    process = subprocess.Popen(
        [*argv, "-inkey", f"/dev/fd/{reading}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=[reading]
    )
    os.close(reading)
    try:
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                if member.isreg() and ".." not in member.name and not member.name.startswith("/"):
                    archive.extract(member, folder)
    except tarfile.TarError:
        raise Failure(f"{name}: it is torn, or was encrypted for another key") from None
    finally:
        assert process.stdout
        process.stdout.read()
        failed = process.wait()
    if failed:  # The end of the file proves that all of it is what was written.
        raise Failure(f"{name}: it is torn, or was encrypted for another key")
    encrypted.unlink()
    return dict(known)


def check(name: str, private_key: bytes) -> dict[str, Any]:
    """Returns what an etcd restored from the snapshot has, all of it as it was noted."""
    began = time.monotonic()
    with scratch() as folder:
        known = fetch(name, folder, private_key)
        container = Container(folder)
        found = {"hash": str(status(container)["hash"])}
        container.run("etcdutl", "snapshot", "restore", "/backup/snapshot.db", "--data-dir=/backup/data", *ALONE)
        with container.etcd("/backup/data") as restored:
            answer = counted(restored.etcdctl(*COUNT))
            found |= {"keys": answer["Count"], "revision": answer["Revision"]}
    wrong = [f"{key} {found[key]}, was {known.get(key)}" for key in found if found[key] != known.get(key)]
    if wrong:
        raise Failure(f"{name}: restored, it is not what was saved: {'; '.join(wrong)}")
    return {"id": name, **known, "seconds": round(time.monotonic() - began, 1)}


def stage(name: str, cluster: str, private_key: bytes) -> dict[str, Any]:
    """Makes DATA/restore-ID/data of the snapshot. Returns whether it was made now."""
    folder = DATA / f"restore-{name}"
    if (folder / "data/member").exists():
        return {"id": name, "changed": False}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    fetch(name, folder, private_key)
    container = Container(folder)
    members = dict(member.split("=", 1) for member in cluster.split(","))
    container.run(
        *("etcdutl", "snapshot", "restore", "/backup/snapshot.db", "--data-dir=/backup/making"),
        *(f"--name={socket.gethostname()}", f"--initial-cluster={cluster}", f"--initial-cluster-token={name}"),
        *(f"--initial-advertise-peer-urls={members[socket.gethostname()]}", "--mark-compacted"),
        f"--bump-revision={BUMP}",
    )
    (folder / "snapshot.db").unlink()
    (folder / "making").rename(folder / "data")
    return {"id": name, "changed": True}


def main() -> None:
    """The command."""
    try:
        verb, *rest = sys.argv[1:] or [""]
        if verb == "save" and not rest:
            result = save()
        elif verb == "check" and len(rest) == 1:
            result = check(rest[0], sys.stdin.buffer.read())
        elif verb == "stage" and len(rest) == 2:
            result = stage(rest[0], rest[1], sys.stdin.buffer.read())
        else:
            sys.exit("usage: etcd-backup save | check ID | stage ID NAME=URL,... (the private key on stdin)")
    except Failure as error:
        sys.exit(str(error))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
