"""Whatever the bytes, subtitles are read without an exception and their times make sense."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from streamer.speech.transcripts import parse_subtitles, parse_text

ALPHABET = st.sampled_from(
    [
        *"--> 00:01.000 0:2:3,4 99:99.999 <00:00:01.500> <b> </b> WEBVTT NOTE STYLE".split(),
        *"1 word [noise] {\\an8} &amp; ♪ é 中文".split(),
        *(" ", "\n", "\n\n", "\r\n"),
    ]
)
WORD = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)
CUE = st.tuples(
    st.integers(0, 10**7), st.integers(1, 10**5), st.lists(WORD, min_size=1, max_size=8)
)


def clock(ms: int) -> str:
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


@given(st.lists(ALPHABET, max_size=60).map("".join))
def test_any_text_gives_words_in_order_with_length(text: str) -> None:
    words = parse_text(text).words
    assert all(0 <= word.start_ns < word.end_ns for word in words)
    assert list(words) == sorted(words, key=lambda word: word.start_ns)
    assert all(word.text and not any(map(str.isspace, word.text)) for word in words)


@given(st.lists(ALPHABET, max_size=60).map("".join))
def test_nothing_is_left_out_without_a_notice(text: str) -> None:
    parsed = parse_text(text)
    assert parsed.words or parsed.notices


@given(data=st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes, tmp_path_factory: object) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "any.srt"  # type: ignore[attr-defined]
    path.write_bytes(data)
    parsed = parse_subtitles(path)
    assert parsed.words or parsed.notices


@given(st.lists(CUE, max_size=10))
def test_every_word_lies_in_its_cue_and_cues_are_filled(
    cues: list[tuple[int, int, list[str]]],
) -> None:
    text = "WEBVTT\n\n" + "".join(
        f"{clock(start)} --> {clock(start + length)}\n{' '.join(f'c{n}x{w}' for w in words)}\n\n"
        for n, (start, length, words) in enumerate(cues)
    )
    heard = parse_text(text).words
    for n, (start, length, words) in enumerate(cues):
        mine = [word for word in heard if word.text.startswith(f"c{n}x")]
        assert [word.text.removeprefix(f"c{n}x") for word in mine] == words
        assert mine[0].start_ns == start * 10**6
        assert mine[-1].end_ns == (start + length) * 10**6
        assert all(a.end_ns == b.start_ns for a, b in pairwise(mine))
