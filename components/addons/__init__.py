"""What both kinds of cluster run for their workloads, in the cluster itself."""
