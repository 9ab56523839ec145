"""The lab: a small AWS-shaped cloud on one machine."""
