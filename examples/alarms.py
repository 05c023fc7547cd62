"""Say when somebody's sentiment falls, without asyncio: python alarms.py localhost:9092.

The consumer group remembers what was said: start it again, and it goes on where it was.
"""

import sys

import streamer

for alert in streamer.subscribe_sync(
    sys.argv[1], kind="alerts", start="earliest", group="alarms-example"
):
    if alert.state == "raised":
        time = alert.event_time.astimezone()  # in this machine's zone
        print(f"{time:%H:%M:%S} {alert.session_id}: {alert.message}", flush=True)
