"""How components of this program are offered to other programs."""
