"""What is missing and how to get it: on this machine, in an AWS account, at the publishers of what is pinned."""
