"""The command `streamer`, also as `python -m streamer`."""

import os
import sys
from pathlib import Path

INTERRUPTED = 130
"""`errors.ExitCode.INTERRUPTED`, before anything is imported."""


def main() -> None:
    """Import the command line and run it; Ctrl-C while importing ends without a traceback.

    Products of matrices are small here: further threads of numpy's library would only spin.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from streamer.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":
    # `python -m` puts the working directory first, where a `msgspec.py` would be imported.
    working_directory = Path(sys.path[0]).absolute()
    if not sys.flags.safe_path and working_directory != Path(__file__).absolute().parents[1]:
        del sys.path[0]
    main()
