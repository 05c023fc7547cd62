"""Send a WAV file into a room: python join.py http://localhost:8720/#TOKEN talk.wav Ana."""

import asyncio
import struct
import sys
import wave

import aiohttp


async def main(link: str, path: str, name: str) -> None:
    address, token = link.split("/#")
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as client:
        async with client.get(f"{address}/api/terms") as response:
            terms = await response.json()
        print(terms["statement"])  # the person must read it, and agree
        async with client.ws_connect(f"{address}/ws") as room:
            with wave.open(path) as sound:
                rate_hz, tenth = sound.getframerate(), sound.getframerate() // 10
                agree = {"name": name, "shares": ["text", "audio"], "version": terms["version"]}
                await room.send_json({"type": "agree", "token": token, "rate_hz": rate_hz, **agree})
                answer = {"type": "waiting"}  # for the host, where the host admits people
                while answer["type"] != "joined":
                    print(answer := await room.receive_json(), flush=True)
                for number in range(sound.getnframes() // tenth):
                    header = struct.pack("<BQ", 1, number * 100_000)  # sound; its time in µs
                    await room.send_bytes(header + sound.readframes(tenth))
                    await asyncio.sleep(0.1)
            await room.send_json({"type": "leave"})


asyncio.run(main(*sys.argv[1:]))
