"""Day 2: what keeps a running cluster good."""
