"""`plan` and `bench`: what a number of participants needs, and what this machine takes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.app import app, screen
from streamer.cli.context import choose
from streamer.cli.options import BrokerOption, ConfigOption, JsonOption, SetOption
from streamer.cli.output import print_line
from streamer.errors import SourceError


class Talk(StrEnum):
    """Who has sound."""

    turns = "turns"
    all = "all"


TalkOption = Annotated[
    Talk, typer.Option(help="`turns`: one speaks at a time; `all`: everybody all the time.")
]


@app.command()
def plan(
    participants: Annotated[
        list[int], typer.Option(min=1, help="How many at a time; repeatable, a column each.")
    ],
    per_session: Annotated[
        int, typer.Option(min=1, help="How many of them are in one session.")
    ] = 10,
    talk: TalkOption = Talk.turns,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    json_: JsonOption = False,
) -> None:
    """Print what participants need: workers, partitions, brokers, network, disk.

    The figures follow from measured costs (streamer/capacity/unit_costs.py) and the settings.
    """
    from streamer.capacity.plan import Demand, lines
    from streamer.capacity.plan import plan as planned

    chosen = choose(config, set_, broker)
    plans = [
        planned(chosen.config, Demand(count, per_session, talk.value)) for count in participants
    ]
    as_json = [json.dumps(asdict(each)) for each in plans]
    for line in as_json if json_ else lines(chosen.config, plans):
        print_line(line)


@app.command()
def bench(
    recordings: Annotated[
        list[Path] | None,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="Recordings of one person each; by default the generated meeting's.",
            show_default=False,
        ),
    ] = None,
    participants: Annotated[int, typer.Option(min=1, help="How many at a time.")] = 2,
    talk: TalkOption = Talk.turns,
    seconds: Annotated[
        float, typer.Option(min=1.0, help="How long is measured, after the warm-up.")
    ] = 25.0,
    warm_up: Annotated[
        float, typer.Option(min=0.0, help="Seconds from the first record that do not count.")
    ] = 15.0,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure live participants through all stages on this machine, in about a minute."""
    from streamer.capacity.figures import advice, lines
    from streamer.capacity.live_load import Load, measure
    from streamer.demo import meeting

    chosen = choose(config, set_, broker)
    sources = with_sound_and_image(recordings) if recordings else list(meeting().values())
    own = ("--set", "metrics.enabled=false", "--set", "smoothing.publish=participant")
    load = Load(
        sources,
        participants,
        talk.value,
        seconds,
        warm_up,
        (*chosen.stage_arguments(chosen.config.kafka.broker), *own),
    )
    with screen.status(f"Measuring {participants} live participants for {seconds:g} s …"):
        figures = measure(load)
    late_ms = chosen.config.windows.allowed_lateness_s * 1000 + 1000
    sentence = advice(figures, os.cpu_count() or 1, late_ms)
    if json_:
        print_line(json.dumps({**asdict(figures), "advice": sentence}))
        return
    for line in lines(figures):
        print_line(line)
    print_line(sentence)


def with_sound_and_image(recordings: Sequence[Path]) -> list[Path]:
    """Return the recordings; raise SourceError if one cannot be a participant of a measurement."""
    from streamer.capture import ParticipantSpec, info

    for path in recordings:
        found = info(ParticipantSpec(path.stem, (str(path),)))
        if not (found.has_audio and found.has_video):
            raise SourceError(
                f"{path} has no {'image' if found.has_audio else 'sound'}; give recordings that "
                "have both."
            )
    return list(recordings)
