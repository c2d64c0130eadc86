"""What must hold once all faults have stopped: histories, catalog and backends agree."""

import os
import subprocess
import time

import botocore

from fleet import SLUICE, eventually

# What a killed process had claimed is its own until the lease is over: a minute for moves and deletions, two for writes, then their
# deletion.
CONVERGENCE_LIMIT = float(os.environ.get("SLUICE_CHAOS_LIMIT", "480"))


RETIRED = "SELECT id FROM backend WHERE phase = 'retired'"


def converge(fleet, violations):
    """Every backend is wanted again, two copies of each object; within the leases of killed workers nothing may be left to do."""
    # What is draining may go on doing so.
    fleet.factor = 2
    for backend in fleet.backends.values():
        backend.state, backend.removal = "active", ""
    fleet.write_spec()
    began = time.monotonic()
    for index in range(len(fleet.gateways)):
        # One that was starting when the last fault came may end even now.
        eventually("a gateway is ready", lambda index=index: fleet.restart_ended(violations) or fleet.is_ready(index), 90)

    def is_converged():
        is_converged.last = "Postgres does not answer"
        left = fleet.sql("""SELECT (SELECT count(*) FROM copy WHERE state = 'writing' AND upload_id IS NULL),
            (SELECT count(*) FROM copy WHERE state = 'doomed' AND NOT may_arrive_late),
            (SELECT count(*) FROM copy WHERE state = 'live' AND suspect)""")
        is_converged.last = f"{left}, and the dry run does not end"
        done = subprocess.run([SLUICE, "reconcile", "--dry-run", "--detailed-exitcode"], env=fleet.environment(0), capture_output=True, text=True, timeout=60)
        is_converged.last = f"{left}\n{done.stdout}{done.stderr}"
        return left == "0|0|0" and done.returncode == 0 and "surplus" not in done.stdout

    try:
        eventually("convergence", is_converged, CONVERGENCE_LIMIT)
        print(f"converged {time.monotonic() - began:.0f} s after the last fault", flush=True)
    except RuntimeError as error:
        violations.append(f"{error}: {is_converged.last}")


def take_inventory(fleet, violations):
    """Waits until each backend was looked through often enough that what no row names has gone."""
    rounds = "SELECT coalesce(min(round), 0) FROM inventory i JOIN backend b ON b.id = i.backend_id WHERE b.phase = 'active'"
    # Seen in two rounds, and then for the length of the quarantine, which is two rounds.
    wanted = int(fleet.sql(rounds)) + 6

    def is_clean():
        # Open uploads without a row are shown and not touched: nobody knows whose they are.
        left = fleet.sql(f"SELECT count(*) FROM orphan WHERE NOT is_upload AND backend_id NOT IN ({RETIRED})"), fleet.sql("SELECT count(*) FROM copy WHERE state = 'doomed' AND NOT seen_absent")
        is_clean.last = f"round {fleet.sql(rounds)} of {wanted}; orphans, copies to delete: {left}"
        return int(fleet.sql(rounds)) >= wanted and left == ("0", "0")

    try:
        eventually("the inventory is clean", is_clean, CONVERGENCE_LIMIT)
    except RuntimeError as error:
        violations.append(f"{error}: {is_clean.last}")


