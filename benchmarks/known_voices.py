"""How often a known voice is recognised, and how often somebody else is taken for it.

    python benchmarks/known_voices.py FOLDER [--first NAME] [--last NAME]

FOLDER has a folder of recordings for each person. A person's first ENROLLED recordings, joined,
enrol the voice; the others, joined by PROBED, are a person of a conversation each. For each cosine
this prints which share of a person's probes is below it (missed) and which share of all other
people's probes is not (mistaken), and at the end the cosine at which both are equal. The figures
are of pairs: in a recording a voice must also be the nearest of those that are known.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from speakers import sound_of

from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk
from streamer.speakers.listening import Ear, networks, voices_in

ENROLLED, PROBED, MOST_PROBES = 6, 3, 4
COSINES = tuple(round(0.2 + 0.05 * n, 2) for n in range(11))

Vector = NDArray[np.float32]


def joined(paths: Sequence[Path]) -> list[AudioChunk]:
    """Return recordings one after the other, with pauses of 0.3 s."""
    pause = np.zeros(SAMPLE_RATE_HZ * 3 // 10, np.float32)
    samples = np.concatenate([part for path in paths for part in (sound_of(path), pause)])
    return [
        AudioChunk(first * NS_PER_S // SAMPLE_RATE_HZ, samples[first : first + SAMPLE_RATE_HZ])
        for first in range(0, len(samples), SAMPLE_RATE_HZ)
    ]


def vector_of(paths: Sequence[Path], ear: Ear) -> Vector | None:
    """Return the voice of who speaks most in recordings; None where nobody does."""
    heard = voices_in(joined(paths), ear)
    return heard.vectors[int(np.argmax(heard.spoken_s))] if heard.spoken_s else None


def vectors_of(folder: Path, ear: Ear) -> tuple[Vector, list[Vector]] | None:
    """Return a person's enrolled voice and probes; None with too few recordings."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    np.random.default_rng(0).shuffle(paths)
    enrolled = vector_of(paths[:ENROLLED], ear)
    groups = [paths[at : at + PROBED] for at in range(ENROLLED, len(paths), PROBED)]
    probes = (vector_of(group, ear) for group in groups[:MOST_PROBES])
    found = [probe for probe in probes if probe is not None]
    return (enrolled, found) if enrolled is not None and found else None


def main() -> None:
    """Read the command line and print the shares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", default="")
    parser.add_argument("--last", default="~")
    arguments = parser.parse_args()
    names = sorted(path for path in arguments.folder.iterdir() if path.is_dir())
    chosen = [path for path in names if arguments.first <= path.name <= arguments.last]
    ear = networks()
    people = [found for path in chosen if (found := vectors_of(path, ear)) is not None]
    voices = np.stack([enrolled for enrolled, _ in people])
    probes = np.stack([probe for _, own in people for probe in own])
    whose = np.repeat(np.arange(len(people)), [len(own) for _, own in people])
    cosines = probes @ voices.T
    same = whose[:, None] == np.arange(len(people))
    for cosine in COSINES:
        row = {
            "cosine": cosine,
            "missed": round(float((cosines[same] < cosine).mean()), 4),
            "mistaken": round(float((cosines[~same] >= cosine).mean()), 4),
        }
        print(json.dumps(row))
    own, others = np.sort(cosines[same]), cosines[~same]
    equal = min(own, key=lambda at: abs(float((own < at).mean() - (others >= at).mean())))
    known = {"people": len(people), "probes": len(probes), "equal_at": round(float(equal), 3)}
    print(json.dumps(known))


if __name__ == "__main__":
    main()
