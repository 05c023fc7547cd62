"""`python -m streamer` is the command line."""

from streamer.cli.main import main

main()
