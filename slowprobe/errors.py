"""The errors slowprobe reports in one line, each with its exit code."""


class SlowprobeError(Exception):
    """Something the user can act on: the message says what, where and what to do.

    ``exit_code`` is what the command line exits with.
    """

    exit_code = 1


class BadInputError(SlowprobeError):
    """An argument, file or folder that cannot be used as given."""

    exit_code = 2


class RunFolderError(BadInputError):
    """A run folder that is missing, unreadable or of another schema version."""


class TraceError(BadInputError):
    """A trace file that cannot be read as one."""
