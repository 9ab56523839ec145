"""Load balancers: network ones are HAProxy."""
