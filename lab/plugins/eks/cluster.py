"""`eks:index:Cluster`: the control plane with its roles, security groups and add-ons."""

from typing import Any

import pulumi

from lab.plugins.eks.addon import VpcCniAddon, addon
from lab.plugins.eks.inputs import Inputs, given, joined, merged, require, unknown
from lab.plugins.eks.kubeconfig import answering, kubeconfig, text
from lab.plugins.eks.resources import Resource, package_version
from lab.plugins.eks.service_role import ServiceRole

TOKEN = "eks:index:Cluster"
KNOWN = (
    "name version vpcId subnetIds publicSubnetIds privateSubnetIds authenticationMode accessEntries tags clusterTags "
    "clusterSecurityGroupTags nodeSecurityGroupTags enabledClusterLogTypes endpointPrivateAccess endpointPublicAccess "
    "publicAccessCidrs upgradePolicy deletionProtection encryptionConfigKeyArn kubernetesServiceIpAddressRange "
    "ipFamily skipDefaultNodeGroup bootstrapSelfManagedAddons useDefaultVpcCni kubeProxyAddonOptions vpcCniOptions "
    "corednsAddonOptions autoMode"
)
#: Rules in pulumi-eks' words: suffix of the name -> description, group that it belongs to, protocol, first and last
#: port, and where from: the other group, "self", or "egress" for a rule to everywhere.
RULES = {
    "eksClusterInternetEgressRule": ("Allow internet access.", "plane", "-1", 0, 0, "egress"),
    "eksNodeIngressRule": ("Allow nodes to communicate with each other", "nodes", "-1", 0, 0, "self"),
    "eksNodeClusterIngressRule": (
        "Allow worker Kubelets and pods to receive communication from the cluster control plane",
        "nodes",
        "tcp",
        1025,
        65535,
        "plane",
    ),
    "eksExtApiServerClusterIngressRule": (
        "Allow pods running extension API servers on port 443 to receive communication from cluster control plane",
        "nodes",
        "tcp",
        443,
        443,
        "plane",
    ),
    "eksNodeInternetEgressRule": ("Allow internet access.", "nodes", "-1", 0, 0, "egress"),
    "eksClusterIngressRule": (
        "Allow pods to communicate with the cluster API Server",
        "plane",
        "tcp",
        443,
        443,
        "nodes",
    ),
}


def check(name: str, inputs: Inputs) -> None:
    """Raises for what this stand-in cannot serve."""
    failures = list(unknown(inputs, KNOWN))
    if automatic(inputs) and inputs["autoMode"].get("createNodeRole", True):
        failures.append(("autoMode.createNodeRole", "must be false: name a role in computeConfig.nodeRoleArn"))
    if inputs.get("authenticationMode") != "API":
        failures.append(("authenticationMode", "must be API: aws-auth is not supported by the lab's eks plugin"))
    if not inputs.get("skipDefaultNodeGroup"):
        failures.append(("skipDefaultNodeGroup", "must be true: use ManagedNodeGroup"))
    if "vpcId" not in inputs:
        failures.append(("vpcId", "is required"))
    if not any(inputs.get(key) for key in ("subnetIds", "publicSubnetIds", "privateSubnetIds")):
        failures.append(("subnetIds", "is required, or publicSubnetIds and privateSubnetIds"))
    require(TOKEN, name, failures)


def automatic(inputs: Inputs) -> bool:
    """Whether EKS Auto Mode is asked for, in which the original makes neither security groups nor their rules."""
    return bool((inputs.get("autoMode") or {}).get("enabled"))


