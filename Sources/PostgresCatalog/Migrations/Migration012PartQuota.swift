/// Quotas hold for parts of uploads too: their bytes are reserved before they leave.
enum Migration012PartQuota {
    static let sql = #"""
        CREATE FUNCTION reserve_part_v1(p_upload uuid, p_bytes bigint) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE
            one record;
            deltas usage_delta[];
        BEGIN
            PERFORM 1 FROM upload WHERE id = p_upload FOR NO KEY UPDATE;
            PERFORM 1 FROM upload WHERE id = p_upload AND state = 'open';
            IF NOT FOUND THEN RETURN 'noSuchUpload'; END IF;
            PERFORM 1 FROM copy WHERE upload_id = p_upload ORDER BY id FOR NO KEY UPDATE;
            IF p_bytes > 0 THEN
                FOR one IN
                    SELECT b.id, b.quota FROM copy c JOIN backend b ON b.id = c.backend_id
                    WHERE c.upload_id = p_upload AND c.state = 'writing' AND b.quota IS NOT NULL ORDER BY b.id
                LOOP
                    -- As intents do where the end is near: the stripes do not show what others are about to reserve.
                    IF occupied(one.id) + p_bytes > one.quota - greatest(one.quota / 10, 67108864) THEN
                        PERFORM pg_advisory_xact_lock(7003, one.id);
                        IF occupied(one.id) + p_bytes > one.quota THEN RETURN 'overQuota'; END IF;
                    END IF;
                END LOOP;
            END IF;
            WITH before AS (SELECT id, bytes FROM copy WHERE upload_id = p_upload AND state = 'writing'), changed AS (
                UPDATE copy c SET bytes = greatest(0, c.bytes + p_bytes) FROM before b WHERE c.id = b.id
                RETURNING c.id, c.backend_id, b.bytes AS was, c.bytes)
            SELECT coalesce(array_agg(usage_step(id, backend_id, 'writing', was, 'writing', bytes)), '{}') INTO deltas FROM changed;
            PERFORM apply_usage(deltas);
            RETURN 'reserved';
        END $$;

        -- What was reserved for the part is its own now.
        CREATE FUNCTION record_part_v2(
            p_upload uuid, p_number int, p_attempt uuid, p_size bigint, p_etag text, p_checksums text[], p_copies uuid[],
            p_backend_etags text[], p_reserved bigint
        ) RETURNS boolean LANGUAGE plpgsql AS $$
        DECLARE answer boolean;
        BEGIN
            answer := record_part_v1(p_upload, p_number, p_attempt, p_size, p_etag, p_checksums, p_copies, p_backend_etags);
            IF answer AND p_reserved > 0 THEN PERFORM reserve_part_v1(p_upload, -p_reserved); END IF;
            RETURN answer;
        END $$;
        """#
}
