"""The two ways a verb of the lab ends badly, each one line for the person who typed it."""


class UsageError(Exception):
    """Wrong use: not root, a port in use, a full disk. Nothing was changed."""

    exit_code = 2


class Failed(Exception):
    """The work was started and failed."""

    exit_code = 1
