"""Encodings that are kept by their content: windows overlap, and a revision repeats its window.

What enters: a digest of what an encoder reads, and the encoding made of it. What leaves: the same
encoding, as long as it is kept. Its memory is bounded: the least recently used one goes first. A
missing one only costs the time to make it again. It depends on no encoders, clips or streams.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable

from torch import Tensor


class KeptEncodings:
    """A store of at most `capacity_bytes` of tensors; any thread may call it.

    Attributes:
        counters: `kept_hits`, the encodings that were not made again, and `kept_misses`.
    """

    def __init__(self, capacity_bytes: int) -> None:
        """Keep `capacity_bytes` at most; 0 keeps nothing."""
        self.counters: Counter[str] = Counter()
        self._capacity_bytes = capacity_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._tensors: OrderedDict[bytes, Tensor] = OrderedDict()

    def get(self, key: bytes, make: Callable[[], Tensor]) -> Tensor:
        """Return the encoding under `key`; what is not kept is made, and kept."""
        with self._lock:
            found = self._tensors.get(key)
            self.counters["kept_misses" if found is None else "kept_hits"] += 1
            if found is not None:
                self._tensors.move_to_end(key)
                return found
        made = make()  # by two threads at once, if they miss the same: both make the same
        with self._lock:
            self._keep(key, made)
        return made

    def __len__(self) -> int:
        return len(self._tensors)

    def _keep(self, key: bytes, made: Tensor) -> None:
        if made.nbytes > self._capacity_bytes or key in self._tensors:
            return
        self._tensors[key] = made.clone()  # else it would hold the memory of its whole batch
        self._bytes += made.nbytes
        while self._bytes > self._capacity_bytes:
            _, oldest = self._tensors.popitem(last=False)
            self._bytes -= oldest.nbytes
