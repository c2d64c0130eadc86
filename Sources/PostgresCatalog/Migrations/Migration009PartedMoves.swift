/// Copies of large objects in parts, which go on where they were interrupted (DESIGN §6, Repair, rebalance, drain).
enum Migration009PartedMoves {
    static let sql = #"""
        CREATE TABLE move_part (
            copy_id uuid NOT NULL REFERENCES copy ON DELETE CASCADE, number int NOT NULL, size bigint NOT NULL, md5 text NOT NULL,
            etag text NOT NULL, PRIMARY KEY (copy_id, number));

        CREATE FUNCTION record_move_part_v1(p_copy uuid, p_token uuid, p_number int, p_size bigint, p_md5 text, p_etag text)
        RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM 1 FROM copy WHERE id = p_copy AND state = 'writing' AND lease_token = p_token FOR NO KEY UPDATE;
            IF NOT FOUND THEN RETURN false; END IF;
            INSERT INTO move_part (copy_id, number, size, md5, etag) VALUES (p_copy, p_number, p_size, p_md5, p_etag)
            ON CONFLICT (copy_id, number) DO UPDATE SET size = excluded.size, md5 = excluded.md5, etag = excluded.etag;
            RETURN true;
        END $$;

        -- Whether a writing copy may be gone on with: its backend takes copies, its version is retained, and it is not too old.
        CREATE FUNCTION is_resumable(c copy) RETURNS boolean LANGUAGE sql STABLE AS $$
            SELECT c.backend_upload_id IS NOT NULL AND c.upload_id IS NULL AND c.lease_until > clock_timestamp() - interval '1 day'
                AND EXISTS (SELECT 1 FROM backend b WHERE b.id = c.backend_id AND b.phase = 'active' AND b.declared)
                AND EXISTS (SELECT 1 FROM version v WHERE v.id = c.version_id AND v.committed_at IS NOT NULL AND v.superseded_at IS NULL)
        $$;

        CREATE FUNCTION resume_copy_v1(p_version uuid, p_token uuid, p_lease_ms bigint)
        RETURNS TABLE (copy_id uuid, backend_id int, physical_key text, backend_upload_id text) LANGUAGE plpgsql AS $$
        DECLARE
            chosen uuid;
            place int;
        BEGIN
            SELECT c.id, c.backend_id INTO chosen, place FROM copy c
            WHERE c.version_id = p_version AND c.state = 'writing' AND c.lease_until < clock_timestamp() AND is_resumable(c)
            ORDER BY c.id LIMIT 1;
            IF NOT FOUND THEN RETURN; END IF;
            PERFORM gates_shared(ARRAY[place]);
            PERFORM 1 FROM version WHERE id = p_version FOR NO KEY UPDATE;
            PERFORM 1 FROM copy c WHERE c.id = chosen FOR NO KEY UPDATE;
            RETURN QUERY UPDATE copy c SET lease_token = p_token, lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0)
            WHERE c.id = chosen AND c.state = 'writing' AND c.lease_until < clock_timestamp() AND is_resumable(c)
            RETURNING c.id, c.backend_id, c.physical_key, c.backend_upload_id;
        END $$;

        CREATE FUNCTION commit_copy_v2(
            p_copy uuid, p_provider_version text, p_version uuid, p_token uuid, p_grace_ms bigint
        ) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE answer text := commit_copy_v1(p_copy, p_provider_version, p_version, p_token, p_grace_ms);
        BEGIN
            IF answer = 'live' THEN DELETE FROM move_part WHERE copy_id = p_copy; END IF;
            RETURN answer;
        END $$;

        CREATE FUNCTION reap_writes_v2(p_limit int) RETURNS int LANGUAGE plpgsql AS $$
        DECLARE
            expired uuid[];
            versions uuid[];
            deltas usage_delta[];
        BEGIN
            expired := array(
                SELECT c.id FROM copy c
                WHERE c.state = 'writing' AND c.lease_until < clock_timestamp() AND NOT is_resumable(c) LIMIT p_limit);
            SELECT array_agg(x.id) INTO versions FROM (
                SELECT v.id FROM version v WHERE v.id IN (SELECT c.version_id FROM copy c WHERE c.id = ANY (expired))
                ORDER BY v.id FOR NO KEY UPDATE SKIP LOCKED) x;
            IF versions IS NULL THEN RETURN 0; END IF;
            PERFORM 1 FROM copy c WHERE c.version_id = ANY (versions) ORDER BY c.id FOR NO KEY UPDATE;
            WITH changed AS (
                UPDATE copy c SET state = 'doomed', may_arrive_late = true, delete_not_before = clock_timestamp(),
                    lease_token = NULL, lease_until = NULL
                WHERE c.version_id = ANY (versions) AND c.state = 'writing' AND c.lease_until < clock_timestamp()
                    AND NOT is_resumable(c)
                RETURNING c.id, c.backend_id, c.bytes)
            SELECT coalesce(array_agg(usage_step(id, backend_id, 'writing', bytes, 'doomed', bytes)), '{}') INTO deltas FROM changed;
            PERFORM end_unwritten(versions);
            PERFORM apply_usage(deltas);
            RETURN cardinality(deltas);
        END $$;
        """#
}
