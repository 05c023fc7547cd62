"""Speed of smoothing: the step alone, with stored state, and for a meeting.

    python benchmarks/smoothing.py [--scores 600] [--rounds 5]

Variants with stored state encode and decode it with msgpack, as the processor's tables do.
"""

import argparse
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec
from measure import compare, show

from streamer.config import Config
from streamer.policy import own_policy
from streamer.records import Gate, Presence, Score, Sentiment
from streamer.smoothing.participant import ParticipantState, step
from streamer.smoothing.session import SessionState, session_step

CONFIG = Config()
POLICY = own_policy(CONFIG)
START = datetime(2026, 1, 1, tzinfo=UTC)
UNIFORM = (1 / 7, 1 / 7, 1 / 7, 1 / 7, 1 / 7, 1 / 7, 1 / 7)


def make_scores(
    count: int, participant: str = "ana", crowd: int = 1, session: str = "bench"
) -> list[Score]:
    """Return scores of a random walk of valence, one per second."""
    chance = random.Random(participant)
    valence, scores = 0.0, []
    for index in range(count):
        valence = max(-3.0, min(3.0, valence + chance.gauss(0, 0.4)))
        scores.append(
            Score(
                session_id=session,
                participant_id=participant,
                window_id=f"{session}/{participant}/{index}",
                window_index=index,
                session_start=START,
                start_ms=max(0, index - 4) * 1000,
                end_ms=(index + 1) * 1000,
                valence=valence,
                class_probabilities=UNIFORM,
                gate=Gate(val=0.5, cls=0.5),
                presence=Presence(audio=0.7, text=0.9, vision=1.0),
                evidence=("audio", "text", "vision"),
                text="so it goes",
                session_participants=crowd,
                latency_ms={"queue": 1.0, "inference": 2.0},
                model="bench",
            )
        )
    return scores


def smooth(scores: Sequence[Score]) -> list[Sentiment]:
    """Run the step with its state in memory."""
    state, published = None, []
    for score in scores:
        state, outputs = step(state, score, CONFIG.smoothing, CONFIG.alerts)
        published += [output for output in outputs if isinstance(output, Sentiment)]
    return published


def smooth_stored(scores: Sequence[Score]) -> int:
    """Run the step with its state encoded and decoded each time; return the last state's bytes."""
    decode = msgspec.msgpack.Decoder(ParticipantState).decode
    stored = None
    for score in scores:
        state = None if stored is None else decode(stored)
        state, _ = step(state, score, CONFIG.smoothing, CONFIG.alerts)
        stored = msgspec.msgpack.encode(state)
    return len(stored or b"")


def meet(sentiments: Sequence[Sentiment]) -> int:
    """Run the session's step with its state encoded and decoded each time."""
    decode = msgspec.msgpack.Decoder(SessionState).decode
    stored = None
    for sentiment in sentiments:
        state = None if stored is None else decode(stored)
        state, _ = session_step(state, sentiment, CONFIG.smoothing, CONFIG.alerts, POLICY)
        stored = msgspec.msgpack.encode(state)
    return len(stored or b"")


def shuffled(scores: Sequence[Score], by: int = 4) -> list[Score]:
    """Return the scores in another order, each at most `by` positions from its own."""
    chance = random.Random(0)
    keyed = sorted(enumerate(scores), key=lambda item: item[0] + chance.uniform(0, by))
    return [score for _, score in keyed]


def meeting(count: int, crowd: int) -> list[Sentiment]:
    """Return `count` sentiments of `crowd` participants, in turn."""
    each = [smooth(make_scores(count // crowd, f"p{n}", crowd)) for n in range(crowd)]
    return [sentiment for at_once in zip(*each, strict=True) for sentiment in at_once]


def main() -> None:
    """Read the command line and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    scores = make_scores(options.scores)
    disordered = shuffled(scores)
    count = len(scores)
    variants = {
        "step": (count, lambda: smooth(scores)),
        "step, out of order": (count, lambda: smooth(disordered)),
        "step, stored state": (count, lambda: smooth_stored(scores)),
    }
    for crowd in (2, 10, 50):
        sentiments = meeting(options.scores, crowd)
        variants[f"session of {crowd}, stored state"] = (
            len(sentiments),
            partial(meet, sentiments),
        )
    show("Smoothing", "scores", compare(variants, options.rounds), options.json)
    print(f"  state after {count} scores: {smooth_stored(scores):,} bytes")


if __name__ == "__main__":
    main()
