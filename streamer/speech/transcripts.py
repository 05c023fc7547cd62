"""Transcripts: a file of any dialect, or a text stream inside a recording → words and speakers.

Real files are forgiven: byte-order marks, CRLF, Latin-1, tags, sound descriptions, speaker names,
roll-up captions that repeat their last line, overlapping cues, a missing end. A cue that cannot be
understood is left out and said so in a notice. Times are those of the recording, from its start;
nothing here knows sound, sessions or windows.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import msgspec

from streamer.errors import SourceError
from streamer.records import NS_PER_MS, NS_PER_S, Word
from streamer.speech.cues import INLINE_CLOCK, Cue, nanoseconds
from streamer.speech.dialects import dialect_of
from streamer.speech.languages import language_code, of_file_name
from streamer.speech.speaker_names import by_speaker

MAX_FILE_BYTES = 32 * 1024 * 1024
NOTICES_IN_FULL = 5
NS_PER_CHARACTER = 65 * NS_PER_MS
"""Speaking time guessed per character where a cue has no end (about 15 characters a second)."""
ROLL_UP_NS = 50 * NS_PER_MS
"""How far apart two cues of a roll-up caption lie, and how long its repeats last, at most."""

_LANGUAGE = re.compile(r"^Language:\s*([A-Za-z-]+)", re.MULTILINE)
_RUBY = re.compile(r"<rt\b.*?</rt>", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")
_DESCRIPTION = re.compile(r"\[[^\[\]]*\]|♪|♫|#(?=\s)")
_WHOLE_LINE_DESCRIPTION = re.compile(r"^\s*\([^()]*\)\s*$")
_LINE_START = re.compile(r"^\s*(?:>>+|[-–—]\s)?\s*(?:[A-Z][A-Z0-9 .'\-]{1,30}:(?=\s|$))?\s*")
_BIDI = dict.fromkeys(map(ord, "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\ufeff"))


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one person says without a break.

    Attributes:
        speaker: the name; None where the transcript does not say who speaks.
        start_ns: nanoseconds from the recording's start.
        end_ns: as `start_ns`, later than it.
        words: by start time; empty where the transcript says only who speaks when.
    """

    speaker: str | None
    start_ns: int
    end_ns: int
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Subtitles:
    """What a subtitle file or stream says.

    Attributes:
        words: by start time, in nanoseconds from the recording's start, `[start_ns, end_ns)`.
        notices: what was left out or guessed, each a sentence.
        language: the two-letter code that the file's name, its header or the stream states; empty
            where none does.
        utterances: who says the words, by start time.
    """

    words: tuple[Word, ...]
    notices: tuple[str, ...] = ()
    language: str = ""
    utterances: tuple[Utterance, ...] = ()

    @property
    def speakers(self) -> tuple[str, ...]:
        """The names, in the order in which they first speak."""
        return tuple(dict.fromkeys(said.speaker for said in self.utterances if said.speaker))

    def of(self, speaker: str) -> Subtitles:
        """What one person says, without the notices, which concern everybody."""
        utterances = tuple(said for said in self.utterances if said.speaker == speaker)
        return Subtitles(_words(utterances), (), self.language, utterances)

    def later(self, by_ns: int) -> Subtitles:
        """Everything `by_ns` later, or earlier; what then ends before the recording is left out."""
        if not by_ns:
            return self
        utterances = tuple(
            replace(
                said,
                start_ns=max(0, said.start_ns + by_ns),
                end_ns=said.end_ns + by_ns,
                words=tuple(
                    msgspec.structs.replace(
                        word, start_ns=max(0, word.start_ns + by_ns), end_ns=word.end_ns + by_ns
                    )
                    for word in said.words
                    if word.end_ns + by_ns > 0
                ),
            )
            for said in self.utterances
            if said.end_ns + by_ns > 0
        )
        return Subtitles(_words(utterances), self.notices, self.language, utterances)


