"""What self-managed machines need of AWS, under the real engine, against moto."""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests import ROOT
from tests.support import engine
from tests.support.engine import client

BACKUPS = f"""
import sys

sys.path.insert(0, {str(ROOT)!r})
import pulumi
from components.kubeadm.etcd_backups import EtcdBackups, EtcdBackupsArgs
from components.machines.machine_role import MachineRole, MachineRoleArgs

config = pulumi.Config()
backups = EtcdBackups("Net-backups", EtcdBackupsArgs(config.require_int("days"), config.require_bool("delete")))
role = MachineRole("net-control-plane", MachineRoleArgs({{"backups": backups.write_policy}}))
pulumi.export("bucket", backups.bucket)
pulumi.export("profile", role.profile_name)
"""


def test_snapshots_stop_a_destroy_until_it_is_told_to_take_them(
    tmp_path: Path,
) -> None:
    with engine.moto() as url:
        project = engine.project(tmp_path, url, BACKUPS, "network")
        (tmp_path / "twinplane").symlink_to(ROOT / "twinplane")  # for the commands of its components
        s3, iam = client(project, "s3"), client(project, "iam")
        for days in ("30", "9"):
            project("config", "set", "days", days)
            project("config", "set", "delete", "false")
            project("up", "--yes", "--skip-preview")
            project("up", "--yes", "--skip-preview", "--expect-no-changes")
            project("refresh", "--yes", "--skip-preview", "--expect-no-changes")
        bucket = project.outputs()["bucket"]
        [rule] = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        assert rule["Expiration"] == {"Days": 9}
        profile = iam.get_instance_profile(InstanceProfileName=project.outputs()["profile"])["InstanceProfile"]
        [role] = profile["Roles"]
        assert set(iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]) == {"backups", "pull-images"}

        # Plain moto takes the denial without TLS for one of everything.
        s3.delete_bucket_policy(Bucket=bucket)
        for body in (b"first", b"second"):
            s3.put_object(Bucket=bucket, Key="etcd/snapshot", Body=body)
        assert "BucketNotEmpty" in project("destroy", "--yes", "--skip-preview", code=1)
        assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]["BlockPublicAcls"]

        project("config", "set", "delete", "true")
        project("up", "--yes", "--skip-preview")
        assert "TlsOnly" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
        s3.delete_bucket_policy(Bucket=bucket)
        project("destroy", "--yes", "--skip-preview")
        with pytest.raises(ClientError, match="404"):
            s3.head_bucket(Bucket=bucket)
        assert not iam.list_instance_profiles()["InstanceProfiles"]


MACHINES = f"""
import sys
from ipaddress import IPv4Network

sys.path.insert(0, {str(ROOT)!r})
import pulumi
from components.machines.machine import Machine, MachineArgs
from components.machines.machine_role import MachineRole, MachineRoleArgs
from components.network.network import Network, NetworkArgs
from components.machines.security_groups import SecurityGroups, SecurityGroupsArgs

size = pulumi.Config().require_int("size")
network = Network("net", NetworkArgs(IPv4Network("198.18.0.0/18")))
groups = SecurityGroups("net", SecurityGroupsArgs(network.vpc_id, ["198.18.0.0/15"], ["198.18.0.0/15"]))
role = MachineRole("net-control-plane", MachineRoleArgs({{}}))
machine = Machine(
    "net-1",
    MachineArgs(
        role="control-plane",
        hostname="control-plane-1",
        image_id="ami-12c6146b",
        instance_type="t3.medium",
        subnet_id=network.private_subnet_ids[0],
        public=False,
        security_group_ids=[groups.machine_id],
        key_name=None,
        instance_profile=role.profile_name,
        etcd_volume_size=size,
    ),
)
pulumi.export("machine", machine.exported)
"""


def test_a_machine_with_its_role_and_a_volume_for_etcd(tmp_path: Path) -> None:
    with engine.moto() as url:
        project = engine.project(tmp_path, url, MACHINES, "network")
        (tmp_path / "twinplane").symlink_to(ROOT / "twinplane")
        ec2 = client(project, "ec2")
        for size in ("10", "20", "0"):
            project("config", "set", "size", size)
            project("up", "--yes", "--skip-preview")
            project("up", "--yes", "--skip-preview", "--expect-no-changes")
            project("refresh", "--yes", "--skip-preview", "--expect-no-changes")
            machine = project.outputs()["machine"]
            found = ec2.describe_volumes(Filters=[{"Name": "tag:Name", "Values": ["net-1-etcd"]}])["Volumes"]
            assert [(each["VolumeId"], each["Size"], each["Encrypted"]) for each in found] == (
                [(machine["etcdVolume"], int(size), True)] if size != "0" else []
            )
            assert [each["Attachments"][0]["InstanceId"] for each in found] == [machine["instanceId"]] * len(found)
            assert found == [] or found[0]["AvailabilityZone"] == machine["zone"]
        [profile] = ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
        assert profile["InstanceId"] == machine["instanceId"]
        project("destroy", "--yes", "--skip-preview")
        assert not ec2.describe_volumes()["Volumes"]
