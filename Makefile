# Every task has its entry here. CONFIG=release builds with optimisation.
CONFIG ?= debug
BUILD = swift build -c $(CONFIG) --product sluice --explicit-target-dependency-import-check error
export CONFIG

.PHONY: run build test quick clients ceph chaos format lint bench clean

run: build            ## a running system on local directories
	@scripts/run-local

build:                ## the binary, with the Debian packages it needs
	@scripts/setup
	@$(BUILD)

test:                 ## everything: unit, simulation, real Postgres, real S3 servers, real clients
	@scripts/test

quick:                ## the tests that need neither servers nor clients
	@swift test --skip SystemTests --skip StoreTests

clients:              ## other people's S3 clients on every kind of backend; writes docs/clients.md
	@scripts/clients --backends directory --backends rclone --backends moto --backends swift --markdown docs/clients.md

ceph:                 ## Ceph's public S3 tests, from GitHub
	@scripts/ceph-s3-tests

chaos:                ## faults on real processes under load, then a checker
	@scripts/chaos --minutes 5

format:
	@swift format --in-place --recursive --parallel Package.swift Sources Tests

lint:
	@swift format lint --strict --recursive --parallel Package.swift Sources Tests

bench:                ## gateway beside nginx, in one run
	@bench/run

clean:
	rm -rf .build .sluice