def parse_subtitles(path: Path | str) -> Subtitles:
    """Read a transcript, in whichever dialect it is by its content.

    A cue's words get the times that WebVTT gives them, else share the cue by their length.

    Raises:
        SourceError: the file is missing, unreadable or absurdly large.
    """
    path = Path(path)
    try:
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise SourceError(
                f"The subtitle file {path} has {size:,} bytes, more than the "
                f"{MAX_FILE_BYTES:,} that subtitles may have; remove it or name another one."
            )
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"The subtitle file {path} cannot be read: {error.strerror}; repair or remove it."
        ) from None
    return parse_text(_decode(data), name=path.name)


def parse_text(text: str, name: str = "subtitles") -> Subtitles:
    """Words and speakers of a transcript's text; `name` stands in the notices."""
    broken: list[str] = []
    utterances = _utterances(dialect_of(text).read(text, name, broken))
    words = _words(utterances)
    if not utterances and not broken:
        broken.append(f"{name}: there is no cue with words in it")
    header = text.split("\n\n", 1)[0] if text.startswith("WEBVTT") else ""
    stated = _LANGUAGE.search(header)
    language = language_code(stated[1]) if stated else of_file_name(name)
    return Subtitles(words, _bounded(broken, name), language, utterances)


def embedded_subtitles(
    media: Path | str, stream_index: int, origin_ns: int | None = None
) -> Subtitles:
    """Read a text subtitle stream inside a media file, without decoding sound or pictures.

    Args:
        media: what PyAV opens.
        stream_index: the stream's index in the container.
        origin_ns: container time that is the recording's zero; None for the container's start.

    Raises:
        SourceError: the file cannot be opened, or the stream has no text (pictures of subtitles).
    """
    notices: list[str] = []
    cues: list[Cue] = []
    language = ""
    try:
        with av.open(str(media)) as container:
            stream = next((s for s in container.streams if s.index == stream_index), None)
            if stream is None or stream.type != "subtitle":
                raise SourceError(f"{media} has no subtitle stream {stream_index}; name another.")
            language = language_code(stream.metadata.get("language", ""))
            if origin_ns is None:
                origin_ns = (container.start_time or 0) * 1_000
            cues.extend(_embedded_cues(container, stream, origin_ns, notices))
    except (av.error.FFmpegError, OSError) as error:
        if not cues:
            raise SourceError(
                f"The subtitle stream {stream_index} of {media} cannot be read: "
                f'{error.strerror}; set asr.engine to another one than "subtitles".'
            ) from None
        notices.append(f"{media}: its subtitles break off: {error.strerror}")
    utterances = _utterances(by_speaker(cues))
    bounded = _bounded(notices, Path(media).name)
    return Subtitles(_words(utterances), bounded, language, utterances)


def _embedded_cues(
    container: av.container.InputContainer,
    stream: av.subtitles.stream.SubtitleStream,
    origin_ns: int,
    notices: list[str],
) -> Iterator[Cue]:
    for packet in container.demux(stream):
        if packet.pts is None or packet.time_base is None:
            continue
        start_ns = int(packet.pts * packet.time_base * NS_PER_S) - origin_ns
        length_ns = int((packet.duration or 0) * packet.time_base * NS_PER_S)
        try:
            shown = packet.decode()
        except av.error.FFmpegError:
            notices.append(f"the subtitle at {start_ns / NS_PER_S:.2f} s is broken and left out")
            continue
        text = "\n".join(_event_text(item) for item in shown)
        if text.strip() and start_ns + length_ns > 0:
            end_ns = start_ns + length_ns if length_ns > 0 else None
            yield Cue(max(0, start_ns), end_ns, tuple(text.split("\n")))


def _event_text(item: av.subtitles.subtitle.Subtitle) -> str:
    """Text of a decoded subtitle: FFmpeg turns every text format into an ASS event line."""
    if item.type == b"text":
        return bytes(item.text).decode("utf-8", "replace")
    if item.type == b"ass":
        event = bytes(item.ass).decode("utf-8", "replace")
        return event.split(",", 8)[-1].replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
    return ""


