"""Print the sentiment of a session as it is published: python follow.py localhost:9092 standup."""

import asyncio
import sys

import streamer


async def main(broker: str, session: str) -> None:
    async for s in streamer.subscribe(broker, session=session, start="earliest"):
        print(s.participant_id, s.end_ms // 1000, s.valence, s.label, s.text, flush=True)


asyncio.run(main(*sys.argv[1:]))
