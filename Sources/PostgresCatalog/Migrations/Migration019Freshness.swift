/// Nothing goes by what was so a while ago: pauses end when the fleet changes, and decisions are made under the spec in force.
enum Migration019Freshness {
    static let sql = #"""
        ALTER TABLE work ADD COLUMN released_at timestamptz NOT NULL DEFAULT '-infinity';

        -- Replaced, with the same shape: whether a backend gives no answer or a wrong one, it has been away since the first of them.
        CREATE OR REPLACE FUNCTION publish_v1(
            p_kinds text[], p_names text[], p_types text[], p_statuses text[], p_reasons text[], p_messages text[],
            p_generations bigint[], e_kinds text[], e_names text[], e_reasons text[], e_warnings boolean[], e_messages text[]
        ) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock(7004, 0);
            DELETE FROM condition c WHERE EXISTS (
                SELECT 1 FROM unnest(p_kinds, p_names) s (kind, name) WHERE s.kind = c.kind AND s.name = c.name)
                AND NOT EXISTS (
                    SELECT 1 FROM unnest(p_kinds, p_names, p_types) s (kind, name, type)
                    WHERE s.kind = c.kind AND s.name = c.name AND s.type = c.type);
            INSERT INTO condition AS c (kind, name, type, status, reason, message, observed_generation)
            SELECT DISTINCT ON (1, 2, 3) * FROM unnest(p_kinds, p_names, p_types, p_statuses, p_reasons, p_messages, p_generations)
            ON CONFLICT (kind, name, type) DO UPDATE SET reason = excluded.reason, message = excluded.message,
                observed_generation = excluded.observed_generation, status = excluded.status,
                last_transition_at = CASE
                    WHEN c.status = excluded.status OR c.type = 'Identified' AND c.status <> 'True' AND excluded.status <> 'True'
                    THEN c.last_transition_at ELSE clock_timestamp() END;
            INSERT INTO event AS e (kind, name, reason, is_warning, message)
            SELECT DISTINCT ON (1, 2, 3) * FROM unnest(e_kinds, e_names, e_reasons, e_warnings, e_messages)
            ON CONFLICT (kind, name, reason) DO UPDATE SET count = e.count + 1, last_at = clock_timestamp(),
                message = excluded.message, is_warning = excluded.is_warning;
            DELETE FROM event WHERE last_at < clock_timestamp() - interval '30 days';
        END $$;

        -- When something happened by which that may succeed which did not.
        CREATE FUNCTION fleet_changed_at() RETURNS timestamptz LANGUAGE sql STABLE AS $$
            SELECT greatest(
                (SELECT max(phase_since) FROM backend), (SELECT max(accepted_at) FROM spec_revision),
                (SELECT max(last_transition_at) FROM condition WHERE type = 'Identified' AND status = 'True'))
        $$;

