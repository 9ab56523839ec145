"""The self-managed cluster: machines that kubeadm makes one, its API's address, its backups, its cloud controller."""
