/// Uploads, repair and drain of single copies, deletion of doomed ones (DESIGN §6).
enum Migration003Movement {
    static let sql = #"""
        -- Uploads ------------------------------------------------------------------------------------------------

        CREATE FUNCTION create_upload_v1(
            p_upload uuid, p_algorithm text, p_checksum_type text, p_bucket int, p_key text, p_version uuid, p_content_type text,
            p_headers text[], p_metadata text[], p_copies uuid[], p_backends int[], p_names text[], p_token uuid
        ) RETURNS TABLE (copy_id uuid, refusal text) LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO upload (id, bucket_id, key, version_id, token, state, checksum_algorithm, checksum_type)
            VALUES (p_upload, p_bucket, p_key, p_version, p_token, 'creating', p_algorithm, p_checksum_type);
            RETURN QUERY SELECT * FROM intend_v1(
                p_bucket, p_key, p_version, 0, p_content_type, p_headers, p_metadata, p_copies, p_backends, p_names, p_token, 0,
                false, p_upload);
            IF NOT EXISTS (SELECT 1 FROM version WHERE id = p_version) THEN DELETE FROM upload WHERE id = p_upload; END IF;
        END $$;

        -- Dooms the writing copies of uploads that are not in p_keep.
        CREATE FUNCTION drop_upload_copies(p_uploads uuid[], p_keep uuid[]) RETURNS usage_delta[] LANGUAGE plpgsql AS $$
        DECLARE deltas usage_delta[];
        BEGIN
            PERFORM 1 FROM copy WHERE upload_id = ANY (p_uploads) ORDER BY id FOR NO KEY UPDATE;
            WITH changed AS (
                UPDATE copy SET state = 'doomed', delete_not_before = clock_timestamp(), may_arrive_late = true,
                    lease_token = NULL, lease_until = NULL
                WHERE upload_id = ANY (p_uploads) AND state = 'writing' AND NOT id = ANY (p_keep) RETURNING id, backend_id, bytes)
            SELECT coalesce(array_agg(usage_step(id, backend_id, 'writing', bytes, 'doomed', bytes)), '{}') INTO deltas FROM changed;
            RETURN deltas;
        END $$;

        CREATE FUNCTION open_upload_v1(p_upload uuid, p_copies uuid[], p_backend_uploads text[]) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM 1 FROM upload WHERE id = p_upload FOR NO KEY UPDATE;
            UPDATE upload SET state = 'open', changed_at = clock_timestamp() WHERE id = p_upload AND state = 'creating';
            IF NOT FOUND THEN RETURN false; END IF;
            PERFORM 1 FROM copy WHERE upload_id = p_upload ORDER BY id FOR NO KEY UPDATE;
            UPDATE copy c SET backend_upload_id = u.backend_upload FROM unnest(p_copies, p_backend_uploads) u (id, backend_upload)
            WHERE c.id = u.id AND c.upload_id = p_upload AND c.state = 'writing';
            PERFORM apply_usage(drop_upload_copies(ARRAY[p_upload], p_copies));
            RETURN EXISTS (SELECT 1 FROM copy WHERE upload_id = p_upload AND state = 'writing');
        END $$;

