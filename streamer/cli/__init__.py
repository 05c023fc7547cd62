"""The command line: wiring only.

    play        demo, run, replay: all stages in one go
    stages      capture, infer, process, broker
    watch       subscribe, dashboard
    recordings  record, sessions, export, compare
    checks      devices, doctor, schema, config
    models      models list, get, verify
    letters     dead-letter
    topics      topics list, create
    capacity    plan, bench

`options` and `context` hold what the commands share; `terminal`, `output`, `logs` and `display`
write to the terminal. The exit codes are `streamer.errors.ExitCode`.
"""

from streamer.cli.main import main

__all__ = ["main"]
