/// Objects that no row names become versions again, when an operator says so.
enum Migration017Adoption {
    static let sql = #"""
        CREATE FUNCTION adopt_v1(
            p_bucket int, p_key text, p_version uuid, p_size bigint, p_etag text, p_content_type text, p_headers text[], p_metadata text[],
            p_written_us bigint, p_copies uuid[], p_backends int[], p_names text[], p_grace_ms bigint
        ) RETURNS TABLE (outcome text, adopted int) LANGUAGE plpgsql AS $$
        DECLARE
            old_version uuid;
            next_seq bigint;
            committed timestamptz;
            superseded timestamptz;
            has_row boolean;
            is_known boolean;
            fits uuid[];
            deltas usage_delta[] := '{}';
            written timestamptz := 'epoch'::timestamptz + make_interval(secs => p_written_us / 1000000.0);
        BEGIN
            PERFORM gates_shared(p_backends);
            PERFORM pg_advisory_xact_lock_shared(7005, p_bucket);
            IF NOT EXISTS (SELECT 1 FROM bucket WHERE id = p_bucket AND deleted_at IS NULL) THEN
                RETURN QUERY SELECT 'noSuchBucket', 0; RETURN;
            END IF;
            FOR attempt IN 1 .. 10 LOOP
                -- Not a deletion: it is forgotten again if nothing comes of this.
                INSERT INTO object (bucket_id, key, deleted_at) VALUES (p_bucket, p_key, '-infinity') ON CONFLICT DO NOTHING;
                PERFORM 1 FROM object o WHERE o.bucket_id = p_bucket AND o.key = p_key FOR NO KEY UPDATE;
                EXIT WHEN FOUND;
            END LOOP;
            SELECT o.current_version, greatest(o.last_seq + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
            INTO STRICT old_version, next_seq FROM object o WHERE o.bucket_id = p_bucket AND o.key = p_key;
            PERFORM 1 FROM version v WHERE v.id IN (p_version, old_version) ORDER BY v.id FOR NO KEY UPDATE;
            PERFORM 1 FROM copy c WHERE c.version_id IN (p_version, old_version) ORDER BY c.id FOR NO KEY UPDATE;
            SELECT v.committed_at, v.superseded_at INTO committed, superseded FROM version v WHERE v.id = p_version;
            has_row := FOUND;
            is_known := committed IS NOT NULL;
            IF is_known AND superseded IS NOT NULL OR NOT is_known AND (old_version > p_version OR EXISTS (
                    SELECT 1 FROM object o WHERE o.bucket_id = p_bucket AND o.key = p_key AND o.deleted_at > written)) THEN
                RETURN QUERY SELECT 'outdated', 0; RETURN;
            END IF;
            -- Two copies of one version are the same bytes, or one of them is not what it says.
            IF is_known AND NOT EXISTS (
                SELECT 1 FROM version v WHERE v.id = p_version AND v.size = p_size AND v.etag = p_etag) THEN
                RETURN QUERY SELECT 'differs', 0; RETURN;
            END IF;
            -- Somebody is writing it right now.
            IF EXISTS (SELECT 1 FROM copy c WHERE c.version_id = p_version AND c.state = 'writing') AND NOT is_known THEN
                RETURN QUERY SELECT 'notOrphan', 0; RETURN;
            END IF;
            -- Seen twice and ours; no row has the name; its backend is one that may hold copies, and holds no other of this version.
            fits := array(
                SELECT c.id FROM unnest(p_copies, p_backends, p_names) c (id, backend, name)
                JOIN backend b ON b.id = c.backend AND b.declared AND b.phase IN ('active', 'draining')
                JOIN orphan o ON o.backend_id = c.backend AND o.physical_key = c.name AND NOT o.is_upload AND NOT o.is_foreign
                    AND o.sightings >= 2
                WHERE NOT EXISTS (SELECT 1 FROM copy x WHERE x.backend_id = c.backend AND x.physical_key = c.name)
                    AND NOT EXISTS (
                        SELECT 1 FROM copy x WHERE x.version_id = p_version AND x.backend_id = c.backend
                            AND x.state IN ('writing', 'live') AND NOT x.suspect)
                ORDER BY c.id);
            IF cardinality(fits) = 0 THEN RETURN QUERY SELECT 'notOrphan', 0; RETURN; END IF;
            DELETE FROM orphan o USING unnest(p_copies, p_backends, p_names) c (id, backend, name)
            WHERE c.id = ANY (fits) AND o.backend_id = c.backend AND o.physical_key = c.name;
            IF NOT is_known AND has_row THEN
                UPDATE version v SET size = p_size, etag = p_etag, checksums = '{}', checksum_type = NULL, content_type = p_content_type,
                    headers = p_headers, metadata = p_metadata, part_sizes = '{}', seq = next_seq, committed_at = written,
                    superseded_at = NULL WHERE v.id = p_version;
            ELSIF NOT is_known THEN
                INSERT INTO version (
                    id, bucket_id, key, size, etag, content_type, headers, metadata, seq, committed_at, created_at)
                VALUES (
                    p_version, p_bucket, p_key, p_size, p_etag, p_content_type, p_headers, p_metadata, next_seq, written, written);
            END IF;
            IF NOT is_known THEN
                UPDATE object o SET current_version = p_version, last_seq = next_seq, deleted_at = NULL
                WHERE o.bucket_id = p_bucket AND o.key = p_key;
                IF old_version IS NOT NULL THEN deltas := supersede(ARRAY[old_version], p_grace_ms); END IF;
            END IF;
            WITH made AS (
                INSERT INTO copy (id, version_id, backend_id, physical_key, state, bytes, live_at)
                SELECT c.id, p_version, c.backend, c.name, 'live', p_size, clock_timestamp()
                FROM unnest(p_copies, p_backends, p_names) c (id, backend, name) WHERE c.id = ANY (fits)
                RETURNING id, backend_id)
            SELECT deltas || array_agg(usage_step(m.id, m.backend_id, NULL, 0, 'live', p_size)) INTO deltas FROM made m;
            PERFORM apply_usage(deltas);
            RETURN QUERY SELECT CASE WHEN is_known THEN 'copiesAdded' ELSE 'adopted' END, cardinality(fits);
        END $$;
        """#
}
