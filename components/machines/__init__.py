"""EC2 machines of a self-managed cluster, the keys to them, and who may reach them."""
