# Every task has its entry here. CONFIG=release builds with optimisation.
CONFIG ?= debug
BUILD = swift build -c $(CONFIG) --product sluice --explicit-target-dependency-import-check error
export CONFIG

.PHONY: run build test quick format lint bench clean

run: build            ## a running system on local directories
	@scripts/run-local

build:                ## the binary, with the Debian packages it needs
	@scripts/setup
	@$(BUILD)

test:                 ## everything: unit, simulation, real Postgres, real S3 servers, real clients
	@scripts/test

quick:                ## the tests that need neither servers nor clients
	@swift test --skip SystemTests --skip StoreTests

format:
	@swift format --in-place --recursive --parallel Package.swift Sources Tests

lint:
	@swift format lint --strict --recursive --parallel Package.swift Sources Tests

bench:                ## gateway beside nginx, in one run
	@bench/run

clean:
	rm -rf .build .sluice