def _decode(data: bytes) -> str:
    """Text of a file: UTF-8 or UTF-16 by its mark, UTF-8 if it can be, else Western European."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _words(utterances: Iterable[Utterance]) -> tuple[Word, ...]:
    words = [word for utterance in utterances for word in utterance.words]
    return tuple(sorted(words, key=lambda word: (word.start_ns, word.end_ns)))


def _utterances(cues: Iterable[Cue]) -> tuple[Utterance, ...]:
    """The cues by time as utterances, with roll-up repeats and cues without a word taken out."""
    ordered = sorted(cues, key=lambda cue: cue.start_ns)
    utterances: list[Utterance] = []
    before: tuple[str, ...] = ()
    before_end_ns = -1
    for index, cue in enumerate(ordered):
        end_ns = cue.end_ns
        if end_ns is None:
            end_ns = cue.start_ns + max(1, len(" ".join(cue.lines))) * NS_PER_CHARACTER
            later = (c.start_ns for c in ordered[index + 1 :] if c.start_ns > cue.start_ns)
            end_ns = min(end_ns, next(later, end_ns))
        lines = tuple(_line(line) for line in cue.lines)
        plain = tuple(text for line in lines if (text := INLINE_CLOCK.sub("", line).strip()))
        repeated = 0
        if cue.start_ns <= before_end_ns + ROLL_UP_NS and not cue.speaker:
            repeated = _repeated(before, plain, end_ns - cue.start_ns)
        new_lines = [line for line in lines if INLINE_CLOCK.sub("", line).strip()][repeated:]
        words = cue.words or tuple(_spread(cue.start_ns, end_ns, "\n".join(new_lines)))
        if words or (cue.speaker and not cue.lines):
            utterances.append(Utterance(cue.speaker or None, cue.start_ns, end_ns, words))
        before, before_end_ns = plain or before, end_ns
    return tuple(utterances)


def _repeated(before: tuple[str, ...], lines: tuple[str, ...], length_ns: int) -> int:
    """How many of a cue's first lines only repeat the last ones of the cue before it.

    A cue that is nothing but a repeat counts as spoken again unless it is a roll-up's flash.
    """
    for count in range(min(len(before), len(lines)), 0, -1):
        if before[-count:] == lines[:count]:
            return count if count < len(lines) or length_ns <= ROLL_UP_NS else 0
    return 0


def _line(line: str) -> str:
    """A cue's line without tags (word times stay), sound descriptions and speaker names."""
    line = _TAG.sub("", _RUBY.sub("", line))
    line = html.unescape(line).translate(_BIDI)
    line = _DESCRIPTION.sub(" ", line)
    line = _WHOLE_LINE_DESCRIPTION.sub("", line)
    return _LINE_START.sub("", line, count=1)


def _spread(start_ns: int, end_ns: int, text: str) -> Iterator[Word]:
    """Words of one cue over `[start_ns, end_ns)`, between the word times that the text has."""
    pieces: list[tuple[int, str]] = []
    at, last = start_ns, 0
    for clock in INLINE_CLOCK.finditer(text):
        pieces.append((at, text[last : clock.start()]))
        time_ns = nanoseconds(clock.groups())
        if time_ns is not None:
            at = min(max(at, time_ns), end_ns)
        last = clock.end()
    pieces.append((at, text[last:]))
    ends = [piece[0] for piece in pieces[1:]] + [end_ns]
    for (piece_ns, piece), piece_end_ns in zip(pieces, ends, strict=True):
        tokens = [token for token in piece.split() if any(map(str.isalnum, token))]
        length = sum(len(token) + 1 for token in tokens)
        done = 0
        for token in tokens:
            from_ns = piece_ns + (piece_end_ns - piece_ns) * done // length
            done += len(token) + 1
            to_ns = piece_ns + (piece_end_ns - piece_ns) * done // length
            if to_ns > from_ns:
                yield Word(token, from_ns, to_ns)


def _bounded(notices: list[str], name: str) -> tuple[str, ...]:
    if len(notices) <= NOTICES_IN_FULL:
        return tuple(f"{notice}." for notice in notices)
    rest = len(notices) - NOTICES_IN_FULL
    return (*(f"{n}." for n in notices[:NOTICES_IN_FULL]), f"{name}: {rest} more of this kind.")