        CREATE FUNCTION record_part_v1(
            p_upload uuid, p_number int, p_attempt uuid, p_size bigint, p_etag text, p_checksums text[], p_copies uuid[],
            p_backend_etags text[]
        ) RETURNS boolean LANGUAGE plpgsql AS $$
        DECLARE
            growth bigint;
            deltas usage_delta[];
        BEGIN
            PERFORM 1 FROM upload WHERE id = p_upload FOR NO KEY UPDATE;
            PERFORM 1 FROM upload WHERE id = p_upload AND state = 'open';
            IF NOT FOUND THEN RETURN false; END IF;
            -- A part that only backends took which are out already counts for nothing, and must not cost the others.
            PERFORM 1 FROM copy WHERE upload_id = p_upload ORDER BY id FOR NO KEY UPDATE;
            PERFORM 1 FROM copy WHERE upload_id = p_upload AND state = 'writing' AND id = ANY (p_copies);
            IF NOT FOUND THEN RETURN false; END IF;
            growth := p_size - coalesce((SELECT size FROM upload_part WHERE upload_id = p_upload AND number = p_number), 0);
            INSERT INTO upload_part (upload_id, number, attempt, size, etag, checksums, copy_ids, backend_etags)
            VALUES (p_upload, p_number, p_attempt, p_size, p_etag, p_checksums, p_copies, p_backend_etags)
            ON CONFLICT (upload_id, number) DO UPDATE SET attempt = excluded.attempt, size = excluded.size, etag = excluded.etag,
                checksums = excluded.checksums, copy_ids = excluded.copy_ids, backend_etags = excluded.backend_etags,
                modified_at = clock_timestamp();
            deltas := drop_upload_copies(ARRAY[p_upload], p_copies);
            WITH changed AS (
                UPDATE copy SET bytes = bytes + growth WHERE upload_id = p_upload AND state = 'writing'
                RETURNING id, backend_id, bytes)
            SELECT deltas || coalesce(array_agg(usage_step(id, backend_id, 'writing', bytes - growth, 'writing', bytes)), '{}')
            INTO deltas FROM changed;
            PERFORM apply_usage(deltas);
            RETURN true;
        END $$;

        CREATE FUNCTION begin_complete_v1(
            p_upload uuid, p_bucket int, p_key text, p_numbers int[], p_etags text[]
        ) RETURNS TABLE (outcome text, number int) LANGUAGE plpgsql AS $$
        DECLARE
            now_state text;
            wrong int;
        BEGIN
            PERFORM 1 FROM upload u WHERE u.id = p_upload AND u.bucket_id = p_bucket AND u.key = p_key FOR NO KEY UPDATE;
            SELECT u.state INTO now_state FROM upload u WHERE u.id = p_upload AND u.bucket_id = p_bucket AND u.key = p_key;
            IF now_state IS NULL OR now_state IN ('creating', 'aborted') THEN RETURN QUERY SELECT 'noSuchUpload', 0; RETURN; END IF;
            IF now_state = 'completed' THEN RETURN QUERY SELECT 'alreadyCompleted', 0; RETURN; END IF;
            SELECT c.number INTO wrong FROM unnest(p_numbers, p_etags) c (number, etag)
            LEFT JOIN upload_part p ON p.upload_id = p_upload AND p.number = c.number
            WHERE p.etag IS DISTINCT FROM c.etag ORDER BY c.number LIMIT 1;
            IF FOUND THEN RETURN QUERY SELECT 'invalidPart', wrong; RETURN; END IF;
            -- Once the backends may have completed with one list, another list is another object.
            IF now_state = 'completing' AND EXISTS (
                SELECT 1 FROM upload u WHERE u.id = p_upload AND u.chosen_numbers IS DISTINCT FROM p_numbers) THEN
                RETURN QUERY SELECT 'noSuchUpload', 0; RETURN;
            END IF;
            UPDATE upload u SET state = 'completing', chosen_numbers = p_numbers, chosen_etags = p_etags,
                changed_at = clock_timestamp() WHERE u.id = p_upload;
            RETURN QUERY SELECT 'proceed', 0;
        END $$;

        -- Versions before copies before stripes, for all the uploads at once; the uploads are locked already.
        CREATE FUNCTION end_uploads(p_uploads uuid[]) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            versions uuid[] := array(SELECT version_id FROM upload WHERE id = ANY (p_uploads));
            deltas usage_delta[];
        BEGIN
            UPDATE upload SET state = 'aborted', changed_at = clock_timestamp() WHERE id = ANY (p_uploads);
            PERFORM 1 FROM version v WHERE v.id = ANY (versions) ORDER BY v.id FOR NO KEY UPDATE;
            deltas := drop_upload_copies(p_uploads, '{}');
            PERFORM end_unwritten(versions);
            PERFORM apply_usage(deltas);
        END $$;

