"""Subtitle files as they are found in the world."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from streamer.errors import SourceError
from streamer.speech import transcripts as subtitles
from streamer.speech.transcripts import embedded_subtitles, parse_subtitles, parse_text

VTT = """WEBVTT - a title
Kind: captions

STYLE
::cue { color: red }

NOTE this is not
spoken

intro
00:01.000 --> 00:03.000 align:start position:0%
Hello <b>big</b> world

2
01:00:04,000 --> 01:00:05,000
again
"""


def heard(text: str) -> list[tuple[str, int, int]]:
    return [(w.text, w.start_ns // 10**6, w.end_ns // 10**6) for w in parse_text(text).words]


def said(text: str) -> str:
    return " ".join(word.text for word in parse_text(text).words)


def cue(body: str, times: str = "00:01.000 --> 00:02.000") -> str:
    return f"WEBVTT\n\n{times}\n{body}\n"


def test_words_share_their_cue_by_length() -> None:
    # 17 characters with one space after each word: 6 + 4 + 6 = 16 sixteenths of 2 s
    assert heard(VTT) == [
        ("Hello", 1000, 1750),
        ("big", 1750, 2250),
        ("world", 2250, 3000),
        ("again", 3_604_000, 3_605_000),
    ]
    assert parse_text(VTT).notices == ()


def test_word_times_of_webvtt_are_kept() -> None:
    text = cue("<v Ana>one<00:01.400><c> two</c> <00:01:01.700>three", "00:01.000 --> 01:02.000")
    assert heard(text) == [
        ("one", 1000, 1400),
        ("two", 1400, 61_700),
        ("three", 61_700, 62_000),
    ]


def test_srt_with_and_without_blank_lines_between_cues() -> None:
    srt = "1\n00:00:01,000 --> 00:00:02,000\none\n2\n00:00:02,000 --> 00:00:03,500\ntwo\n\n\n"
    assert heard(srt) == [("one", 1000, 2000), ("two", 2000, 3500)]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"], ids=lambda name: name
)
def test_encodings_and_newlines(tmp_path: Path, encoding: str, newline: str) -> None:
    path = tmp_path / "a.srt"
    text = "1\n00:00:01,000 --> 00:00:02,000\nGrüße, café\n".replace("\n", newline)
    path.write_bytes(text.encode(encoding))
    assert [word.text for word in parse_subtitles(path).words] == ["Grüße,", "café"]


def test_bytes_that_no_western_encoding_has_are_still_read(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_bytes(b"00:01.000 --> 00:02.000\ncaf\xe9 \x81 yes\n")
    assert [word.text for word in parse_subtitles(path).words] == ["café", "yes"]


@pytest.mark.parametrize(
    ("body", "spoken"),
    [
        ('<i>so</i> <font color="#fff">good</font>', "so good"),
        ("{\\an8}up here", "up here"),
        ("<ruby>base<rt>reading</rt></ruby>", "base"),
        ("this &amp; that&nbsp;too &lt;3", "this that too <3"),
        ("[applause] thank you [MUSIC]", "thank you"),
        ("(sighs)\nfine", "fine"),
        ("I am (really) fine", "I am (really) fine"),
        ("♪ la la ♪", "la la"),
        (">> hello\n- hi\n– ho", "hello hi ho"),
        ("DR. SMITH: good day", "good day"),
        ("Note: keep this", "Note: keep this"),
        ("\u200ehello\u200b", "hello"),
        ("wait -- what", "wait what"),
        ("a < b", "a b"),
        ("[music]", ""),
    ],
)
def test_only_what_is_spoken_is_kept(body: str, spoken: str) -> None:
    assert said(cue(body)) == spoken


def test_overlapping_cues_are_both_heard_in_order_of_time() -> None:
    text = (
        "00:02.000 --> 00:03.000\nlater words\n\n"
        "00:01.000 --> 00:05.000\none long cue\n\n"
        "00:02.500 --> 00:02.900\nover\n"
    )
    assert heard(text) == [
        ("one", 1000, 2230),
        ("later", 2000, 2500),
        ("long", 2230, 3769),
        ("over", 2500, 2900),
        ("words", 2500, 3000),
        ("cue", 3769, 5000),
    ]


def test_roll_up_captions_say_each_line_once() -> None:
    text = """WEBVTT

00:00:00.000 --> 00:00:02.000
 
first<00:00:01.000><c> line</c>

00:00:02.000 --> 00:00:02.010
first line
 

