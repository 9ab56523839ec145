"""One noun, one file, one ComponentResource, one frozen args dataclass."""
