/// Rebalancing: what was asked for, who is at it, and claims of copies that may move from one backend to another.
enum Migration016Rebalance {
    static let sql = #"""
        CREATE TABLE rebalance (
            id int PRIMARY KEY CHECK (id = 1), requested_at timestamptz, finished_at timestamptz,
            copies bigint NOT NULL DEFAULT 0, bytes bigint NOT NULL DEFAULT 0,
            token uuid, lease_until timestamptz NOT NULL DEFAULT '-infinity');
        INSERT INTO rebalance (id) VALUES (1);

        -- Looks at p_window copies of the one backend behind p_after; next_after is where the next look begins, null at the end.
        CREATE FUNCTION claim_movable_v1(
            p_from int, p_to int, p_size_max bigint, p_after uuid, p_window int, p_limit int, p_token uuid, p_lease_ms bigint
        ) RETURNS TABLE (version_id uuid, attempts int, next_after uuid) LANGUAGE plpgsql AS $$
        DECLARE
            moment timestamptz := clock_timestamp();
            last_one uuid;
            wanted uuid[];
            chosen uuid[];
        BEGIN
            SELECT x.version_id INTO last_one FROM (
                SELECT c.version_id FROM copy c WHERE c.backend_id = p_from AND c.state = 'live' AND c.version_id > p_after
                ORDER BY c.version_id LIMIT p_window) x
            ORDER BY x.version_id DESC LIMIT 1;
            wanted := array(
                SELECT c.version_id FROM copy c JOIN version v ON v.id = c.version_id
                WHERE c.backend_id = p_from AND c.state = 'live' AND NOT c.suspect
                    AND c.version_id > p_after AND c.version_id <= last_one
                    AND v.committed_at IS NOT NULL AND v.superseded_at IS NULL AND v.size <= p_size_max
                    AND NOT EXISTS (
                        SELECT 1 FROM copy t WHERE t.version_id = c.version_id AND t.backend_id = p_to AND t.state IN ('writing', 'live'))
                    -- What was worked on before, and is in nobody's hands now, is as good as any.
                    AND NOT EXISTS (
                        SELECT 1 FROM work w WHERE w.version_id = c.version_id AND (w.lease_until >= moment OR w.not_before > moment))
                ORDER BY c.version_id LIMIT p_limit);
            next_after := CASE
                WHEN cardinality(wanted) = p_limit THEN wanted[p_limit]
                WHEN EXISTS (
                    SELECT 1 FROM copy c WHERE c.backend_id = p_from AND c.state = 'live' AND c.version_id > last_one) THEN last_one END;
            chosen := array(SELECT v.id FROM version v WHERE v.id = ANY (wanted) ORDER BY v.id FOR NO KEY UPDATE SKIP LOCKED);
            RETURN QUERY
            INSERT INTO work AS w (version_id, token, lease_until, not_before)
            SELECT id, p_token, moment + make_interval(secs => p_lease_ms / 1000.0), moment FROM unnest(chosen) id ORDER BY id
            ON CONFLICT ON CONSTRAINT work_pkey DO UPDATE SET token = excluded.token, lease_until = excluded.lease_until
            WHERE w.lease_until < moment AND w.not_before <= moment
            RETURNING w.version_id, w.attempts, next_after;
            -- Also where nothing was found.
            RETURN QUERY SELECT NULL::uuid, 0, next_after;
        END $$;
        """#
}
