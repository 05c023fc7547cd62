"""Names for speakers: by the cues of a transcript that names people, however coarse its times.

What enters: turns and cues. What leaves: the turns with names. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from streamer.spans import SpeakerTurn


def named(turns: Sequence[SpeakerTurn], cues: Sequence[SpeakerTurn]) -> list[SpeakerTurn]:
    """Return the turns, the speakers named so that turns and cues have most time in common.

    A speaker whom no cue names keeps the number; a name that no speaker has got speaks when its
    cues say.
    """
    speakers = list(dict.fromkeys(turn.speaker for turn in turns))
    people = list(dict.fromkeys(cue.speaker for cue in cues))
    common = np.zeros((len(speakers), len(people)))
    for turn in turns:
        for cue in cues:
            both_ns = min(turn.end_ns, cue.end_ns) - max(turn.start_ns, cue.start_ns)
            common[speakers.index(turn.speaker), people.index(cue.speaker)] += max(0, both_ns)
    pairs = zip(*linear_sum_assignment(-common), strict=True)
    names = {speakers[a]: people[b] for a, b in pairs if common[a, b] > 0}
    found = set(names.values())
    renamed = [turn._replace(speaker=names.get(turn.speaker, turn.speaker)) for turn in turns]
    rest = [cue for cue in cues if cue.speaker not in found]
    return sorted([*renamed, *rest], key=lambda turn: turn[1:])
