/// What nobody needs any more is not kept: interrupted copies that nothing asks for, orphans of backends that are gone.
enum Migration018Leftovers {
    static let sql = #"""
        -- Replaced, with the same shape. A copy that was interrupted is gone on with by whoever claims its version next: repair does
        -- so within minutes, and a drain whenever its window opens. Where nobody does, the version has enough copies.
        CREATE OR REPLACE FUNCTION is_resumable(c copy) RETURNS boolean LANGUAGE sql STABLE AS $$
            SELECT c.backend_upload_id IS NOT NULL AND c.upload_id IS NULL AND c.lease_until > clock_timestamp() - interval '1 day'
                AND (c.lease_until > clock_timestamp() - interval '15 minutes' OR EXISTS (
                    SELECT 1 FROM copy h JOIN backend b ON b.id = h.backend_id
                    WHERE h.version_id = c.version_id AND h.state = 'live' AND b.phase = 'draining'))
                AND EXISTS (SELECT 1 FROM backend b WHERE b.id = c.backend_id AND b.phase = 'active' AND b.declared)
                AND EXISTS (SELECT 1 FROM version v WHERE v.id = c.version_id AND v.committed_at IS NOT NULL AND v.superseded_at IS NULL)
        $$;

        -- Under the gate, so that a page that comes late finds the backend gone, or is gone with it.
        CREATE FUNCTION is_inventoried(p_backend int) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM gates_shared(ARRAY[p_backend]);
            RETURN EXISTS (SELECT 1 FROM backend WHERE id = p_backend AND phase <> 'retired' AND abandoned_at IS NULL);
        END $$;

        CREATE FUNCTION begin_inventory_v2(p_backend int, p_interval_ms bigint, p_token uuid, p_lease_ms bigint)
        RETURNS TABLE (round_now bigint, place text) LANGUAGE plpgsql AS $$
        BEGIN
            IF is_inventoried(p_backend) THEN
                RETURN QUERY SELECT * FROM begin_inventory_v1(p_backend, p_interval_ms, p_token, p_lease_ms);
            END IF;
        END $$;

        CREATE FUNCTION record_inventory_v2(
            p_backend int, p_token uuid, p_round bigint, p_after text, p_through text, p_names text[], p_bytes bigint[],
            p_uploads text[], p_lease_ms bigint
        ) RETURNS int LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT is_inventoried(p_backend) THEN RETURN NULL; END IF;
            RETURN record_inventory_v1(p_backend, p_token, p_round, p_after, p_through, p_names, p_bytes, p_uploads, p_lease_ms);
        END $$;

        CREATE FUNCTION forget_inventory(p_backend int) RETURNS void LANGUAGE sql AS $$
            DELETE FROM orphan WHERE backend_id = p_backend;
            DELETE FROM inventory WHERE backend_id = p_backend;
        $$;

        -- Both hold the gate exclusively.
        CREATE FUNCTION change_phase_v4(p_backend int, p_from text, p_to text) RETURNS TABLE (
            outcome text, phase_now text, writing bigint, live bigint, uploads bigint, doomed bigint, waiting bigint, dead bigint
        ) LANGUAGE plpgsql AS $$
        BEGIN
            RETURN QUERY SELECT * FROM change_phase_v3(p_backend, p_from, p_to);
            IF p_to = 'retired' THEN
                PERFORM forget_inventory(b.id) FROM backend b WHERE b.id = p_backend AND b.phase = 'retired';
            END IF;
        END $$;

        CREATE FUNCTION abandon_v4(p_backend int, p_max bigint) RETURNS TABLE (outcome text, sole bigint) LANGUAGE plpgsql AS $$
        BEGIN
            RETURN QUERY SELECT * FROM abandon_v3(p_backend, p_max);
            PERFORM forget_inventory(b.id) FROM backend b WHERE b.id = p_backend AND b.abandoned_at IS NOT NULL;
        END $$;

        -- What was being written when the catalog's moment was saved may have been finished since, and acknowledged. Such rows are
        -- let go without a deletion: then what is on the backends is an orphan, kept in quarantine, and may be adopted.
        CREATE FUNCTION let_go(p_copies uuid[]) RETURNS int LANGUAGE plpgsql AS $$
        DECLARE
            versions uuid[] := array(SELECT DISTINCT version_id FROM copy WHERE id = ANY (p_copies));
            deltas usage_delta[];
        BEGIN
            PERFORM 1 FROM version WHERE id = ANY (versions) ORDER BY id FOR NO KEY UPDATE;
            PERFORM 1 FROM copy WHERE version_id = ANY (versions) ORDER BY id FOR NO KEY UPDATE;
            WITH changed AS (
                UPDATE copy SET state = 'doomed', lease_token = NULL, lease_until = NULL, delete_not_before = 'infinity'
                WHERE id = ANY (p_copies) AND state = 'writing' RETURNING id, backend_id, bytes)
            SELECT coalesce(array_agg(usage_step(id, backend_id, 'writing', bytes, 'gone', bytes)), '{}') INTO deltas FROM changed;
            UPDATE copy SET state = 'gone' WHERE id = ANY (p_copies) AND state = 'doomed' AND delete_not_before = 'infinity';
            PERFORM end_unwritten(versions);
            PERFORM apply_usage(deltas);
            RETURN cardinality(deltas);
        END $$;

        -- Writes that were under way before a silence of more than a minute: the database may have been restored, which
        -- nothing has shown yet.
        CREATE FUNCTION reap_writes_v3(p_limit int) RETURNS int LANGUAGE plpgsql AS $$
        DECLARE
            born timestamptz;
            kept int := 0;
        BEGIN
            SELECT max(x.since) INTO born FROM (
                SELECT a.since, (SELECT max(p.until) FROM alive p WHERE p.since < a.since) AS before FROM alive a
                UNION ALL SELECT pg_postmaster_start_time(), (SELECT max(until) FROM alive)) x
            WHERE x.since > x.before + interval '1 minute';
            IF born IS NOT NULL THEN
                kept := let_go(array(
                    SELECT c.id FROM copy c WHERE c.state = 'writing' AND c.upload_id IS NULL AND c.backend_upload_id IS NULL
                        AND c.lease_until < clock_timestamp() AND c.created_at < born LIMIT p_limit));
            END IF;
            RETURN kept + reap_writes_v2(p_limit);
        END $$;

        CREATE FUNCTION halt_v2(p_evidence text, p_newest bigint) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE was_halted boolean;
        BEGIN
            PERFORM 1 FROM safeguard FOR NO KEY UPDATE;
            was_halted := halted();
            PERFORM halt_v1(p_evidence, p_newest);
            IF was_halted THEN RETURN; END IF;
            PERFORM 1 FROM upload WHERE state IN ('creating', 'open', 'completing') ORDER BY id FOR NO KEY UPDATE;
            UPDATE upload SET state = 'aborted', changed_at = clock_timestamp() WHERE state IN ('creating', 'open', 'completing');
            PERFORM let_go(array(SELECT id FROM copy WHERE state = 'writing'));
        END $$;

        -- What is left of those that are gone already.
        SELECT forget_inventory(id) FROM backend WHERE phase = 'retired' OR abandoned_at IS NOT NULL;
        """#
}
