/// Claims whose cost is bounded, and what else a halt holds.
enum Migration014Bounds {
    static let sql = #"""
        -- Looks at p_window keys and no more; next_from is where the next look begins, null at the end of the bucket.
        CREATE FUNCTION claim_window_v1(
            p_scope text, p_bucket int, p_factor int, p_staying int[], p_from text, p_window int, p_limit int, p_token uuid,
            p_lease_ms bigint
        ) RETURNS TABLE (version_id uuid, attempts int, next_from text) LANGUAGE plpgsql AS $$
        DECLARE
            moment timestamptz := clock_timestamp();
            delay interval;
            since timestamptz;
            wanted uuid[];
            wanted_keys text[];
            chosen uuid[];
            last_key text;
        BEGIN
            SELECT make_interval(secs => s.trim_delay_ms / 1000.0) INTO delay FROM spec_revision s ORDER BY s.revision DESC LIMIT 1;
            SELECT b.factor_since INTO since FROM bucket b WHERE b.id = p_bucket;
            SELECT k.key INTO last_key FROM (
                SELECT o.key FROM object o WHERE o.bucket_id = p_bucket AND o.key >= p_from ORDER BY o.key LIMIT p_window) k
            ORDER BY k.key DESC LIMIT 1;
            -- Key by key, so that it ends with the last one that is wanted.
            SELECT array_agg(f.id ORDER BY f.key), array_agg(f.key ORDER BY f.key) INTO wanted, wanted_keys FROM (
                SELECT o.key, o.current_version AS id
                FROM object o CROSS JOIN LATERAL (
                    SELECT count(c.id) FILTER (WHERE NOT c.suspect) AS good, coalesce(bool_or(c.suspect), false) AS has_suspect,
                        max(greatest(coalesce(c.live_at, c.created_at), b.phase_since)) FILTER (WHERE NOT c.suspect) AS held_since
                    FROM copy c JOIN backend b ON b.id = c.backend_id
                    WHERE c.version_id = o.current_version AND c.state = 'live' AND c.backend_id = ANY (p_staying)) t
                WHERE o.bucket_id = p_bucket AND o.key >= p_from AND o.key <= last_key AND o.current_version IS NOT NULL
                    AND CASE p_scope
                    -- A suspect copy is work until it is doomed, also when the worker that replaced it went away before that.
                    WHEN 'short' THEN t.good < p_factor OR t.has_suspect
                    ELSE t.good > p_factor AND moment - delay >= greatest(t.held_since, since) END
                    AND NOT EXISTS (SELECT 1 FROM work w WHERE w.version_id = o.current_version)
                ORDER BY o.key LIMIT p_limit) f;
            next_from := CASE
                WHEN cardinality(wanted) = p_limit THEN wanted_keys[p_limit]
                WHEN EXISTS (SELECT 1 FROM object o WHERE o.bucket_id = p_bucket AND o.key > last_key) THEN last_key END;
            chosen := array(
                SELECT v.id FROM version v WHERE v.id = ANY (coalesce(wanted, '{}')) ORDER BY v.id FOR NO KEY UPDATE SKIP LOCKED);
            RETURN QUERY
            INSERT INTO work AS w (version_id, token, lease_until, not_before)
            SELECT id, p_token, moment + make_interval(secs => p_lease_ms / 1000.0), moment FROM unnest(chosen) id ORDER BY id
            ON CONFLICT ON CONSTRAINT work_pkey DO NOTHING
            RETURNING w.version_id, w.attempts, next_from;
            -- Also where nothing was found.
            RETURN QUERY SELECT NULL::uuid, 0, next_from;
        END $$;

        -- Those that failed before, by their failures.
        CREATE FUNCTION claim_again_v1(
            p_scope text, p_bucket int, p_factor int, p_staying int[], p_limit int, p_token uuid, p_lease_ms bigint
        ) RETURNS TABLE (version_id uuid, attempts int) LANGUAGE plpgsql AS $$
        DECLARE
            moment timestamptz := clock_timestamp();
            chosen uuid[];
        BEGIN
            chosen := array(
                SELECT v.id FROM work w JOIN version v ON v.id = w.version_id
                WHERE w.lease_until < moment AND w.not_before <= moment AND v.committed_at IS NOT NULL AND v.superseded_at IS NULL
                    AND v.bucket_id = p_bucket AND in_scope(v.id, p_scope, 0, p_bucket, p_factor, p_staying)
                ORDER BY w.attempts, v.id LIMIT p_limit FOR NO KEY UPDATE OF v SKIP LOCKED);
            RETURN QUERY
            UPDATE work w SET token = p_token, lease_until = moment + make_interval(secs => p_lease_ms / 1000.0)
            WHERE w.version_id = ANY (chosen) AND w.lease_until < moment AND w.not_before <= moment
            RETURNING w.version_id, w.attempts;
        END $$;

        -- Markers up to this one were there when an operator agreed, whatever history they are from.
        ALTER TABLE safeguard ADD COLUMN agreed_epoch bigint NOT NULL DEFAULT 0;

        -- After a halt there is the whole quarantine to look at what was found.
        CREATE FUNCTION confirm_catalog_v3(p_token text, p_system text, p_timeline text) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT confirm_catalog_v2(p_token, p_system, p_timeline) THEN RETURN false; END IF;
            UPDATE safeguard SET agreed_epoch = epoch - 1;
            UPDATE orphan SET first_seen = clock_timestamp();
            RETURN true;
        END $$;

        CREATE FUNCTION abandon_v3(p_backend int, p_max bigint) RETURNS TABLE (outcome text, sole bigint) LANGUAGE plpgsql AS $$
        BEGIN
            IF halted() THEN RETURN QUERY SELECT 'notDraining', 0::bigint; RETURN; END IF;
            RETURN QUERY SELECT * FROM abandon_v2(p_backend, p_max);
        END $$;

        CREATE FUNCTION change_phase_v3(p_backend int, p_from text, p_to text) RETURNS TABLE (
            outcome text, phase_now text, writing bigint, live bigint, uploads bigint, doomed bigint, waiting bigint, dead bigint
        ) LANGUAGE plpgsql AS $$
        BEGIN
            IF p_to IN ('retiring', 'retired') AND halted() THEN
                RETURN QUERY SELECT 'notFrom', b.phase, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint
                FROM backend b WHERE b.id = p_backend;
                RETURN;
            END IF;
            RETURN QUERY SELECT * FROM change_phase_v2(p_backend, p_from, p_to);
        END $$;
        """#
}
