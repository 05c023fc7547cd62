"""The `semi-iin` command line: wiring only.

Results are written to standard output, progress to standard error. Exit codes: 0 done; 1 an input
cannot be used (one sentence names it); 2 a wrong argument; 130 interrupted.

* `app`: the application, its errors and exit codes;
* `training`: `new`, `train`, `self-train`;
* `checkpoints`: `evaluate`, `features`, `info`, `export`, `convert`, `release`;
* `experiments`: `ablate`, `robustness`, `sweep-k`, `gates`;
* `options`, `progress`: arguments and progress bars that commands share.

Commands import what they need, so that `--help` and a wrong argument do not wait for torch.
"""

from semi_iin.cli.app import main

__all__ = ["main"]
