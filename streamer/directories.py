"""Directories and file locks of the application.

`cache_dir` and `data_dir` follow the operating system's conventions (on Linux `XDG_CACHE_HOME` and
`XDG_DATA_HOME`). Neither is created here: whoever writes into one creates it.
"""

from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

APPLICATION = "streamer"


def cache_dir() -> Path:
    """Return the directory of files that can be fetched or made again."""
    return Path(platformdirs.user_cache_dir(APPLICATION, appauthor=False))


def data_dir() -> Path:
    """Return the directory of files that must be kept."""
    return Path(platformdirs.user_data_dir(APPLICATION, appauthor=False))


def lock(path: Path) -> FileLock | None:
    """Take the lock file at `path` without waiting.

    The directory of `path` is created. The operating system frees the lock when its process ends,
    however it ends; `release()` frees it before.

    Args:
        path: the lock file, which stays on disk when the lock is released.

    Returns:
        The lock, held until `release()`; None when another process holds it.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(path, thread_local=False)
    try:
        held.acquire(blocking=False)
    except Timeout:
        return None
    return held