        CREATE FUNCTION abort_upload_v1(p_upload uuid, p_bucket int, p_key text, p_force boolean) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM 1 FROM upload WHERE id = p_upload FOR NO KEY UPDATE;
            PERFORM 1 FROM upload WHERE id = p_upload AND bucket_id = p_bucket AND key = p_key
                AND (state IN ('creating', 'open') OR p_force AND state = 'completing');
            IF NOT FOUND THEN RETURN false; END IF;
            PERFORM end_uploads(ARRAY[p_upload]);
            RETURN true;
        END $$;

        -- A Complete that has begun is given the drain's grace of its own.
        CREATE FUNCTION abort_stale_uploads_v1(p_drain_grace_ms bigint, p_max_age_ms bigint, p_limit int) RETURNS int LANGUAGE plpgsql AS $$
        DECLARE
            drain_limit timestamptz := clock_timestamp() - make_interval(secs => p_drain_grace_ms / 1000.0);
            age_limit timestamptz := clock_timestamp() - make_interval(secs => p_max_age_ms / 1000.0);
            stale uuid[];
        BEGIN
            SELECT array_agg(x.id) INTO stale FROM (
                SELECT u.id FROM upload u
                WHERE u.state IN ('creating', 'open', 'completing') AND (
                    u.created_at <= age_limit AND (u.state <> 'completing' OR u.changed_at <= age_limit)
                    OR (u.state <> 'completing' OR u.changed_at <= drain_limit) AND EXISTS (
                        SELECT 1 FROM copy c JOIN backend b ON b.id = c.backend_id JOIN drain d ON d.backend_id = b.id
                        WHERE c.upload_id = u.id AND c.state = 'writing' AND b.phase = 'draining' AND d.started_at <= drain_limit))
                ORDER BY u.id LIMIT p_limit FOR NO KEY UPDATE OF u SKIP LOCKED) x;
            IF stale IS NULL THEN RETURN 0; END IF;
            PERFORM end_uploads(stale);
            RETURN cardinality(stale);
        END $$;

        -- Moves --------------------------------------------------------------------------------------------------

        CREATE FUNCTION held(p_version uuid, p_staying int[]) RETURNS bigint LANGUAGE sql STABLE AS $$
            SELECT count(*) FROM copy WHERE version_id = p_version AND state = 'live' AND NOT suspect AND backend_id = ANY (p_staying)
        $$;

        -- Since when a version has had as many copies as now: its last copy, its bucket's factor, its holders' phases.
        CREATE FUNCTION held_since(p_version uuid, p_staying int[]) RETURNS timestamptz LANGUAGE sql STABLE AS $$
            SELECT max(greatest(coalesce(c.live_at, c.created_at), b.phase_since)) FROM copy c JOIN backend b ON b.id = c.backend_id
            WHERE c.version_id = p_version AND c.state = 'live' AND NOT c.suspect AND c.backend_id = ANY (p_staying)
        $$;

        CREATE FUNCTION in_scope(
            p_version uuid, p_scope text, p_backend int, p_bucket int, p_factor int, p_staying int[]
        ) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
        DECLARE delay interval;
        BEGIN
            CASE p_scope
            WHEN 'leaving' THEN
                RETURN EXISTS (SELECT 1 FROM copy WHERE version_id = p_version AND backend_id = p_backend AND state = 'live');
            WHEN 'short' THEN
                -- A suspect copy is work until it is doomed, also when the worker that replaced it went away before that.
                RETURN held(p_version, p_staying) < p_factor OR EXISTS (
                    SELECT 1 FROM copy WHERE version_id = p_version AND state = 'live' AND suspect AND backend_id = ANY (p_staying));
            WHEN 'surplus' THEN
                IF held(p_version, p_staying) <= p_factor THEN RETURN false; END IF;
                SELECT make_interval(secs => trim_delay_ms / 1000.0) INTO delay FROM spec_revision ORDER BY revision DESC LIMIT 1;
                RETURN clock_timestamp() - delay >= greatest(
                    held_since(p_version, p_staying), (SELECT factor_since FROM bucket WHERE id = p_bucket));
            END CASE;
        END $$;