def check(fleet, workers, violations):
    """Everything that must hold once faults stopped and the fleet converged."""
    clients = [fleet.client(index) for index in range(len(fleet.gateways))]
    for worker in workers:
        for key in worker.keys:
            for client in clients:
                try:
                    body = client.get_object(Bucket="chaos", Key=key)["Body"].read()
                    if not worker.matches(key, body):
                        violations.append(f"at the end {key}: {len(body)} bytes beginning {body[:40]!r} are none of {sorted(map(str, worker.keys[key]))}")
                except botocore.exceptions.ClientError as error:
                    if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404 or None not in worker.keys[key]:
                        violations.append(f"at the end {key}: {error}; may be {sorted(map(str, worker.keys[key]))}")
    pages = clients[0].get_paginator("list_objects_v2").paginate(Bucket="chaos")
    listed = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
    for key, possible in sorted((key, possible) for worker in workers for key, possible in worker.keys.items()):
        if key in listed and possible == {None} or key not in listed and None not in possible:
            violations.append(f"the listing {'has' if key in listed else 'lacks'} {key}, which may be {sorted(map(str, possible))}")
    drift = fleet.sql("""
        SELECT count(*) FROM (SELECT backend_id, sum(writing_copies) a, sum(writing_bytes) b, sum(live_copies) c, sum(live_bytes) d,
            sum(doomed_copies) e, sum(doomed_bytes) f FROM backend_usage GROUP BY 1) u FULL JOIN (SELECT backend_id,
            count(*) FILTER (WHERE state = 'writing') a, coalesce(sum(bytes) FILTER (WHERE state = 'writing'), 0) b,
            count(*) FILTER (WHERE state = 'live') c, coalesce(sum(bytes) FILTER (WHERE state = 'live'), 0) d,
            count(*) FILTER (WHERE state = 'doomed') e, coalesce(sum(bytes) FILTER (WHERE state = 'doomed'), 0) f FROM copy GROUP BY 1) r
            USING (backend_id) WHERE (coalesce(u.a,0), coalesce(u.b,0), coalesce(u.c,0), coalesce(u.d,0), coalesce(u.e,0), coalesce(u.f,0))
            IS DISTINCT FROM (coalesce(r.a,0), coalesce(r.b,0), coalesce(r.c,0), coalesce(r.d,0), coalesce(r.e,0), coalesce(r.f,0))""")
    if drift != "0":
        violations.append(f"the counters of {drift} backends differ from their rows")
    short = fleet.sql(f"""
        SELECT count(*) FROM object o WHERE o.current_version IS NOT NULL AND (SELECT count(*) FROM copy c WHERE c.version_id = o.current_version
            AND c.state = 'live' AND NOT c.suspect) < {fleet.factor}""")
    if short != "0":
        violations.append(f"{short} objects have fewer copies than the factor {fleet.factor}")
    left = fleet.sql("""
        SELECT string_agg(DISTINCT b.name, ', ') FROM copy c JOIN backend b ON b.id = c.backend_id WHERE b.phase = 'retired' AND c.state <> 'gone'""")
    if left:
        violations.append(f"retired, and rows name copies there: {left}")
    left = fleet.sql(f"""
        SELECT string_agg(one, '; ') FROM (SELECT b.name || ': ' || count(*) || ', one of them ' || min(o.physical_key) FROM orphan o
            JOIN backend b ON b.id = o.backend_id WHERE b.id IN ({RETIRED}) GROUP BY b.name) x(one)""")
    if left:
        violations.append(f"orphans of retired backends, which nobody will look at again: {left}")
    lost = fleet.sql("SELECT count(*) FROM lost_object")
    if lost != "0":
        violations.append(f"{lost} objects were given up, though only backends without a sole copy were to be")
    for name, backend in fleet.backends.items():
        root = fleet.root(backend)
        files = set()
        for folder, _, names in os.walk(root):
            for one in names:
                path = os.path.relpath(os.path.join(folder, one), root)
                # rclone keeps the parts of uploads that are open in files of its own.
                if not path.endswith("~meta") and ".sluice" not in path and ".rclone_temp_multipart_" not in path:
                    files.add(path)
        rows = dict(
            line.rsplit("|", 1) for line in fleet.sql(
                f"SELECT c.physical_key, c.state FROM copy c JOIN backend b ON b.id = c.backend_id WHERE b.name = '{name}' AND c.state <> 'gone'"
            ).split("\n") if line)
        for path in sorted(files - rows.keys()):
            violations.append(f"{name}: no row names {path}")
        for path, state in rows.items():
            if state == "live" and path not in files:
                violations.append(f"{name}: a live row without its bytes, {path}")
