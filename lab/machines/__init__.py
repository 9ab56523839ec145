"""Hosts of the lab: Debian 12 systems with systemd, started by systemd-nspawn on the machine's own bridge."""