        -- Fresh versions first, in order of an index, so that the cost of a claim does not grow with all there is to do; then
        -- those that failed before, by their failures. p_from is where an earlier claim of a bucket's scope ended.
        CREATE FUNCTION claim_v1(
            p_scope text, p_backend int, p_bucket int, p_factor int, p_staying int[], p_from text, p_limit int, p_token uuid,
            p_lease_ms bigint
        ) RETURNS TABLE (version_id uuid, attempts int) LANGUAGE plpgsql AS $$
        DECLARE
            chosen uuid[];
            again uuid[];
            moment timestamptz := clock_timestamp();
        BEGIN
            IF p_scope = 'leaving' THEN
                chosen := array(
                    SELECT v.id FROM copy c JOIN version v ON v.id = c.version_id
                    WHERE c.backend_id = p_backend AND c.state = 'live'
                        AND NOT EXISTS (SELECT 1 FROM work w WHERE w.version_id = c.version_id)
                    ORDER BY c.version_id LIMIT p_limit FOR NO KEY UPDATE OF v SKIP LOCKED);
            ELSE
                chosen := array(
                    SELECT v.id FROM object o JOIN version v ON v.id = o.current_version
                    WHERE o.bucket_id = p_bucket AND o.key >= p_from
                        AND NOT EXISTS (SELECT 1 FROM work w WHERE w.version_id = o.current_version)
                        AND in_scope(o.current_version, p_scope, p_backend, p_bucket, p_factor, p_staying)
                    ORDER BY o.key LIMIT p_limit FOR NO KEY UPDATE OF v SKIP LOCKED);
            END IF;
            IF cardinality(chosen) < p_limit THEN
                again := array(
                    SELECT v.id FROM work w JOIN version v ON v.id = w.version_id
                    WHERE w.lease_until < moment AND w.not_before <= moment AND v.committed_at IS NOT NULL AND v.superseded_at IS NULL
                        AND (p_scope = 'leaving' OR v.bucket_id = p_bucket)
                        AND in_scope(v.id, p_scope, p_backend, p_bucket, p_factor, p_staying)
                    ORDER BY w.attempts, v.id LIMIT p_limit - cardinality(chosen) FOR NO KEY UPDATE OF v SKIP LOCKED);
                chosen := chosen || again;
            END IF;
            -- Who claimed them since this snapshot has a lease that the last condition respects.
            RETURN QUERY
            INSERT INTO work AS w (version_id, token, lease_until, not_before)
            SELECT id, p_token, moment + make_interval(secs => p_lease_ms / 1000.0), moment FROM unnest(chosen) id ORDER BY id
            ON CONFLICT ON CONSTRAINT work_pkey DO UPDATE SET token = excluded.token, lease_until = excluded.lease_until
            WHERE w.lease_until < moment AND w.not_before <= moment
            RETURNING w.version_id, w.attempts;
        END $$;

