"""What one participant costs, measured; each figure with the command that measures it.

`plan` multiplies these. CPU is in seconds of one core of an Intel Xeon, which other work shared;
measure your own machine with `streamer bench`. Sizes depend on how loud the sound is and how sharp
the faces are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# --- bytes: python benchmarks/unit_costs.py RECORDING …, of two people who speak -----------------

AUDIO_BYTES_PER_S: Mapping[Literal["flac", "pcm16"], int] = {"flac": 21_966, "pcm16": 32_000}
"""Sound of one second at 16 kHz."""
CROP_BYTES = 4_589
"""One face of CROP_PX pixels square at CROP_QUALITY."""
CROP_PX, CROP_QUALITY = 112, 85
TEXT_BYTES = 1_859
"""Words, context and all else in a window, with key and headers."""
SCORE_BYTES = 1_426
SENTIMENT_BYTES = 1_632
SESSION_SENTIMENT_BYTES = 751
PARTICIPANT_STATE_BYTES = 1_718
"""A participant's state in the changelog, written once a window."""
MEMBER_STATE_BYTES = 575
"""A session's state, per member; all of it goes to the changelog once a member's window.

Reports that come late make it larger, to 160 kB for the session at most.
"""

# --- CPU: python benchmarks/load.py RECORDING RECORDING … ----------------------------------------
#
# `--participants 1 --talk all --seconds 40` and `--participants 3 --talk turns --seconds 40`, on
# the embedded broker and two cores with a load average of 9 to 11. Who listens costs half of what
# three in turns cost together less one who speaks.


@dataclass(frozen=True)
class Cost:
    """A quantity per second of a participant who speaks, and of one who only listens."""

    speaking: float
    listening: float

    def at(self, share: float) -> float:
        """Return that of a participant who speaks for this share of the time."""
        return self.listening + share * (self.speaking - self.listening)


RECORDS_PER_WINDOW = Cost(speaking=1.7, listening=1.05)
"""A window's publications, its revisions with late words counted."""
CAPTURE_CPU = Cost(speaking=0.426, listening=0.063)
INFERENCE_CPU = Cost(speaking=0.076, listening=0.018)
"""At one window a second."""
PROCESSING_CPU = 0.0018
"""Of one record, revisions too: soak.py --hours 0.1 --broker HOST:PORT, of an Apache Kafka."""
PROCESSING_IDLE_CPU = 0.032
"""Of a worker, besides its records, in the runs of `load.py`."""

EMBEDDED_RECORDS_PER_S = 18.0
"""What the embedded broker gives of a partition, one record at a time: soak.py --hours 0.05."""

# --- memory: the same runs, with one participant and with three ----------------------------------

CAPTURE_MB = 1020.0
"""A capture process, with its recogniser."""
CAPTURE_PARTICIPANT_MB = 24.0
"""Each participant in it."""
INFERENCE_MB = 768.0
"""An inference worker with the default checkpoint."""
PROCESSING_MB = 91.0
"""A processing worker, without the states of its participants."""
