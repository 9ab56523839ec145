"""EKS clusters."""

from lab.plugins.aws.compare import same
from lab.plugins.aws.eks_waiting import FAILED, adopt, follow, gone, settled, tagged
from lab.plugins.aws.tags import EKS
from lab.plugins.aws.types import Call, Inputs, Type, Update
from lab.plugins.values import Values

VPC = Inputs(
    required="subnetIds",
    optional="securityGroupIds endpointPrivateAccess endpointPublicAccess publicAccessCidrs "
    "clusterSecurityGroupId vpcId",
)


def cluster(call: Call) -> Values:
    return dict(call.api.describe_cluster(name=call.id)["cluster"])


def create_cluster(call: Call) -> str:
    return str(
        call.send("create_cluster", **_logging(call), **tagged(call), clientRequestToken=call.token())["cluster"][
            "name"
        ]
    )


def _logging(call: Call) -> Values:
    every = ("api", "audit", "authenticator", "controllerManager", "scheduler")
    wanted = call.inputs.get("enabledClusterLogTypes", [])
    setups = [{"types": sorted(wanted), "enabled": True}] if wanted else []
    if call.old.get("enabledClusterLogTypes"):
        setups.append({"types": [name for name in every if name not in wanted], "enabled": False})
    return {"logging": {"clusterLogging": [setup for setup in setups if setup["types"]]}} if setups else {}


def cluster_config(names: str) -> Update:
    """An update of some inputs by UpdateClusterConfig, which takes one concern at a time."""
    return Update(names, lambda call: follow(call, call.send("update_cluster_config", "name", *names.split())))


def update_vpc(call: Call) -> None:
    """Endpoint access and subnets are two updates to EKS."""
    old, new = call.old.get("vpcConfig", {}), call.inputs["vpcConfig"]
    access = ("endpointPrivateAccess", "endpointPublicAccess", "publicAccessCidrs")
    for part in (access, ("subnetIds", "securityGroupIds")):
        wanted = {name: new[name] for name in part if name in new}
        if wanted and not same(wanted, {name: old.get(name) for name in wanted}):
            follow(call, call.api.update_cluster_config(name=call.id, resourcesVpcConfig=wanted))


def update_access(call: Call) -> None:
    mode = call.inputs.get("accessConfig", {}).get("authenticationMode")
    if mode and mode != call.old.get("accessConfig", {}).get("authenticationMode"):
        follow(call, call.api.update_cluster_config(name=call.id, accessConfig={"authenticationMode": mode}))


TYPES = {
    "aws:eks/cluster:Cluster": Type(
        "eks",
        Inputs(
            required="roleArn vpcConfig",
            optional="version enabledClusterLogTypes deletionProtection forceUpdateVersion "
            "defaultAddonsToRemoves tags region",
            defaults={"bootstrapSelfManagedAddons": True},
            blocks={
                "vpcConfig": VPC,
                "accessConfig": Inputs(optional="authenticationMode bootstrapClusterCreatorAdminPermissions"),
                "upgradePolicy": Inputs(optional="supportType"),
                "zonalShiftConfig": Inputs(optional="enabled"),
                "encryptionConfig": Inputs(required="resources", blocks={"provider": Inputs(required="keyArn")}),
                "kubernetesNetworkConfig": Inputs(
                    optional="ipFamily serviceIpv4Cidr serviceIpv6Cidr",
                    blocks={"elasticLoadBalancing": Inputs(optional="enabled")},
                ),
                "computeConfig": Inputs(optional="enabled nodePools nodeRoleArn"),
                "storageConfig": Inputs(blocks={"blockStorage": Inputs(optional="enabled")}),
            },
            auto="name",
            auto_length=100,
        ),
        create=create_cluster,
        ready=settled(cluster, "ACTIVE", FAILED),
        read=cluster,
        update=(
            Update("version", lambda call: follow(call, call.send("update_cluster_version", "name", "version"))),
            Update("vpcConfig", update_vpc),
            Update("accessConfig", update_access),
            Update(
                "enabledClusterLogTypes",
                lambda call: follow(call, call.api.update_cluster_config(name=call.id, **_logging(call))),
            ),
            cluster_config("upgradePolicy"),
            cluster_config("zonalShiftConfig"),
            cluster_config("deletionProtection"),
            cluster_config("computeConfig storageConfig"),
        ),
        delete=gone(cluster, lambda call: call.api.delete_cluster(name=call.id)),
        tagging=EKS,
        outputs="arn certificateAuthority createdAt endpoint platformVersion status version accessConfig "
        "kubernetesNetworkConfig upgradePolicy vpcConfig",
        rename={"vpcConfig": "resourcesVpcConfig"},
        local="forceUpdateVersion",
        volatile="platformVersion status",
        paths={
            "identities": "identity.[{oidcs: [oidc]}]",
            "enabledClusterLogTypes": "logging.clusterLogging[?enabled].types[]",
        },
        computed={
            # bootstrapClusterCreatorAdminPermissions is not in the answer: known from the inputs only.
            "accessConfig": lambda call, answer: {
                **call.inputs.get("accessConfig", {}),
                **answer.get("accessConfig", {}),
            },
        },
        # As the official provider: with node groups attached it fails at once.
        busy=("ResourceInUseException",),
        busy_words="in progress",
        adopt=adopt(
            cluster,
            lambda call: str(call.inputs["name"]),
            {"roleArn": "roleArn", "vpcConfig": "resourcesVpcConfig", "version": "version"},
        ),
        timeout=1800,
    ),
}
