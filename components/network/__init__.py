"""The VPC: subnets, gateways, endpoints, flow logs."""
