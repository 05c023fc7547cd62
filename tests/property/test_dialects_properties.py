"""What is written in a dialect is read back: who says which words, and when."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.speech.transcripts import parse_text

WORD = st.text(st.characters(categories=["Ll"]), min_size=1, max_size=9).map(lambda t: f"w{t}")
NAME = st.sampled_from(["Ana Berg", "Bo Li", "Cy de la Moe", "Ðana Øst", "Eva (Guest)", "李 明"])
Turn = tuple[str, list[str]]
TURNS = st.lists(st.tuples(NAME, st.lists(WORD, min_size=1, max_size=6)), min_size=1, max_size=8)


def clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def cues(turns: list[Turn], body: Callable[[str, str], str], comma: str = ".") -> str:
    return "".join(
        f"{clock(10 * n)}{comma}000 --> {clock(10 * n + 9)}{comma}000\n"
        f"{body(who, ' '.join(said))}\n\n"
        for n, (who, said) in enumerate(turns)
    )


def zoom(turns: list[Turn]) -> str:
    return "WEBVTT\n\n" + cues(turns, "{}: {}".format)


def teams(turns: list[Turn]) -> str:
    return "WEBVTT\n\n" + cues(turns, "<v {}>{}</v>".format)


def teams_metadata(turns: list[Turn]) -> str:
    return "WEBVTT\n" + cues(
        turns, lambda who, text: json.dumps({"speakerName": who, "spokenText": text})
    )


def teams_document(turns: list[Turn]) -> str:
    return "\n".join(
        f"0:{n * 10 // 60}:{n * 10 % 60}.0 --> 0:{(n * 10 + 9) // 60}:{(n * 10 + 9) % 60}.0\n"
        f"{who}\n{' '.join(said)}\n"
        for n, (who, said) in enumerate(turns)
    )


def srt(turns: list[Turn]) -> str:
    return cues(turns, "[{}]: {}".format, ",")


def whisperx(turns: list[Turn]) -> str:
    return json.dumps(
        {
            "segments": [
                {"start": 10 * n, "end": 10 * n + 9, "text": " ".join(said), "speaker": who}
                for n, (who, said) in enumerate(turns)
            ]
        }
    )


def meet_entries(turns: list[Turn]) -> str:
    return json.dumps(
        [
            {
                "participant": f"records/1/participants/{who}",
                "text": " ".join(said),
                "startTime": f"2026-01-05T{clock(36_000 + 10 * n)}Z",
                "endTime": f"2026-01-05T{clock(36_000 + 10 * n + 9)}Z",
            }
            for n, (who, said) in enumerate(turns)
        ]
    )


def zoom_captions(turns: list[Turn]) -> str:
    return "".join(
        f"[{who}] {clock(86_370 + 10 * n if n < 3 else 10 * n - 30)}\n{' '.join(said)}\n"
        for n, (who, said) in enumerate(turns)
    )


def otter(turns: list[Turn]) -> str:
    text = "\n".join(
        f"{who}  {clock(10 * n)}\n{' '.join(said)}\n" for n, (who, said) in enumerate(turns)
    )
    return f"{text}\nTranscribed by https://otter.ai\n"


def clock_first(turns: list[Turn]) -> str:
    return "\n".join(
        f"[{clock(10 * n)}] {who}: {' '.join(said)}" for n, (who, said) in enumerate(turns)
    )


def meet_document(turns: list[Turn]) -> str:
    people = ", ".join(dict.fromkeys(who for who, _ in turns))
    lines = [
        line
        for n, (who, said) in enumerate(turns)
        for line in (clock(10 * n), f"{who}: {' '.join(said)}")
    ]
    return "\n".join(["Attendees", people, "Transcript", *lines])


def seen(text: str) -> list[tuple[str | None, int, list[str]]]:
    return [
        (said.speaker, said.start_ns, [word.text for word in said.words])
        for said in parse_text(text).utterances
    ]


def written(turns: list[Turn]) -> list[tuple[str, int, list[str]]]:
    return [(who, 10 * n * 10**9, said) for n, (who, said) in enumerate(turns)]


@pytest.mark.parametrize(
    "write",
    [
        teams,
        teams_metadata,
        teams_document,
        whisperx,
        meet_entries,
        zoom_captions,
        otter,
        clock_first,
        meet_document,
    ],
)
@settings(max_examples=30)
@given(turns=TURNS)
def test_what_is_written_is_read_back(
    write: Callable[[list[Turn]], str], turns: list[Turn]
) -> None:
    assert seen(write(turns)) == written(turns)


@pytest.mark.parametrize("write", [zoom, srt])
@settings(max_examples=30)
@given(turns=TURNS)
def test_prefixes_are_read_back_once_a_name_occurs_again(
    write: Callable[[list[Turn]], str], turns: list[Turn]
) -> None:
    turns = [*turns, turns[0]]
    assert seen(write(turns)) == written(turns)


@settings(max_examples=30)
@given(turns=TURNS)
def test_times_of_speakers_are_read_back(turns: list[Turn]) -> None:
    text = "".join(
        f"SPEAKER talk 1 {10 * n}.000 9.000 <NA> <NA> {who.split()[0]} <NA> <NA>\n"
        for n, (who, _) in enumerate(turns)
    )
    assert seen(text) == [(who.split()[0], start_ns, []) for who, start_ns, _ in written(turns)]
