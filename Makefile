# The two commands of the README, and the checks.
.PHONY: demo test check

demo:  ## play a generated meeting through the whole system
	@scripts/setup demo
	@.venv/bin/streamer demo

test:  ## set up everything the tests need and run them all
	@scripts/setup test
	@scripts/test

check:  ## lint, format, types, layer rules
	@scripts/setup test
	@scripts/check
