"""The windows of people at one microphone: cut by who speaks when, and again when that changes.

What enters: the sound, its words, who speaks when as it is decided, and who spoke in the last while
as it is judged later. What leaves: windows of each person, and those that changed once more, in a
higher revision: sound, words and what was spoken move from one person to another. A moment can
change hands while at most REACH_WINDOWS windows that end after it are out; the sound, the labels
and the words of that time are all that is kept. Pure; knows no thread, device or network.

    speaker-1   0 1 2 3 4 5 6   2' 3' 4' 5' 6'   7 …    ' in the next revision: second 2 was
    speaker-2         3 4 5 6      3' 4' 5' 6'   7 …      speaker-2's; later values follow from it
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from streamer.config import WindowsConfig
from streamer.records import AudioChunk, Spoken, Window, Word
from streamer.session.mixed_sound import MixedSound
from streamer.spans import SpeakerTurn, within
from streamer.speakers.labels import Labels
from streamer.speech.attribution import Everybody
from streamer.spoken import Untold
from streamer.windows import Windower

REACH_WINDOWS = 30
"""The newest windows of each person that may be given out again."""

MakeWindower = Callable[[str], Windower]
"""Makes a windower of a person that does not revise windows."""
Content = tuple[object, ...]


@dataclass(slots=True, eq=False)
class _Said:
    """A word, whose it is, and the window that carries it in `spoken`."""

    word: Word
    read: bool
    speaker: str | None = None
    window_index: int = 0


@dataclass(slots=True, eq=False)
class _Person:
    """One person's windows.

    Attributes:
        first: index of the first window.
        next: index of the window that goes out next.
        settled: lower windows are not given out again because of late words.
        again_before: lower windows are, once their words are complete.
        changed: the lowest window whose sound or words have changed hands; None for none.
        out: revision and content of the windows that may be given out again, by index.
    """

    name: str
    begin_ns: int
    first: int
    next: int
    settled: int = 0
    again_before: int = 0
    changed: int | None = None
    out: dict[int, tuple[int, Content]] = field(default_factory=dict)


class PeopleWindows:
    """Everybody's windows; without `revises` each goes out once, when its words are complete.

    `counters` has `windows`, `late_words` (which came after their windows) and `words_of_nobody`
    (which no speaker was near).
    """

    def __init__(self, make: MakeWindower, windows: WindowsConfig, *, revises: bool) -> None:
        """Begin with nobody; `make` gives windowers with the settings `windows`."""
        self.counters: Counter[str] = Counter()
        self._make = make
        self._settings = windows
        self._revises = revises
        self._sound = MixedSound()
        self._labels = Labels()
        self._people: dict[str, _Person] = {}
        self._said: list[_Said] = []
        self._open: list[_Said] = []
        self._decided_ns = self._words_ns = self._complete_ns = 0

    @property
    def begins_ns(self) -> dict[str, int]:
        """When each person first speaks, in the order in which they were noticed."""
        return {person.name: person.begin_ns for person in self._people.values()}

    @property
    def since_ns(self) -> int:
        """Who spoke from this time on may still change."""
        return max(0, self._decided_ns // self._hop_ns - REACH_WINDOWS) * self._hop_ns

    def push(self, chunk: AudioChunk) -> None:
        """Take the next sound of the microphone."""
        self._sound.push(chunk)

    def hear(self, words: Iterable[Word], unread: Iterable[Word], watermark_ns: int) -> None:
        """Take words of the microphone; no later one starts before `watermark_ns`.

        The model does not read the `unread` ones. A word gets its speaker once it is decided who
        speaks during it.
        """
        self._open += [_Said(word, read=True) for word in words]
        self._open += [_Said(word, read=False) for word in unread]
        self._words_ns = max(self._words_ns, watermark_ns)
        self._attribute(self._decided_ns)

    def decide(self, turns: Sequence[SpeakerTurn], until_ns: int) -> None:
        """Take who speaks up to `until_ns`, behind what was decided before."""
        self._labels.decide(turns)
        self._decided_ns = max(self._decided_ns, until_ns)
        for turn in turns:
            self._welcome(turn.speaker, turn.start_ns)
        self._attribute(self._decided_ns)

    def judge(self, turns: Sequence[SpeakerTurn]) -> None:
        """Take who has spoken since `since_ns`, by what is known now."""
        if not self._revises:
            return
        since_ns = self.since_ns
        changed = self._labels.change(turns, since_ns, self._decided_ns)
        moved = self._move_words(since_ns, changed)
        for speaker, from_ns in changed.items():
            person = self._welcome(speaker, from_ns)
            index = from_ns // self._hop_ns
            person.changed = index if person.changed is None else min(person.changed, index)
        for said in moved:
            self._carry(said)

    def windows(self, *, final: bool = False) -> Iterator[Window]:
        """Yield the windows that are due, each person's in order; with `final` all that is left."""
        if final:
            self._attribute(sys.maxsize)
        for person in self._people.values():
            yield from self._due(person, final=final)
        self._forget(sys.maxsize if final else self._oldest_ns)

    @property
    def _hop_ns(self) -> int:
        return self._settings.hop_ns

    # --- whose the words are

    def _welcome(self, speaker: str, begin_ns: int) -> _Person:
        """Return the person; one who was not there before begins with the window of that time."""
        if speaker not in self._people:
            first = begin_ns // self._hop_ns
            self._people[speaker] = _Person(speaker, begin_ns, first, first)
        return self._people[speaker]

    def _attribute(self, until_ns: int) -> None:
        """Give the words that end by a time their speaker; so the words before become complete."""
        ready = [said for said in self._open if said.word.end_ns <= until_ns]
        everybody = Everybody(self._labels.turns) if ready else Everybody(())
        for said in ready:
            self.counters["late_words"] += said.word.start_ns < self._complete_ns
            said.speaker = everybody.speaker_at(said.word.start_ns, said.word.end_ns)
            self._carry(said)
        self._said += ready
        self._open = [said for said in self._open if said.word.end_ns > until_ns]
        decided_ns = self._decided_ns
        known_ns = min([self._words_ns, decided_ns, *(s.word.start_ns for s in self._open)])
        late_ns = decided_ns - self._settings.allowed_lateness_ns
        self._complete_ns = max(self._complete_ns, known_ns, late_ns)

    def _move_words(self, since_ns: int, changed: dict[str, int]) -> list[_Said]:
        """Return the words that have another speaker now; lower `changed` to where they begin."""
        everybody = Everybody(self._labels.turns)
        moved = []
        for said in self._said:
            start_ns = said.word.start_ns
            if start_ns < since_ns or not changed:
                continue
            speaker = everybody.speaker_at(start_ns, said.word.end_ns)
            if speaker != said.speaker:
                for one in filter(None, (said.speaker, speaker)):
                    changed[one] = min(changed.get(one, start_ns), start_ns)
                said.speaker = speaker
                moved.append(said)
        return moved

    def _carry(self, said: _Said) -> None:
        """Choose the window that carries a word: its own, or the first that may still."""
        if said.speaker is not None:
            person = self._people[said.speaker]
            own = said.word.start_ns // self._hop_ns
            said.window_index = max(own, self._first_open(person))

    def _first_open(self, person: _Person) -> int:
        """The lowest window that is still to go out, or to go out again."""
        waiting = min(person.settled, person.next)
        changed = person.next if person.changed is None else person.changed
        return max(person.first, min(waiting, changed))

    # --- what goes out

    def _due(self, person: _Person, *, final: bool) -> Iterator[Window]:
        complete_ns = sys.maxsize if final else self._complete_ns
        first, changed = self._first_due(person, complete_ns), person.changed
        end_ns = self._decided_ns
        if not (self._revises or final):
            end_ns = min(end_ns, complete_ns)
        if first == person.next and not final and (first + 1) * self._hop_ns >= end_ns:
            return
        known_next, person.changed = person.next, None
        for window in self._cut(person, first, end_ns, final=final):
            index, content = window.window_index, _content(window)
            revision, before = person.out.get(index, (-1, content))
            if index < known_next:
                relabelled = changed is not None and index >= changed
                settles = person.settled <= index and window.end_ns <= complete_ns
                differs = content != before
                if settles and differs:
                    person.again_before = known_next
                if not (relabelled or (settles and (differs or index < person.again_before))):
                    continue
            person.out[index] = revision + 1, content
            person.next = max(person.next, index + 1)
            self.counters["windows"] += revision < 0
            yield msgspec.structs.replace(window, revision=revision + 1)
        person.settled = max(person.settled, complete_ns // self._hop_ns)
        person.out = dict(list(person.out.items())[-REACH_WINDOWS:])

    def _first_due(self, person: _Person, complete_ns: int) -> int:
        """The lowest window to look at: the next one, or one that may have to go out again."""
        due = [
            index
            for index in person.out
            if index >= person.settled and (index + 1) * self._hop_ns <= complete_ns
        ]
        if person.changed is not None:
            due += [index for index in person.out if index >= person.changed]
        return min([person.next, *due])

    def _cut(self, person: _Person, first: int, end_ns: int, *, final: bool) -> Iterator[Window]:
        """Yield a person's windows from `first` on, as they are by what is known now."""
        windower = self._make(person.name)
        windower.join(first * self._hop_ns)
        start_ns = max(0, (first + 1) * self._hop_ns - self._settings.length_ns)
        own = within(self._labels.of(person.name), start_ns, end_ns)
        said = [each for each in self._said if each.speaker == person.name]
        read, unread = ([s.word for s in said if s.read is kind] for kind in (True, False))
        windower.push_words(read, end_ns, unread=unread)
        windower.push_speech(own, end_ns)
        windows = windower.push_audio(self._sound.only(own, start_ns, end_ns))
        windows += windower.advance(end_ns)
        if final:
            windows += windower.finish()
        everybody = Everybody(self._labels.turns)
        for window in windows:
            yield msgspec.structs.replace(
                window,
                skipped=first if window.window_index == person.first else 0,
                spoken=self._spoken(person, window, said),
                identity_confidence=everybody.certainty(
                    person.name, window.start_ns, window.end_ns
                ),
            )

    def _spoken(self, person: _Person, window: Window, said: Sequence[_Said]) -> Spoken | None:
        """Return what a window carries: the words given to it, and the speech of its last hop."""
        if window.spoken is None:
            return None
        index = window.window_index
        begin_ns = 0 if index == person.first else index * self._hop_ns
        told = Untold(voice=window.audio is not None, words=True)
        told.add_words([each.word for each in said if each.window_index == index])
        told.add_speech(within(self._labels.of(person.name), begin_ns, window.end_ns))
        return told.take(window.end_ns)

    # --- what is forgotten

    @property
    def _oldest_ns(self) -> int:
        """Start of the oldest window that may go out again."""
        return max(0, self.since_ns + self._hop_ns - self._settings.length_ns)

    def _forget(self, oldest_ns: int) -> None:
        """Keep what ends later, and the words that are context."""
        self._sound.forget(oldest_ns)
        self._labels.forget(oldest_ns)
        context: Counter[str | None] = Counter()
        kept = []
        for said in reversed(self._said):
            if said.word.end_ns <= oldest_ns:
                context[said.speaker] += 1
                if said.speaker is None or context[said.speaker] > self._settings.context_words:
                    self.counters["words_of_nobody"] += said.speaker is None
                    continue
            kept.append(said)
        self._said = kept[::-1]


def _content(window: Window) -> Content:
    """What must differ for a window to go out again because of late words."""
    presence = window.presence
    sounds = presence.audio > 0, presence.text > 0
    return window.words, window.context, window.spoken, *sounds
