/// Limits that all instances share: bytes of a drain in a second, and copies dropped in an hour.
enum Migration015Pace {
    static let sql = #"""
        CREATE TABLE drain_pace (
            backend_id int PRIMARY KEY, free_at timestamptz NOT NULL, rate bigint NOT NULL DEFAULT 0, copies bigint NOT NULL DEFAULT 0,
            bytes bigint NOT NULL DEFAULT 0, busy_ms bigint NOT NULL DEFAULT 0);

        -- Milliseconds to wait, or -1 where it would be more than p_wait_max_ms. Need not wait for the disk: what a crash loses is
        -- the time of a few objects.
        CREATE FUNCTION reserve_pace_v1(p_backend int, p_bytes bigint, p_rate bigint, p_wait_max_ms bigint)
        RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE
            moment timestamptz;
            cost double precision := least(p_bytes::double precision / p_rate, 3650 * 86400.0);
            begins timestamptz;
            wait_ms bigint;
        BEGIN
            PERFORM set_config('synchronous_commit', 'off', true);
            INSERT INTO drain_pace (backend_id, free_at) VALUES (p_backend, '-infinity') ON CONFLICT DO NOTHING;
            PERFORM 1 FROM drain_pace WHERE backend_id = p_backend FOR NO KEY UPDATE;
            moment := clock_timestamp();
            -- What was taken at another rate takes its time at this one.
            SELECT CASE WHEN free_at <= moment THEN moment WHEN rate IN (0, p_rate) THEN free_at
                ELSE moment + (free_at - moment) * least(rate::double precision / p_rate, 1e6) END
            INTO begins FROM drain_pace WHERE backend_id = p_backend;
            wait_ms := ceil(extract(epoch FROM begins - moment) * 1000);
            IF wait_ms > p_wait_max_ms THEN RETURN -1; END IF;
            UPDATE drain_pace SET free_at = begins + make_interval(secs => cost), rate = p_rate WHERE backend_id = p_backend;
            RETURN wait_ms;
        END $$;

        CREATE FUNCTION note_moved_v1(p_backend int, p_copies bigint, p_bytes bigint, p_busy_ms bigint) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM set_config('synchronous_commit', 'off', true);
            INSERT INTO drain_pace AS d (backend_id, free_at, copies, bytes, busy_ms)
            VALUES (p_backend, '-infinity', p_copies, p_bytes, p_busy_ms)
            ON CONFLICT (backend_id) DO UPDATE SET copies = d.copies + excluded.copies, bytes = d.bytes + excluded.bytes,
                busy_ms = d.busy_ms + excluded.busy_ms;
            UPDATE drain_pace SET copies = copies / 2, bytes = bytes / 2, busy_ms = busy_ms / 2
            WHERE backend_id = p_backend AND busy_ms > 3600000;
        END $$;

        -- What the reconciler dropped, by the minute; counted while the spec has a ceiling.
        CREATE TABLE dropped_minute (minute timestamptz PRIMARY KEY, copies bigint NOT NULL);

        CREATE FUNCTION dropped_lately() RETURNS bigint LANGUAGE sql VOLATILE AS $$
            -- The minute that lies half behind the hour counts, so that no hour has more than the ceiling.
            SELECT coalesce(sum(copies), 0)::bigint FROM dropped_minute WHERE minute > clock_timestamp() - interval '61 minutes'
        $$;

        -- The last lock of its transaction. False if the ceiling is reached.
        CREATE FUNCTION note_drop(p_ceiling bigint) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock(7008, 0);
            DELETE FROM dropped_minute WHERE minute <= clock_timestamp() - interval '61 minutes';
            IF dropped_lately() >= p_ceiling THEN RETURN false; END IF;
            INSERT INTO dropped_minute AS d (minute, copies) VALUES (date_trunc('minute', clock_timestamp()), 1)
            ON CONFLICT (minute) DO UPDATE SET copies = d.copies + 1;
            RETURN true;
        END $$;

        -- p_ceiling null: none.
        CREATE FUNCTION doom_v3(
            p_copy uuid, p_version uuid, p_factor int, p_counted int[], p_grace_ms bigint, p_ceiling bigint
        ) RETURNS TABLE (outcome text, others int, required int) LANGUAGE plpgsql AS $$
        DECLARE r record;
        BEGIN
            IF p_ceiling IS NULL THEN
                RETURN QUERY SELECT * FROM doom_v2(p_copy, p_version, p_factor, p_counted, p_grace_ms);
                RETURN;
            END IF;
            IF dropped_lately() >= p_ceiling THEN RETURN QUERY SELECT 'ceiling', 0, 0; RETURN; END IF;
            BEGIN
                SELECT * INTO r FROM doom_v2(p_copy, p_version, p_factor, p_counted, p_grace_ms);
                IF r.outcome = 'doomed' AND NOT note_drop(p_ceiling) THEN RAISE EXCEPTION USING ERRCODE = 'SL001'; END IF;
            EXCEPTION WHEN SQLSTATE 'SL001' THEN
                -- Another instance was the last one under the ceiling; what was doomed here is not.
                RETURN QUERY SELECT 'ceiling', 0, 0;
                RETURN;
            END;
            RETURN QUERY SELECT r.outcome, r.others, r.required;
        END $$;

        CREATE FUNCTION doom_orphan_v3(
            p_backend int, p_name text, p_is_upload boolean, p_of uuid, p_copy uuid, p_owner uuid, p_ceiling bigint
        ) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE result text;
        BEGIN
            IF p_ceiling IS NULL THEN RETURN doom_orphan_v2(p_backend, p_name, p_is_upload, p_of, p_copy, p_owner); END IF;
            IF dropped_lately() >= p_ceiling THEN RETURN 'ceiling'; END IF;
            BEGIN
                result := doom_orphan_v2(p_backend, p_name, p_is_upload, p_of, p_copy, p_owner);
                IF result = 'doomed' AND NOT note_drop(p_ceiling) THEN RAISE EXCEPTION USING ERRCODE = 'SL001'; END IF;
            EXCEPTION WHEN SQLSTATE 'SL001' THEN
                RETURN 'ceiling';
            END;
            RETURN result;
        END $$;
        """#
}
