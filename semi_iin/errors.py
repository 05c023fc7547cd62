"""The one exception of this package that a user can cause.

Raised with one sentence that names the thing at fault and the mend; the command line prints that
sentence and exits non-zero. Programming errors stay ordinary Python exceptions.
"""


class SemiIINError(Exception):
    """Something the user gave cannot be used: a file, a configuration, a data set, a tensor."""
