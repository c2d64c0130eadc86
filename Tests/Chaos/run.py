"""Faults under load, for some minutes, and then a checker. See scripts/chaos.

Two `sluice serve` on one Postgres, two directories and two S3 servers behind fault proxies. Clients write, read and delete through
both gateways and keep their own history, while a seeded schedule kills and stops gateways, kills Postgres and its connections, makes
backends fail in many ways, takes a disk away, edits the spec (drains, cancels, factor), and loses, delays and cuts what the gateways
and Postgres say to each other. Then all faults stop; it must converge, and the histories, the catalog and the backends must agree:

- each object is what its history allows: nothing acknowledged is lost, nothing deleted comes back, no byte is another's
- counters equal rows; each current version has its copies; each live row has its bytes; no bytes are there that no row names: what a
  crash of Postgres left behind without its intent, the inventory has found and removed

With --crash-points another schedule runs: every crash point is hit with SIGKILL, see crash_points.py.
"""

import argparse
import collections
import random
import signal
import sys
import threading
import time

import postgres_proxy
from checker import check, converge, take_inventory
from crash_points import CrashSchedule
from edits import Edits
from faults import Chaos
from fleet import Fleet, eventually
from load import LargeWorker, Worker


def run_faults(fleet, chaos, minutes, violations):
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        time.sleep(chaos.random.uniform(0.2, 1.5))
        chaos.one()
        fleet.restart_ended(violations)


def stop_faults(fleet):
    for proxy in fleet.proxies.values():
        proxy.set("pass")
    if fleet.postgres:
        fleet.postgres.disarm()
        # A request that is late may change something: not while the checker looks.
        eventually("the last late request arrived", fleet.postgres.is_settled)


def main():
    parser = argparse.ArgumentParser(prog="scripts/chaos")
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--crash-points", action="store_true", help="hit every named crash point with SIGKILL, three gateways at once; see crash_points.py")
    parser.add_argument("--point-limit", type=float, default=180, metavar="SECONDS", help="how long a crash point is waited for")
    modes = postgres_proxy.MODES + postgres_proxy.CONNECTION_MODES
    parser.add_argument(
        "--postgres-faults", default=None, metavar="MODES",
        help="what happens between gateways and Postgres: all (the default), none (they connect directly; the default with --crash-points), "
        f"or some of, with commas: {', '.join(modes)}")
    options = parser.parse_args()
    chosen = options.postgres_faults or ("none" if options.crash_points else "all")
    postgres_modes = {"all": modes, "none": []}.get(chosen, chosen.split(","))
    unknown = set(postgres_modes) - set(modes)
    if unknown:
        parser.error(f"--postgres-faults: {', '.join(sorted(unknown))}: not one of {', '.join(modes)}")
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    # Ended from outside, it must still end what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tally, counts, violations = collections.Counter(), collections.Counter(), []
    if options.crash_points:
        # Uploads that a dead gateway's client left open must not hold up drains, and scrubs are to be at work, too.
        fleet = Fleet(seed, postgres_modes, gateways=3, disks=3, spec="  scrub: { interval: 30s }\n", safety=", drainUploadGrace: 5s")
    else:
        fleet = Fleet(seed, postgres_modes)
    crashes = None
    is_fine = False
    try:
        stop = threading.Event()
        workers = [Worker(fleet, number, seed, stop, tally, violations) for number in range(options.workers)]
        if options.crash_points:
            workers += [LargeWorker(fleet, options.workers + number, seed, stop, tally, violations) for number in range(2)]
        for worker in workers:
            worker.start()
        chaos = Chaos(fleet, seed, counts)
        if options.crash_points:
            crashes = CrashSchedule(fleet, Edits(fleet, seed, counts), chaos, seed, counts, violations, options.point_limit)
            crashes.run(options.minutes)
        else:
            run_faults(fleet, chaos, options.minutes, violations)
        print(f"{sum(tally.values())} operations, {sum(counts.values())} faults; now all faults stop", flush=True)
        stop.set()
        for worker in workers:
            worker.join(120)

        stop_faults(fleet)
        converge(fleet, violations)
        take_inventory(fleet, violations)
        removed = fleet.sql("SELECT coalesce(sum(count), 0) FROM event WHERE reason = 'OrphansRemoved'")
        print(f"inventory clean; orphans were removed {removed} times")
        check(fleet, workers, violations)
        is_fine = not violations and (crashes is None or crashes.has_hit_all)
    finally:
        fleet.close(keeps=not is_fine)
    for name, count in sorted(tally.items()):
        print(f"  {count:6} {name}")
    print("faults:")
    for name, count in sorted(counts.items()):
        print(f"  {count:6} {name}")
    if fleet.postgres:
        print("requests to Postgres that faults hit:")
        for name, count in sorted(fleet.postgres.hits.items()):
            print(f"  {count:6} {name}")
    if crashes:
        crashes.print_tally()
    for one in violations[:50]:
        print(f"VIOLATION {one}")
    print(f"seed {seed}: {sum(tally.values())} operations, {sum(n for k, n in counts.items() if not k.startswith(' '))} faults, "
          + (f"{sum(crashes.hits.values())} crashes at {len(crashes.hits)} of {len(crashes.points)} points, " if crashes else "")
          + f"{len(violations)} violations")
    sys.exit(0 if is_fine else 1)


main()
