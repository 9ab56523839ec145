"""Stand-in for `pulumi-resource-eks`: the components `eks:index:Cluster` and `eks:index:ManagedNodeGroup`.

They make the same children as pulumi-eks 4.4, with its names, types, parents and inputs, for clusters in authentication
mode API without a default node group. Any other input is an error that names it.
"""
