/// Rounds of verification.
enum Migration010Scrub {
    static let sql = #"""
        CREATE TABLE scrub (
            backend_id int PRIMARY KEY, round bigint NOT NULL, position uuid, started_at timestamptz NOT NULL,
            finished_at timestamptz, copies bigint NOT NULL DEFAULT 0, bytes bigint NOT NULL DEFAULT 0,
            damaged bigint NOT NULL DEFAULT 0, unreadable bigint NOT NULL DEFAULT 0, token uuid,
            lease_until timestamptz NOT NULL);

        -- A null interval begins no round.
        CREATE FUNCTION begin_scrub_v1(p_backend int, p_interval_ms bigint, p_token uuid, p_lease_ms bigint)
        RETURNS TABLE (round_now bigint, place uuid) LANGUAGE plpgsql AS $$
        DECLARE
            one scrub%ROWTYPE;
            moment timestamptz := clock_timestamp();
        BEGIN
            INSERT INTO scrub (backend_id, round, started_at, finished_at, lease_until)
            VALUES (p_backend, 0, '-infinity', '-infinity', '-infinity') ON CONFLICT DO NOTHING;
            PERFORM 1 FROM scrub WHERE backend_id = p_backend FOR NO KEY UPDATE;
            SELECT * INTO one FROM scrub WHERE backend_id = p_backend;
            IF one.lease_until > moment THEN RETURN; END IF;
            IF one.finished_at IS NOT NULL THEN
                IF p_interval_ms IS NULL OR one.started_at > moment - make_interval(secs => p_interval_ms / 1000.0) THEN RETURN; END IF;
                one.round := one.round + 1;
                one.position := NULL;
                UPDATE scrub SET round = one.round, position = NULL, started_at = moment, finished_at = NULL, copies = 0, bytes = 0,
                    damaged = 0, unreadable = 0 WHERE backend_id = p_backend;
            END IF;
            UPDATE scrub SET token = p_token, lease_until = moment + make_interval(secs => p_lease_ms / 1000.0)
            WHERE backend_id = p_backend;
            RETURN QUERY SELECT one.round, one.position;
        END $$;
        """#
}
