"""The way in by host name."""
