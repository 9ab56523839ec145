"""The registry that nodes pull images from."""
