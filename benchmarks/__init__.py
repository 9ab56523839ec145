"""Ratios, side by side in one run: never an absolute time in a test."""