        -- In nobody's hands, and its pause is over, or the fleet has changed since it began.
        CREATE FUNCTION is_due(w work, p_moment timestamptz, p_changed timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
            SELECT w.lease_until < p_moment AND (w.not_before <= p_moment OR w.released_at < p_changed)
        $$;

        -- Fresh versions first, in order of an index, so that the cost of a claim does not grow with all there is to do; then those that
        -- were put off, the longest due first.
        CREATE FUNCTION claim_leaving_v1(p_backend int, p_limit int, p_token uuid, p_lease_ms bigint)
        RETURNS TABLE (version_id uuid, attempts int) LANGUAGE plpgsql AS $$
        DECLARE
            chosen uuid[];
            moment timestamptz := clock_timestamp();
            changed timestamptz := least(fleet_changed_at(), moment);
        BEGIN
            chosen := array(
                SELECT v.id FROM copy c JOIN version v ON v.id = c.version_id
                WHERE c.backend_id = p_backend AND c.state = 'live'
                    AND NOT EXISTS (SELECT 1 FROM work w WHERE w.version_id = c.version_id)
                ORDER BY c.version_id LIMIT p_limit FOR NO KEY UPDATE OF v SKIP LOCKED);
            IF cardinality(chosen) < p_limit THEN
                chosen := chosen || array(
                    SELECT v.id FROM work w JOIN version v ON v.id = w.version_id
                    WHERE is_due(w, moment, changed) AND v.committed_at IS NOT NULL AND v.superseded_at IS NULL
                        AND EXISTS (
                            SELECT 1 FROM copy c WHERE c.version_id = v.id AND c.backend_id = p_backend AND c.state = 'live')
                    ORDER BY w.not_before, v.id LIMIT p_limit - cardinality(chosen) FOR NO KEY UPDATE OF v SKIP LOCKED);
            END IF;
            -- Who claimed them since this snapshot has a lease that the last condition respects.
            RETURN QUERY
            INSERT INTO work AS w (version_id, token, lease_until, not_before)
            SELECT id, p_token, moment + make_interval(secs => p_lease_ms / 1000.0), moment FROM unnest(chosen) id ORDER BY id
            ON CONFLICT ON CONSTRAINT work_pkey DO UPDATE SET token = excluded.token, lease_until = excluded.lease_until
            WHERE is_due(w, moment, changed)
            RETURNING w.version_id, w.attempts;
        END $$;

        -- Replaced, with the same shape.
        CREATE OR REPLACE FUNCTION claim_again_v1(
            p_scope text, p_bucket int, p_factor int, p_staying int[], p_limit int, p_token uuid, p_lease_ms bigint
        ) RETURNS TABLE (version_id uuid, attempts int) LANGUAGE plpgsql AS $$
        DECLARE
            moment timestamptz := clock_timestamp();
            changed timestamptz := least(fleet_changed_at(), moment);
            chosen uuid[];
        BEGIN
            chosen := array(
                SELECT v.id FROM work w JOIN version v ON v.id = w.version_id
                WHERE is_due(w, moment, changed) AND v.committed_at IS NOT NULL AND v.superseded_at IS NULL
                    AND v.bucket_id = p_bucket AND in_scope(v.id, p_scope, 0, p_bucket, p_factor, p_staying)
                ORDER BY w.not_before, v.id LIMIT p_limit FOR NO KEY UPDATE OF v SKIP LOCKED);
            RETURN QUERY
            UPDATE work w SET token = p_token, lease_until = moment + make_interval(secs => p_lease_ms / 1000.0)
            WHERE w.version_id = ANY (chosen) AND is_due(w, moment, changed)
            RETURNING w.version_id, w.attempts;
        END $$;

        -- Since when each backend has been where it is: a copy that comes back with its disk is surplus from then on, and not from when it
        -- was made.
        CREATE FUNCTION present_since() RETURNS TABLE (id int, since timestamptz) LANGUAGE sql STABLE AS $$
            SELECT b.id, greatest(b.phase_since, x.last_transition_at) FROM backend b
            LEFT JOIN condition x ON x.kind = 'backend' AND x.name = b.name AND x.type = 'Identified' AND x.status = 'True'
        $$;

        -- Both replaced, with the same shape.
        CREATE OR REPLACE FUNCTION held_since(p_version uuid, p_staying int[]) RETURNS timestamptz LANGUAGE sql STABLE AS $$
            SELECT max(greatest(coalesce(c.live_at, c.created_at), b.since)) FROM copy c JOIN present_since() b ON b.id = c.backend_id
            WHERE c.version_id = p_version AND c.state = 'live' AND NOT c.suspect AND c.backend_id = ANY (p_staying)
        $$;

        CREATE OR REPLACE FUNCTION claim_window_v1(
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
            WITH b AS MATERIALIZED (SELECT p.id, p.since FROM present_since() p)
            SELECT array_agg(f.id ORDER BY f.key), array_agg(f.key ORDER BY f.key) INTO wanted, wanted_keys FROM (
                SELECT o.key, o.current_version AS id
                FROM object o CROSS JOIN LATERAL (
                    SELECT count(c.id) FILTER (WHERE NOT c.suspect) AS good, coalesce(bool_or(c.suspect), false) AS has_suspect,
                        max(greatest(coalesce(c.live_at, c.created_at), b.since)) FILTER (WHERE NOT c.suspect) AS held_since
                    FROM copy c JOIN b ON b.id = c.backend_id
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

        -- A worker may go by a spec that was replaced since: of two factors the larger one is kept.
        CREATE FUNCTION doom_v4(
            p_copy uuid, p_version uuid, p_factor int, p_counted int[], p_grace_ms bigint, p_ceiling bigint
        ) RETURNS TABLE (outcome text, others int, required int) LANGUAGE plpgsql AS $$
        DECLARE factor_now int;
        BEGIN
            PERFORM gates_shared(p_counted);
            -- Of buckets that are not declared any more the row keeps an old one; the fleet's holds for them.
            SELECT greatest(p_factor, b.factor) INTO factor_now FROM version v JOIN bucket b ON b.id = v.bucket_id
            WHERE v.id = p_version AND (b.declared OR b.owner IS NOT NULL);
            RETURN QUERY SELECT * FROM doom_v3(p_copy, p_version, coalesce(factor_now, p_factor), p_counted, p_grace_ms, p_ceiling);
        END $$;

        -- As reserve_part_v1, but copies without room leave the upload where p_keeping others have it.
        CREATE FUNCTION reserve_part_v2(p_upload uuid, p_bytes bigint, p_keeping int)
        RETURNS TABLE (outcome text, dropped uuid[]) LANGUAGE plpgsql AS $$
        DECLARE
            one record;
            deltas usage_delta[] := '{}';
            roomy uuid[] := '{}';
            gone uuid[] := '{}';
        BEGIN
            PERFORM 1 FROM upload WHERE id = p_upload FOR NO KEY UPDATE;
            PERFORM 1 FROM upload WHERE id = p_upload AND state = 'open';
            IF NOT FOUND THEN RETURN QUERY SELECT 'noSuchUpload', gone; RETURN; END IF;
            PERFORM 1 FROM copy WHERE upload_id = p_upload ORDER BY id FOR NO KEY UPDATE;
            FOR one IN
                SELECT c.id AS copy, b.id, b.quota FROM copy c JOIN backend b ON b.id = c.backend_id
                WHERE c.upload_id = p_upload AND c.state = 'writing' ORDER BY b.id
            LOOP
                -- As intents do where the end is near: the stripes do not show what others are about to reserve.
                IF p_bytes > 0 AND occupied(one.id) + p_bytes > one.quota - greatest(one.quota / 10, 67108864) THEN
                    PERFORM pg_advisory_xact_lock(7003, one.id);
                    IF occupied(one.id) + p_bytes > one.quota THEN
                        gone := gone || one.copy;
                        CONTINUE;
                    END IF;
                END IF;
                roomy := roomy || one.copy;
            END LOOP;
            IF cardinality(gone) > 0 THEN
                IF cardinality(roomy) < greatest(1, p_keeping) THEN RETURN QUERY SELECT 'overQuota', '{}'::uuid[]; RETURN; END IF;
                deltas := drop_upload_copies(ARRAY[p_upload], roomy);
            END IF;
            WITH before AS (SELECT id, bytes FROM copy WHERE id = ANY (roomy)), changed AS (
                UPDATE copy c SET bytes = greatest(0, c.bytes + p_bytes) FROM before b WHERE c.id = b.id
                RETURNING c.id, c.backend_id, b.bytes AS was, c.bytes)
            SELECT deltas || coalesce(array_agg(usage_step(id, backend_id, 'writing', was, 'writing', bytes)), '{}') INTO deltas
            FROM changed;
            PERFORM apply_usage(deltas);
            RETURN QUERY SELECT 'reserved', gone;
        END $$;

        -- As accept_v3 answers, without accepting.
        CREATE FUNCTION verdict_v1(p_digest text, p_rollback boolean, p_names text[], p_states text[])
        RETURNS TABLE (outcome text, number bigint, detail text) LANGUAGE plpgsql STABLE AS $$
        DECLARE
            current bigint;
            before bigint;
            one record;
        BEGIN
            SELECT coalesce(max(s.revision), 0) INTO current FROM spec_revision s;
            SELECT max(s.revision) INTO before FROM spec_revision s WHERE s.digest = p_digest;
            IF before = current THEN RETURN QUERY SELECT 'unchanged', current, ''; RETURN; END IF;
            IF before IS NOT NULL AND NOT p_rollback THEN RETURN QUERY SELECT 'superseded', current, before::text; RETURN; END IF;
            SELECT b.name, CASE WHEN b.phase = 'retired' THEN 'retired' ELSE 'retiring' END AS verdict INTO one
            FROM unnest(p_names, p_states) WITH ORDINALITY n (name, state, place) JOIN backend b ON b.name = n.name
            WHERE n.state <> 'removed' AND (b.phase IN ('retiring', 'retired') OR b.abandoned_at IS NOT NULL) ORDER BY n.place LIMIT 1;
            IF FOUND THEN RETURN QUERY SELECT one.verdict, current, one.name; RETURN; END IF;
            RETURN QUERY SELECT 'accepted', current + 1, '';
        END $$;

        -- p_revision null: whatever is in force. Specs are accepted under the same gates.
        CREATE FUNCTION change_phase_v5(p_backend int, p_from text, p_to text, p_revision bigint) RETURNS TABLE (
            outcome text, phase_now text, writing bigint, live bigint, uploads bigint, doomed bigint, waiting bigint, dead bigint
        ) LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock(7001, p_backend);
            IF p_revision IS DISTINCT FROM (SELECT max(s.revision) FROM spec_revision s) AND p_revision IS NOT NULL THEN
                RETURN QUERY SELECT 'notFrom', b.phase, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint
                FROM backend b WHERE b.id = p_backend;
                RETURN;
            END IF;
            RETURN QUERY SELECT * FROM change_phase_v4(p_backend, p_from, p_to);
        END $$;

        -- Copies that are where they are wanted and can be read, as was found last.
        CREATE FUNCTION held_soundly(p_version uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
            SELECT count(*) FROM copy h JOIN backend b ON b.id = h.backend_id
            WHERE h.version_id = p_version AND h.state = 'live' AND NOT h.suspect AND b.phase = 'active' AND b.declared
                AND NOT EXISTS (
                    SELECT 1 FROM condition x
                    WHERE x.kind = 'backend' AND x.name = b.name AND x.type = 'Identified' AND x.status <> 'True')
        $$;

        -- Replaced, with the same shape: a copy that was interrupted is kept only as long as somebody will go on with it.
        CREATE OR REPLACE FUNCTION is_resumable(c copy) RETURNS boolean LANGUAGE sql STABLE AS $$
            SELECT c.backend_upload_id IS NOT NULL AND c.upload_id IS NULL AND c.lease_until > clock_timestamp() - interval '1 day'
                AND (EXISTS (
                        SELECT 1 FROM copy h JOIN backend b ON b.id = h.backend_id
                        WHERE h.version_id = c.version_id AND h.state = 'live' AND b.phase = 'draining')
                    OR c.lease_until > clock_timestamp() - interval '15 minutes' AND EXISTS (
                        SELECT 1 FROM version v JOIN bucket k ON k.id = v.bucket_id
                        WHERE v.id = c.version_id
                            AND (held_soundly(v.id) < k.factor OR NOT k.declared AND k.owner IS NULL)))
                AND EXISTS (SELECT 1 FROM backend b WHERE b.id = c.backend_id AND b.phase = 'active' AND b.declared)
                AND EXISTS (SELECT 1 FROM version v WHERE v.id = c.version_id AND v.committed_at IS NOT NULL AND v.superseded_at IS NULL)
        $$;

        -- What was renewed since it was chosen is not expired.
        CREATE FUNCTION let_go_expired(p_copies uuid[]) RETURNS int LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM 1 FROM version WHERE id IN (SELECT version_id FROM copy WHERE id = ANY (p_copies)) ORDER BY id FOR NO KEY UPDATE;
            PERFORM 1 FROM copy WHERE id = ANY (p_copies) ORDER BY id FOR NO KEY UPDATE;
            RETURN let_go(array(SELECT id FROM copy WHERE id = ANY (p_copies) AND lease_until < clock_timestamp()));
        END $$;

        CREATE OR REPLACE FUNCTION reap_writes_v3(p_limit int) RETURNS int LANGUAGE plpgsql AS $$
        DECLARE
            born timestamptz;
            kept int := 0;
        BEGIN
            SELECT max(x.since) INTO born FROM (
                SELECT a.since, (SELECT max(p.until) FROM alive p WHERE p.since < a.since) AS before FROM alive a
                UNION ALL SELECT pg_postmaster_start_time(), (SELECT max(until) FROM alive)) x
            WHERE x.since > x.before + interval '1 minute';
            IF born IS NOT NULL THEN
                kept := let_go_expired(array(
                    SELECT c.id FROM copy c WHERE c.state = 'writing' AND c.upload_id IS NULL AND c.backend_upload_id IS NULL
                        AND c.lease_until < clock_timestamp() AND c.created_at < born LIMIT p_limit));
            END IF;
            RETURN kept + reap_writes_v2(p_limit);
        END $$;

        -- While an operator is to look at what the catalog lost, what clients delete is remembered, also where it is not known.
        CREATE FUNCTION delete_v3(
            p_bucket int, p_keys text[], p_matches text[], p_none_matches text[], p_sizes bigint[], p_times bigint[], p_grace_ms bigint
        ) RETURNS TABLE (deleted_key text, outcome text) LANGUAGE plpgsql AS $$
        DECLARE passed text[] := '{}';
        BEGIN
            IF NOT halted() THEN
                RETURN QUERY SELECT * FROM delete_v2(p_bucket, p_keys, p_matches, p_none_matches, p_sizes, p_times, p_grace_ms);
                RETURN;
            END IF;
            FOR deleted_key, outcome IN
                SELECT * FROM delete_v2(p_bucket, p_keys, p_matches, p_none_matches, p_sizes, p_times, p_grace_ms)
            LOOP
                IF outcome = 'passes' THEN passed := passed || deleted_key; END IF;
                RETURN NEXT;
            END LOOP;
            INSERT INTO object AS o (bucket_id, key, deleted_at)
            SELECT p_bucket, k, clock_timestamp() FROM (SELECT DISTINCT unnest(passed) AS k) x ORDER BY k
            ON CONFLICT (bucket_id, key) DO UPDATE SET deleted_at = excluded.deleted_at WHERE o.current_version IS NULL;
        END $$;

        -- Of two writes at the same time either may be the later one, and only one of them is known to be acknowledged. Ids are by the
        -- clocks of gateways, which may differ.
        CREATE FUNCTION adopt_v2(
            p_bucket int, p_key text, p_version uuid, p_size bigint, p_etag text, p_content_type text, p_headers text[], p_metadata text[],
            p_written_us bigint, p_copies uuid[], p_backends int[], p_names text[], p_grace_ms bigint
        ) RETURNS TABLE (outcome text, adopted int) LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM gates_shared(p_backends);
            PERFORM pg_advisory_xact_lock_shared(7005, p_bucket);
            PERFORM 1 FROM object o WHERE o.bucket_id = p_bucket AND o.key = p_key FOR NO KEY UPDATE;
            IF NOT EXISTS (SELECT 1 FROM version v WHERE v.id = p_version AND v.committed_at IS NOT NULL) AND EXISTS (
                SELECT 1 FROM object o JOIN version v ON v.id = o.current_version
                WHERE o.bucket_id = p_bucket AND o.key = p_key
                    AND v.committed_at >= 'epoch'::timestamptz + make_interval(secs => p_written_us / 1000000.0)) THEN
                RETURN QUERY SELECT 'outdated', 0; RETURN;
            END IF;
            RETURN QUERY SELECT * FROM adopt_v1(
                p_bucket, p_key, p_version, p_size, p_etag, p_content_type, p_headers, p_metadata, p_written_us, p_copies, p_backends,
                p_names, p_grace_ms);
        END $$;

        -- Replaced, with the same shape: deletions are kept as long as a halt asks for a look, and work that left its scope by itself is
        -- forgotten. Locks are only taken where nobody waits, so their order does not matter here.
        CREATE OR REPLACE FUNCTION forget_gone_v1(p_limit int) RETURNS int LANGUAGE plpgsql AS $$
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
            -- What of it is still to be done is fresh again.
            WITH one AS MATERIALIZED (
                SELECT version_id FROM work
                WHERE lease_until < clock_timestamp() - interval '15 minutes' AND not_before < clock_timestamp() - interval '15 minutes'
                LIMIT p_limit FOR UPDATE SKIP LOCKED)
            DELETE FROM work w USING one WHERE w.version_id = one.version_id;
            IF halted() THEN RETURN forgotten; END IF;
            WITH one AS MATERIALIZED (
                SELECT o.bucket_id, o.key FROM object o WHERE o.deleted_at IS NOT NULL AND o.current_version IS NULL
                LIMIT p_limit FOR UPDATE SKIP LOCKED)
            DELETE FROM object o USING one WHERE o.bucket_id = one.bucket_id AND o.key = one.key;
            GET DIAGNOSTICS more = ROW_COUNT;
            RETURN forgotten + more;
        END $$;
        """#
}
