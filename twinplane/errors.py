"""The two ways a verb ends badly, each one line for the person who typed it."""


class UsageError(Exception):
    """Wrong use: bad config, a missing tool, an unreachable host. Nothing was changed. Exit code 2."""

    exit_code = 2


class Failed(Exception):
    """The work was started and failed, or two things that should agree differ. Exit code 1."""

    exit_code = 1
