"""The lab's own EKS: the real API's shapes and rules, with real control planes and nodes on hosts of the lab.

A request goes from endpoint.py to the noun that it is about (cluster.py, nodegroup.py, addon.py, access.py), and to
state.py; controller.py makes it real. The daemon has one Eks (eks.py), and gives its parts to those who need them.
"""
