# `make demo` and `make test` set up everything they need.
.PHONY: demo test quick coverage fuzz check

demo:  ## play a generated meeting through the whole system
	@scripts/setup demo
	@.venv/bin/streamer demo

test:  ## all the tests
	@scripts/setup test
	@scripts/test

quick:  ## unit and property tests that need neither Kafka nor a browser, with fewer random examples
	@scripts/setup test
	@HYPOTHESIS_PROFILE=quick scripts/test -n 2 -q -m "not kafka and not slow" tests/unit tests/property

coverage:  ## line and branch coverage of the unit, property and golden tests, with a floor
	@scripts/setup test
	@scripts/test -q tests/unit tests/property tests/golden --cov

fuzz:  ## property tests with new random examples (ROUNDS=10)
	@scripts/setup test
	@scripts/fuzz $(or $(ROUNDS),10)

check:  ## lint (Python and JavaScript), format, types, import contracts
	@scripts/setup test
	@scripts/check
