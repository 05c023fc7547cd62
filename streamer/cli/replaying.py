"""`replay`: recordings through all stages, and old windows scored again.

Old windows are those of a recording or of a topic. What is made of them may show no more than the
old session did.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer import config as settings
from streamer.cli.app import app, screen
from streamer.cli.context import (
    Chosen,
    Recorder,
    beginning,
    checked_speed,
    choose,
    needs_running_broker,
    needs_stages,
    session_start,
)
from streamer.cli.options import (
    RECORDINGS,
    BrokerOption,
    ConfigOption,
    DirOption,
    FaceOption,
    FilesArgument,
    JsonOption,
    KeepMediaOption,
    KeepVoicesOption,
    KeepWindowsOption,
    NoStagesOption,
    PageOption,
    ParticipantOption,
    RecordedOption,
    RecordOption,
    ReplaySpeedOption,
    SessionIdOption,
    SessionOption,
    SetOption,
    Split,
    SplitOption,
    StartOption,
    TopicFromOption,
    TopicOption,
    TopicToOption,
    TranscriptOffsetOption,
    TranscriptOption,
    VoiceConsentOption,
    VoiceOption,
)
from streamer.cli.play import play, run_pipeline
from streamer.cli.voices import VoiceOptions
from streamer.config import Config, to_ns
from streamer.errors import ConfigError
from streamer.notices import PROCESS
from streamer.policy import Policy, own_policy, policy_of, stricter
from streamer.session_ids import name_of

if TYPE_CHECKING:
    from streamer.session.recordings import Naming, People

LONGEST_OFFSET_S = 24 * 3600.0


@app.command()
def replay(
    files: FilesArgument = None,
    participant: ParticipantOption = None,
    session: SessionOption = None,
    session_id: SessionIdOption = None,
    speed: ReplaySpeedOption = 1.0,
    start: StartOption = None,
    split: SplitOption = Split.transcript,
    voice: VoiceOption = None,
    voice_consent: VoiceConsentOption = None,
    keep_voices: KeepVoicesOption = None,
    transcript: TranscriptOption = None,
    transcript_offset: TranscriptOffsetOption = 0.0,
    face: FaceOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    no_stages: NoStagesOption = False,
    record: RecordOption = None,
    record_windows: KeepWindowsOption = False,
    record_media: KeepMediaOption = False,
    recorded: RecordedOption = None,
    folder: DirOption = RECORDINGS,
    topic: TopicOption = None,
    from_: TopicFromOption = "beginning",
    to: TopicToOption = None,
    page: PageOption = False,
    json_: JsonOption = False,
) -> None:
    """Replay recordings through the same stages as a live session; the space bar pauses.

    With --recorded or --topic, old windows are scored again, beside the old result: choose the
    model with --set inference.checkpoint=…
    """
    from streamer.capture import parse_participant
    from streamer.session.recordings import Naming

    chosen = choose(config, set_, broker)
    if topic is not None and no_stages:
        raise ConfigError("--topic scores on a broker of its own: leave --no-stages out.")
    needs_stages(chosen.config, no_stages)
    recorder = Recorder(record, record_windows, record_media)
    if not abs(transcript_offset) <= LONGEST_OFFSET_S:
        raise ConfigError("--transcript-offset is a number of seconds, at most a day.")
    faces = tuple(face_of(text) for text in face or [])
    naming = Naming(split.value, transcript, to_ns(transcript_offset), faces)
    chosen, known = VoiceOptions(voice or [], voice_consent, keep_voices).known(chosen, split)
    people = _people(files or [], naming, chosen.config, known)
    for notice in people.notices:
        PROCESS.give(notice)
    specs = [*people.specs, *map(parse_participant, participant or [])]
    if recorded is None and topic is None:
        play(
            chosen,
            specs,
            session=session or (people.session if session_id is None else None),
            session_id=session_id,
            speed=speed,
            start=session_start(start),
            as_json=json_,
            start_stages=not no_stages,
            title="Replay",
            page=page,
            recorder=recorder,
        )
        return
    if specs or start is not None:
        raise ConfigError("Give media files, or --recorded or --topic, not both.")
    with tempfile.TemporaryDirectory(prefix="streamer-") as spool:
        if topic is not None:
            end = None if to is None else beginning(to, "--to")
            folder, chosen = Path(spool), windows_of(chosen, topic, from_, end, Path(spool))
        new = (session, session_id)
        again(chosen, folder, recorded, new, speed, not no_stages, recorder, json_)


def face_of(text: str) -> tuple[str, str]:
    """Return the participant and the place of `Ana Berg=left`."""
    name, equals, place = text.rpartition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--face takes a name and a place, as in 'Ana Berg=left', not {text!r}.")
    return name.strip(), place.strip()


def _people(files: list[str], naming: Naming, config: Config, known: Mapping[str, Any]) -> People:
    """Return the participants of recordings; telling them apart, show how far it is."""
    from streamer.session.recordings import people_of

    if naming.split != "speakers" and not config.faces.by_mouth:
        return people_of(files, naming)
    from streamer.session.diarized import listening
    from streamer.session.faces_by_mouth import watching

    with screen.status("Reading the recording …") as status:

        def progress(does: str) -> Callable[[float], None]:
            return lambda seconds: status.update(f"{does}: {seconds:.0f} s …")

        listen = listening(config, progress("Telling the speakers apart"), known)
        return people_of(files, naming, listen, watching(config, progress("Watching faces")))


def windows_of(chosen: Chosen, topic: str, start: str, end: Any, spool: Path) -> Chosen:
    """Copy a topic's windows into `spool`; return the settings to score them with.

    These are of an embedded broker: on the topic's own one, the workers that are at work there
    would take the windows too.
    """
    from streamer.session import rescore

    needs_running_broker(chosen.config, "replay --topic")
    prefix = topic.removesuffix(".windows.v1")
    first = beginning(start)
    if prefix == topic or first == "latest" or isinstance(end, str):
        raise ConfigError(
            "--topic takes the name of a windows topic, as sentiment.windows.v1, --from beginning "
            "or a time, --to a time."
        )
    kafka = chosen.config.kafka.model_copy(update={"topic_prefix": prefix})
    source = chosen.config.model_copy(update={"kafka": kafka})
    with screen.status(f"Reading {topic} …"):
        asyncio.run(rescore.gather(source, spool, first, end))
    overrides = (*chosen.overrides, "kafka.broker=embedded", "kafka.security.protocol=PLAINTEXT")
    return Chosen(settings.load(chosen.path, overrides), chosen.path, overrides)


def again(
    chosen: Chosen,
    folder: Path,
    recorded: str | None,
    named: tuple[str | None, str | None],
    speed: float,
    start_stages: bool,
    recorder: Recorder,
    as_json: bool,
) -> None:
    """Score a session's windows again and print the old result beside the new one.

    `named` holds the new session's name and id, as given.
    """
    from streamer.capture.pace import Pace
    from streamer.cli.comparing import comparison
    from streamer.recording.comparison import compare as compared
    from streamer.recording.reader import Recordings
    from streamer.recording.recorded import recording_of
    from streamer.session import rescore
    from streamer.session.plan import session_id_of

    recordings = Recordings(folder)
    old = rescore.choose_session(recordings, recorded)
    before = recordings.read(old)
    if before.session is None:
        raise ConfigError(
            f"The session {old!r} has no record of its own, so nothing may be made of it again."
        )
    chosen = narrowed(chosen, policy_of(before.session, chosen.config))
    new = session_id_of(*named, otherwise=f"{name_of(old)}-again")
    pace = Pace(checked_speed(speed))
    seen: list[Any] = []

    def source(config: Config) -> Any:
        return lambda publisher, in_flight: rescore.Rescoring(
            recordings, old, new, own_policy(config), pace, publisher, in_flight
        )

    run_pipeline(
        chosen,
        (new,),
        source,
        pace=pace,
        as_json=as_json,
        title="Again",
        start_stages=start_stages,
        recorder=recorder,
        also=seen.append,
    )
    if before.sentiments and seen:
        screen.print(comparison(compared(before, recording_of(new, seen))))


def narrowed(chosen: Chosen, policy: Policy) -> Chosen:
    """Return the settings, none of which allows more than `policy`."""
    both = stricter(own_policy(chosen.config), policy)
    overrides = (
        *chosen.overrides,
        f"smoothing.publish={both.publish}",
        f"smoothing.session_min_participants={both.min_participants}",
        f"session.modalities={json.dumps(both.modalities)}",
    )
    return Chosen(settings.load(chosen.path, overrides), chosen.path, overrides)
