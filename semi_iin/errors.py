"""The one exception of this package that a user can cause.

Its message is one sentence that names the input at fault and how to fix it. The command line prints
that sentence and exits with code 1. Programming errors stay ordinary Python exceptions.
"""


class SemiIINError(Exception):
    """A user's input cannot be used: a file, a configuration, a data set or a tensor."""
