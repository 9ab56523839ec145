"""One noun, one file, one ComponentResource, one frozen args dataclass; a folder for each kind of noun."""
