"""The command line: wiring only.

    play        demo, run, replay: all stages in one go
    stages      capture, infer, process, broker
    watch       subscribe, dashboard
    recordings  record, sessions, export, compare
    checks      devices, doctor, schema, config
    models      models list, get, verify
    letters     dead-letter

`options` and `context` hold what the commands share; `terminal`, `output`, `logs` and `display`
write to the terminal. Exit codes: 0 success; 1 another failure; 2 a wrong setting or argument; 3 a
source cannot be read; 4 the broker; 5 the model; 7 a stage died or stopped answering; 130
interrupted.
"""

from streamer.cli.main import main

__all__ = ["main"]