class Cluster(pulumi.ComponentResource):
    """The children of pulumi-eks' Cluster; `state` are its outputs."""

    def __init__(self, name: str, inputs: Inputs, opts: pulumi.ResourceOptions) -> None:
        check(name, inputs)
        super().__init__(TOKEN, name, None, opts)
        self.name, self.inputs = name, inputs
        self.tags = inputs.get("tags")
        self.child = pulumi.ResourceOptions(parent=self)
        self.subnet_ids = joined(*[inputs.get(key) for key in ("subnetIds", "publicSubnetIds", "privateSubnetIds")])

        service = ServiceRole(f"{name}-eksRole", self.tags, self.child, automatic(inputs))
        self.groups: dict[str, Resource] = {}
        rules: dict[str, Resource] = {}
        if automatic(inputs):
            self.cluster = self._cluster(service.role, service.policies)
        else:
            self.groups["plane"] = self._group("eksClusterSecurityGroup", "clusterSecurityGroupTags")
            egress = self._rule("eksClusterInternetEgressRule")
            self.cluster = self._cluster(service.role, [*service.policies, egress])
            owned = self.cluster.output("name").apply(lambda name: {f"kubernetes.io/cluster/{name}": "owned"})
            self.groups["nodes"] = self._group("nodeSecurityGroup", "nodeSecurityGroupTags", owned)
            rules = {suffix: self._rule(suffix) for suffix in RULES if suffix != "eksClusterInternetEgressRule"}
        cni = self._addons()
        entries = self._access_entries()

        authority = self.cluster.output("certificateAuthority").apply(lambda found: found["data"])
        endpoint: pulumi.Output[str] = pulumi.Output.all(self.cluster.output("endpoint"), authority).apply(
            lambda parts: answering(*parts)
        )
        config = pulumi.Output.all(self.cluster.output("name"), self.cluster.output("arn"), endpoint, authority).apply(
            lambda parts: kubeconfig(*parts)
        )
        provider = pulumi.CustomResource(
            "pulumi:providers:kubernetes",
            f"{name}-eks-k8s",
            {"kubeconfig": config.apply(text)},
            pulumi.ResourceOptions(parent=self, version=package_version("kubernetes")),
        )
        issuer = self.cluster.output("identities").apply(lambda found: found[0]["oidcs"][0]["issuer"] if found else "")
        core = {
            "cluster": self.cluster,
            "clusterIamRole": service.role,
            "clusterSecurityGroup": self.groups.get("plane"),
            "endpoint": endpoint,
            "instanceRoles": [],
            "kubeconfig": config,
            "nodeGroupOptions": {},
            "privateSubnetIds": inputs.get("privateSubnetIds"),
            "provider": provider,
            "publicSubnetIds": inputs.get("publicSubnetIds"),
            "subnetIds": self.subnet_ids,
            "tags": self.tags,
            "vpcCni": cni,
            "vpcId": inputs["vpcId"],
            "accessEntries": entries,
        }
        ingress = rules.get("eksClusterIngressRule")
        self.state: dict[str, Any] = given(
            core=given(**core),
            eksCluster=self.cluster,
            clusterSecurityGroup=self.groups.get("plane"),
            clusterSecurityGroupId=self._group_id("plane"),
            nodeSecurityGroup=self.groups.get("nodes"),
            nodeSecurityGroupId=self._group_id("nodes"),
            eksClusterIngressRule=ingress,
            clusterIngressRuleId=ingress.id if ingress else "",
            instanceRoles=[],
            kubeconfig=config,
            kubeconfigJson=config.apply(text),
            oidcIssuer=issuer.apply(lambda url: url.removeprefix("https://")),
            oidcProviderUrl=issuer,
            oidcProviderArn="",
            autoModeNodeRoleName="",
            defaultNodeGroupAsgName="",
            fargateProfileId="",
            fargateProfileStatus="",
        )
        self.register_outputs(self.state)

    def _group(self, suffix: str, tags: str, *more: Any) -> Resource:
        name = f"{self.name}-{suffix}"
        return Resource(
            "aws:ec2/securityGroup:SecurityGroup",
            name,
            {
                "vpcId": self.inputs["vpcId"],
                "description": "Managed by Pulumi",
                "revokeRulesOnDelete": True,
                "tags": merged({"Name": name}, *more, self.tags, self.inputs.get(tags)),
            },
            self.child,
        )

    def _group_id(self, which: str) -> pulumi.Output[str]:
        """Of the group `which`, or where there is none of the one that EKS makes."""
        if which in self.groups:
            return self.groups[which].id
        return self.cluster.output("vpcConfig").apply(lambda found: found["clusterSecurityGroupId"])

    def _rule(self, suffix: str) -> Resource:
        """The security group rule `suffix` of RULES."""
        description, group, protocol, first, last, source = RULES[suffix]
        inputs: dict[str, Any] = {
            "type": "egress" if source == "egress" else "ingress",
            "description": description,
            "fromPort": first,
            "toPort": last,
            "protocol": protocol,
            "securityGroupId": self.groups[group].id,
        }
        if source in self.groups:
            inputs["sourceSecurityGroupId"] = self.groups[source].id
        else:
            inputs |= {"self": True} if source == "self" else {"cidrBlocks": ["0.0.0.0/0"]}
        return Resource("aws:ec2/securityGroupRule:SecurityGroupRule", f"{self.name}-{suffix}", inputs, self.child)

    def _cluster(self, role: Resource, after: list[pulumi.Resource]) -> Resource:
        get, name = self.inputs.get, f"{self.name}-eksCluster"
        network = given(ipFamily=get("ipFamily"), serviceIpv4Cidr=get("kubernetesServiceIpAddressRange"))
        auto: dict[str, Any] = {}
        if automatic(self.inputs):
            pools = {"enabled": True, "nodePools": ["general-purpose", "system"]}
            wanted = pulumi.Output.from_input(self.inputs["autoMode"].get("computeConfig") or {})
            network["elasticLoadBalancing"] = {"enabled": True}
            auto["computeConfig"] = wanted.apply(lambda config: {**pools, **config})
            auto["storageConfig"] = {"blockStorage": {"enabled": True}}
        key = get("encryptionConfigKeyArn")
        inputs = given(
            name=get("name"),
            version=get("version"),
            roleArn=role.output("arn"),
            vpcConfig=given(
                subnetIds=self.subnet_ids,
                securityGroupIds=[self.groups["plane"].id] if self.groups else None,
                endpointPrivateAccess=get("endpointPrivateAccess"),
                endpointPublicAccess=get("endpointPublicAccess"),
                publicAccessCidrs=get("publicAccessCidrs"),
            ),
            accessConfig={"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True},
            bootstrapSelfManagedAddons=not auto and get("bootstrapSelfManagedAddons", True),
            enabledClusterLogTypes=get("enabledClusterLogTypes"),
            upgradePolicy=get("upgradePolicy"),
            deletionProtection=get("deletionProtection"),
            encryptionConfig={"provider": {"keyArn": key}, "resources": ["secrets"]} if key is not None else None,
            kubernetesNetworkConfig=network or None,
            **auto,
            tags=merged({"Name": name}, self.tags, get("clusterTags")),
        )
        return Resource("aws:eks/cluster:Cluster", name, inputs, pulumi.ResourceOptions(parent=self, depends_on=after))

    def _addons(self) -> pulumi.Resource | None:
        names = ("kubeProxyAddonOptions", "corednsAddonOptions", "vpcCniOptions")
        proxy, dns, cni = (self.inputs.get(name) or {} for name in names)
        common, auto = given(tags=self.tags), automatic(self.inputs)
        # The original: CoreDNS where there is a default node group, or Auto Mode.
        for name, options, default in (("kube-proxy", proxy, not auto), ("coredns", dns, auto)):
            if options.get("enabled", default) or (name == "coredns" and options.get("configurationValues")):
                settings = {"addonName": name, **common, **options}
                addon(f"{self.name}-{name}", self.cluster, settings, self.child)
        if self.inputs.get("useDefaultVpcCni", auto):
            return None
        return VpcCniAddon(f"{self.name}-vpc-cni", self.cluster, {**common, **cni}, self.child)

    def _access_entries(self) -> list[dict[str, Any]]:
        entries = self.inputs.get("accessEntries") or {}
        for key, entry in entries.items():
            name, principal = f"{self.name}-{key}", entry["principalArn"]
            cluster = {"clusterName": self.cluster.output("name"), "principalArn": principal}
            groups = given(kubernetesGroups=entry.get("kubernetesGroups"), userName=entry.get("username"))
            more = given(type=entry.get("type"), tags=entry.get("tags", self.tags))
            made = Resource("aws:eks/accessEntry:AccessEntry", name, {**cluster, **groups, **more}, self.child)
            for policy, association in (entry.get("accessPolicies") or {}).items():
                Resource(
                    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
                    f"{name}-{policy}",
                    {**cluster, "policyArn": association["policyArn"], "accessScope": association["accessScope"]},
                    pulumi.ResourceOptions(parent=made, depends_on=[made]),
                )
        return list(entries.values())
