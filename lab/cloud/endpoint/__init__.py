"""The endpoint of the lab's AWS: every request's way in, and how the lab itself calls it."""
