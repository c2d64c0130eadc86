/// Giving up a backend that is lost for ever (DESIGN §6, Abandon).
enum Migration008Abandon {
    static let sql = #"""
        ALTER TABLE backend ADD COLUMN abandoned_at timestamptz;

        -- Kept for ever: what an operator agreed to lose.
        CREATE TABLE lost_object (
            version_id uuid PRIMARY KEY, bucket_id int NOT NULL, key text COLLATE "C" NOT NULL, size bigint NOT NULL, etag text,
            backend_id int NOT NULL, lost_at timestamptz NOT NULL DEFAULT clock_timestamp());

        -- Retained versions whose only live copy, be it suspect or not, is on this backend.
        CREATE FUNCTION is_sole(p_version uuid, p_backend int) RETURNS boolean LANGUAGE sql STABLE AS $$
            SELECT EXISTS (SELECT 1 FROM version v WHERE v.id = p_version AND v.committed_at IS NOT NULL AND v.superseded_at IS NULL)
                AND NOT EXISTS (
                    SELECT 1 FROM copy o JOIN backend b ON b.id = o.backend_id
                    WHERE o.version_id = p_version AND o.backend_id <> p_backend AND o.state = 'live' AND b.abandoned_at IS NULL)
        $$;

        CREATE FUNCTION abandon_v1(p_backend int, p_max bigint) RETURNS TABLE (outcome text, sole bigint) LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock(7001, p_backend);
            PERFORM 1 FROM backend WHERE id = p_backend AND phase = 'draining' AND abandoned_at IS NULL;
            IF NOT FOUND THEN RETURN QUERY SELECT 'notDraining', 0::bigint; RETURN; END IF;
            SELECT count(*) INTO sole FROM copy c WHERE c.backend_id = p_backend AND c.state = 'live' AND is_sole(c.version_id, p_backend);
            IF sole > p_max THEN RETURN QUERY SELECT 'refused', sole; RETURN; END IF;
            UPDATE backend SET abandoned_at = clock_timestamp() WHERE id = p_backend;
            RETURN QUERY SELECT 'abandoned', sole;
        END $$;

        CREATE FUNCTION end_abandoned_v1(p_backend int, p_limit int) RETURNS int LANGUAGE plpgsql AS $$
        DECLARE
            versions uuid[];
            deltas usage_delta[];
        BEGIN
            PERFORM 1 FROM backend WHERE id = p_backend AND abandoned_at IS NOT NULL;
            IF NOT FOUND THEN RETURN 0; END IF;
            versions := array(
                SELECT DISTINCT x.version_id FROM (
                    SELECT version_id FROM copy WHERE backend_id = p_backend AND state IN ('writing', 'live', 'doomed') LIMIT p_limit) x);
            PERFORM 1 FROM object o JOIN version v ON v.bucket_id = o.bucket_id AND v.key = o.key
            WHERE v.id = ANY (versions) ORDER BY o.bucket_id, o.key FOR NO KEY UPDATE OF o;
            PERFORM 1 FROM version v WHERE v.id = ANY (versions) ORDER BY v.id FOR NO KEY UPDATE;
            PERFORM 1 FROM copy c WHERE c.version_id = ANY (versions) ORDER BY c.id FOR NO KEY UPDATE;
            INSERT INTO lost_object (version_id, bucket_id, key, size, etag, backend_id)
            SELECT v.id, v.bucket_id, v.key, v.size, v.etag, p_backend FROM version v
            WHERE v.id = ANY (versions) AND is_sole(v.id, p_backend)
                AND EXISTS (SELECT 1 FROM copy c WHERE c.version_id = v.id AND c.backend_id = p_backend AND c.state = 'live')
            ON CONFLICT DO NOTHING;
            UPDATE object o SET current_version = NULL, deleted_at = clock_timestamp()
            FROM lost_object l WHERE l.version_id = ANY (versions) AND o.current_version = l.version_id;
            UPDATE version v SET superseded_at = clock_timestamp()
            FROM lost_object l WHERE l.version_id = ANY (versions) AND v.id = l.version_id AND v.superseded_at IS NULL;
            -- One step at a time, as the table's guard asks; the counters take both at once.
            WITH before AS (
                SELECT id, state FROM copy
                WHERE version_id = ANY (versions) AND backend_id = p_backend AND state IN ('writing', 'live', 'doomed')), changed AS (
                UPDATE copy c SET state = 'doomed', lease_token = NULL, lease_until = NULL, claim_token = NULL, claim_until = NULL,
                    delete_not_before = coalesce(c.delete_not_before, clock_timestamp())
                FROM before b WHERE c.id = b.id RETURNING c.id, c.backend_id, b.state AS was, c.bytes)
            SELECT coalesce(array_agg(usage_step(id, backend_id, was, bytes, 'gone', bytes)), '{}') INTO deltas FROM changed;
            UPDATE copy SET state = 'gone' WHERE version_id = ANY (versions) AND backend_id = p_backend AND state = 'doomed';
            PERFORM end_unwritten(versions);
            PERFORM apply_usage(deltas);
            RETURN cardinality(deltas);
        END $$;
        """#
}