00:00:02.010 --> 00:00:04.000
first line
second<00:00:03.000><c> one</c>
"""
    assert heard(text) == [
        ("first", 0, 1000),
        ("line", 1000, 2000),
        ("second", 2010, 3000),
        ("one", 3000, 4000),
    ]


def test_a_word_said_twice_is_heard_twice() -> None:
    text = "00:01.000 --> 00:02.000\nNo.\n\n00:02.000 --> 00:03.000\nNo.\n"
    assert heard(text) == [("No.", 1000, 2000), ("No.", 2000, 3000)]


def test_a_missing_end_is_guessed_and_said() -> None:
    text = "00:01.000 -->\nhello you\n\n00:01.300 --> 00:02.000\nnext\n"
    assert heard(text)[1][2] == 1300  # not beyond the next cue
    assert parse_text(text).notices == ("subtitles, line 1: the cue has no end, it was guessed.",)
    alone = heard("00:01.000 -->\nhello you\n")
    assert alone[-1] == ("you", 1000 + 9 * 65 * 6 // 10, 1000 + 9 * 65)


@pytest.mark.parametrize(
    ("times", "why"),
    [
        ("banana --> 00:02.000", "the cue's times are not times"),
        ("00:01.000 --> banana", "the cue's times are not times"),
        ("00:71.000 --> 01:12.000", "the cue's times are not times"),
        ("00:01.000 --> 00:99.000", "the cue's times are not times"),
        ("00:03.000 --> 00:02.000", "the cue ends before it starts"),
        ("00:02.000 --> 00:02.000", "the cue ends before it starts"),
    ],
)
def test_a_broken_cue_is_left_out_and_said(times: str, why: str) -> None:
    text = cue("lost", times) + "\n00:05.000 --> 00:06.000\nkept\n"
    assert said(text) == "kept"
    assert parse_text(text, "a.vtt").notices == (f"a.vtt, line 3: {why}.",)


def test_many_broken_cues_are_counted_not_listed() -> None:
    notices = parse_text("x --> y\nlost\n\n" * 100, "a.srt").notices
    assert len(notices) == 6
    assert notices[-1] == "a.srt: 95 more of this kind."


@pytest.mark.parametrize("text", ["", "WEBVTT\n", "not subtitles at all", cue("[music]")])
def test_a_file_without_words_is_said(text: str) -> None:
    assert parse_text(text, "a.vtt").notices == ("a.vtt: there is no cue with words in it.",)


def test_a_file_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match=r"nothing\.vtt cannot be read: No such file"):
        parse_subtitles(tmp_path / "nothing.vtt")
    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        parse_subtitles(tmp_path)
    monkeypatch.setattr(subtitles, "MAX_FILE_BYTES", 10)
    (tmp_path / "big.srt").write_text("x" * 11)
    with pytest.raises(SourceError, match="has 11 bytes, more than the 10"):
        parse_subtitles(tmp_path / "big.srt")


def recording_with(text: str, suffix: str, path: Path, start_s: int = 0) -> Path:
    """A Matroska file with four seconds of silence from `start_s` on, and the text inside it."""
    file = path.with_suffix(suffix)
    file.write_text(text)
    with av.open(str(file)) as source, av.open(str(path), "w") as out:
        sound = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        stream = out.add_stream_from_template(source.streams[0])
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 64_000), np.int16), "s16", "mono")
        frame.sample_rate, frame.pts = 16_000, start_s * 16_000
        out.mux(sound.encode(frame))
        for packet in source.demux():
            if packet.pts is not None:
                packet.stream = stream
                shift = int(start_s / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.pts + shift
                out.mux(packet)
    return path


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("1\n00:00:01,000 --> 00:00:02,000\nHello <i>there</i>\nyou\n", ".srt"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nHello <i>there</i>\nyou\n", ".vtt"),
    ],
)
@pytest.mark.parametrize("start_s", [0, 7])
def test_subtitles_inside_a_recording(tmp_path: Path, text: str, suffix: str, start_s: int) -> None:
    media = recording_with(text, suffix, tmp_path / "a.mkv", start_s)
    inside = embedded_subtitles(media, 1)
    assert [(w.text, w.start_ns // 10**6, w.end_ns // 10**6) for w in inside.words] == [
        ("Hello", 1000, 1375),
        ("there", 1375, 1750),
        ("you", 1750, 2000),
    ]
    assert inside.notices == ()


def test_a_stream_that_is_not_subtitles_is_one_sentence(tmp_path: Path) -> None:
    media = recording_with("1\n00:00:01,000 --> 00:00:02,000\nHi\n", ".srt", tmp_path / "a.mkv")
    for index in (0, 5):
        with pytest.raises(SourceError, match=f"has no subtitle stream {index}"):
            embedded_subtitles(media, index)
    with pytest.raises(SourceError, match=r"gone\.mkv cannot be read: No such file"):
        embedded_subtitles(tmp_path / "gone.mkv", 0)