        CREATE FUNCTION intend_copy_v1(
            p_copy uuid, p_version uuid, p_backend int, p_name text, p_token uuid, p_lease_ms bigint
        ) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE
            bytes bigint;
            why text;
        BEGIN
            PERFORM set_config('synchronous_commit', 'off', true);
            PERFORM gates_shared(ARRAY[p_backend]);
            PERFORM 1 FROM version WHERE id = p_version FOR NO KEY UPDATE;
            SELECT size INTO bytes FROM version WHERE id = p_version AND committed_at IS NOT NULL AND superseded_at IS NULL;
            IF NOT FOUND THEN RETURN 'notRetained'; END IF;
            why := intent_refusal(p_backend, p_version, bytes);
            IF why IS NOT NULL THEN RETURN why; END IF;
            INSERT INTO copy (id, version_id, backend_id, physical_key, state, bytes, lease_token, lease_until)
            VALUES (p_copy, p_version, p_backend, p_name, 'writing', bytes, p_token,
                clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0));
            PERFORM apply_usage(ARRAY[usage_step(p_copy, p_backend, NULL, 0, 'writing', bytes)]);
            RETURN 'admitted';
        END $$;

        CREATE FUNCTION commit_copy_v1(
            p_copy uuid, p_provider_version text, p_version uuid, p_token uuid, p_grace_ms bigint
        ) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE
            retained boolean;
            one record;
        BEGIN
            PERFORM 1 FROM version WHERE id = p_version FOR NO KEY UPDATE;
            PERFORM 1 FROM copy WHERE id = p_copy FOR NO KEY UPDATE;
            retained := EXISTS (SELECT 1 FROM version WHERE id = p_version AND committed_at IS NOT NULL AND superseded_at IS NULL);
            SELECT * INTO one FROM copy WHERE id = p_copy;
            IF NOT FOUND OR one.state IN ('doomed', 'gone') THEN RETURN 'superseded'; END IF;
            IF one.state = 'live' THEN RETURN 'live'; END IF;
            IF retained AND one.lease_token = p_token THEN
                UPDATE copy SET state = 'live', live_at = clock_timestamp(), provider_version = p_provider_version, lease_token = NULL, lease_until = NULL WHERE id = p_copy;
                PERFORM apply_usage(ARRAY[usage_step(p_copy, one.backend_id, 'writing', one.bytes, 'live', one.bytes)]);
                RETURN 'live';
            END IF;
            UPDATE copy SET state = 'doomed', delete_not_before = clock_timestamp(), lease_token = NULL, lease_until = NULL WHERE id = p_copy;
            PERFORM apply_usage(ARRAY[usage_step(p_copy, one.backend_id, 'writing', one.bytes, 'doomed', one.bytes)]);
            RETURN 'superseded';
        END $$;

        CREATE FUNCTION doom_v1(
            p_copy uuid, p_version uuid, p_factor int, p_counted int[], p_grace_ms bigint
        ) RETURNS TABLE (outcome text, others int, required int) LANGUAGE plpgsql AS $$
        DECLARE
            one record;
            elsewhere int;
            had int;
            needed int;
        BEGIN
            PERFORM gates_shared(p_counted);
            PERFORM 1 FROM version WHERE id = p_version FOR NO KEY UPDATE;
            PERFORM 1 FROM copy c WHERE c.version_id = p_version ORDER BY c.id FOR NO KEY UPDATE;
            SELECT * INTO one FROM copy c WHERE c.id = p_copy;
            IF NOT FOUND OR one.state <> 'live' THEN RETURN QUERY SELECT 'notLive', 0, 0; RETURN; END IF;
            SELECT count(*) FILTER (WHERE c.id <> p_copy AND c.backend_id = ANY (p_counted) AND b.phase = 'active' AND b.declared), count(*)
            INTO elsewhere, had
            FROM copy c JOIN backend b ON b.id = c.backend_id
            WHERE c.version_id = p_version AND c.state = 'live' AND NOT c.suspect;
            needed := greatest(1, least(p_factor, had));
            IF elsewhere < needed THEN RETURN QUERY SELECT 'kept', elsewhere, needed; RETURN; END IF;
            UPDATE copy SET state = 'doomed', delete_not_before = clock_timestamp() + make_interval(secs => p_grace_ms / 1000.0)
            WHERE id = p_copy;
            PERFORM apply_usage(ARRAY[usage_step(p_copy, one.backend_id, 'live', one.bytes, 'doomed', one.bytes)]);
            RETURN QUERY SELECT 'doomed', elsewhere, needed;
        END $$;

        -- Deletion -----------------------------------------------------------------------------------------------

        CREATE FUNCTION settle_v1(
            p_copy uuid, p_token uuid, p_result text, p_after_ms bigint, p_evidence text
        ) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE one record;
        BEGIN
            SELECT * INTO one FROM copy WHERE id = p_copy AND claim_token = p_token AND state = 'doomed' FOR NO KEY UPDATE;
            IF NOT FOUND THEN RETURN; END IF;
            IF p_result = 'gone' THEN
                UPDATE copy SET state = 'gone', claim_token = NULL, claim_until = NULL WHERE id = p_copy;
                PERFORM apply_usage(ARRAY[usage_step(p_copy, one.backend_id, 'doomed', one.bytes, 'gone', one.bytes)]);
            ELSIF p_result = 'lookAgain' THEN
                UPDATE copy SET seen_absent = true, attempts = 0, last_error = NULL, claim_token = NULL, claim_until = NULL,
                    delete_not_before = clock_timestamp() + make_interval(secs => p_after_ms / 1000.0) WHERE id = p_copy;
            ELSE
                UPDATE copy SET attempts = attempts + 1, last_error = left(p_evidence, 500), claim_token = NULL, claim_until = NULL,
                    delete_not_before = clock_timestamp() + make_interval(secs => p_after_ms / 1000.0) WHERE id = p_copy;
            END IF;
        END $$;

        CREATE FUNCTION reap_writes_v1(p_limit int) RETURNS int LANGUAGE plpgsql AS $$
        DECLARE
            versions uuid[];
            deltas usage_delta[];
        BEGIN
            SELECT array_agg(x.id) INTO versions FROM (
                SELECT v.id FROM version v
                WHERE v.id IN (SELECT c.version_id FROM copy c WHERE c.state = 'writing' AND c.lease_until < clock_timestamp() LIMIT p_limit)
                ORDER BY v.id FOR NO KEY UPDATE SKIP LOCKED) x;
            IF versions IS NULL THEN RETURN 0; END IF;
            PERFORM 1 FROM copy c WHERE c.version_id = ANY (versions) ORDER BY c.id FOR NO KEY UPDATE;
            WITH changed AS (
                UPDATE copy SET state = 'doomed', may_arrive_late = true, delete_not_before = clock_timestamp(),
                    lease_token = NULL, lease_until = NULL
                WHERE version_id = ANY (versions) AND state = 'writing' AND lease_until < clock_timestamp() RETURNING id, backend_id, bytes)
            SELECT coalesce(array_agg(usage_step(id, backend_id, 'writing', bytes, 'doomed', bytes)), '{}') INTO deltas FROM changed;
            PERFORM end_unwritten(versions);
            PERFORM apply_usage(deltas);
            RETURN cardinality(deltas);
        END $$;

        -- Locks are only taken where nobody waits, so their order does not matter here.
        CREATE FUNCTION forget_gone_v1(p_limit int) RETURNS int LANGUAGE plpgsql AS $$
        DECLARE
            forgotten int;
            more int;
            ended uuid[];
        BEGIN
            WITH one AS MATERIALIZED (SELECT id FROM copy WHERE state = 'gone' LIMIT p_limit FOR UPDATE SKIP LOCKED)
            DELETE FROM copy c USING one WHERE c.id = one.id;
            GET DIAGNOSTICS forgotten = ROW_COUNT;
            -- The result of a Complete is kept for a day, for those who ask again.
            ended := array(
                SELECT id FROM upload WHERE state IN ('completed', 'aborted') AND changed_at < clock_timestamp() - interval '1 day'
                LIMIT p_limit FOR UPDATE SKIP LOCKED);
            DELETE FROM upload_part WHERE upload_id = ANY (ended);
            DELETE FROM upload WHERE id = ANY (ended);
            WITH one AS MATERIALIZED (
                SELECT v.id FROM version v
                WHERE v.superseded_at IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM copy c WHERE c.version_id = v.id)
                    AND NOT EXISTS (SELECT 1 FROM upload u WHERE u.version_id = v.id)
                LIMIT p_limit FOR UPDATE SKIP LOCKED)
            DELETE FROM version v USING one WHERE v.id = one.id;
            GET DIAGNOSTICS more = ROW_COUNT;
            forgotten := forgotten + more;
            DELETE FROM work w WHERE NOT EXISTS (SELECT 1 FROM version v WHERE v.id = w.version_id);
            WITH one AS MATERIALIZED (
                SELECT o.bucket_id, o.key FROM object o WHERE o.deleted_at IS NOT NULL AND o.current_version IS NULL
                LIMIT p_limit FOR UPDATE SKIP LOCKED)
            DELETE FROM object o USING one WHERE o.bucket_id = one.bucket_id AND o.key = one.key;
            GET DIAGNOSTICS more = ROW_COUNT;
            RETURN forgotten + more;
        END $$;
        """#
}
