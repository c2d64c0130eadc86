/// The write protocol: intent, commit, resolution, delete (DESIGN §6). Each function is one transaction.
///
/// Functions are volatile, so each statement in them takes a fresh snapshot: a lock in one, the read it protects in the next.
/// Plans are generic in what every write calls: planning anew for each array would cost a third of the call.
/// Order of locks: gates by backend, objects by key, uploads, versions by id, copies by id, usage stripes last.
enum Migration002Writes {
    static let sql = #"""
        CREATE TYPE usage_delta AS (
            backend_id int, stripe int, writing_copies bigint, writing_bytes bigint, live_copies bigint, live_bytes bigint,
            doomed_copies bigint, doomed_bytes bigint);

        -- What a copy's step from one state (null: none yet) to another means for its backend's counters.
        CREATE FUNCTION usage_step(
            copy_id uuid, backend_id int, from_state text, from_bytes bigint, to_state text, to_bytes bigint
        ) RETURNS usage_delta LANGUAGE sql IMMUTABLE AS $$
            SELECT ROW(backend_id, get_byte(uuid_send(copy_id), 15) & 31,
                (to_state = 'writing')::int - coalesce(from_state = 'writing', false)::int,
                CASE WHEN to_state = 'writing' THEN to_bytes ELSE 0 END - CASE WHEN from_state = 'writing' THEN from_bytes ELSE 0 END,
                (to_state = 'live')::int - coalesce(from_state = 'live', false)::int,
                CASE WHEN to_state = 'live' THEN to_bytes ELSE 0 END - CASE WHEN from_state = 'live' THEN from_bytes ELSE 0 END,
                (to_state = 'doomed')::int - coalesce(from_state = 'doomed', false)::int,
                CASE WHEN to_state = 'doomed' THEN to_bytes ELSE 0 END - CASE WHEN from_state = 'doomed' THEN from_bytes ELSE 0 END
            )::usage_delta
        $$;

        -- Stripes are summed up and taken in order, so that two transactions never wait for each other in a circle.
        CREATE FUNCTION apply_usage(deltas usage_delta[]) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE d record;
        BEGIN
            FOR d IN
                SELECT x.backend_id, x.stripe, sum(x.writing_copies) wc, sum(x.writing_bytes) wb, sum(x.live_copies) lc,
                    sum(x.live_bytes) lb, sum(x.doomed_copies) dc, sum(x.doomed_bytes) db
                FROM unnest(deltas) x GROUP BY 1, 2 ORDER BY 1, 2
            LOOP
                UPDATE backend_usage u SET
                    writing_copies = u.writing_copies + d.wc, writing_bytes = u.writing_bytes + d.wb,
                    live_copies = u.live_copies + d.lc, live_bytes = u.live_bytes + d.lb,
                    doomed_copies = u.doomed_copies + d.dc, doomed_bytes = u.doomed_bytes + d.db
                WHERE u.backend_id = d.backend_id AND u.stripe = d.stripe;
                IF NOT FOUND THEN RAISE EXCEPTION 'backend % has no usage row', d.backend_id; END IF;
            END LOOP;
        END $$;

        CREATE FUNCTION gates_shared(ids int[]) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE one int;
        BEGIN
            FOR one IN SELECT DISTINCT x FROM unnest(ids) x ORDER BY x LOOP
                PERFORM pg_advisory_xact_lock_shared(7001, one);
            END LOOP;
        END $$;

        CREATE FUNCTION occupied(p_backend int) RETURNS bigint LANGUAGE sql VOLATILE AS $$
            SELECT sum(writing_bytes + live_bytes + doomed_bytes)::bigint FROM backend_usage WHERE backend_id = p_backend
        $$;

        -- Why a backend cannot take a copy, or null. To be called under its gate, in a statement of its own, for several
        -- backends in order of their ids.
        CREATE FUNCTION intent_refusal(p_backend int, p_version uuid, p_size bigint) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
        DECLARE room bigint;
        BEGIN
            SELECT quota INTO room FROM backend WHERE id = p_backend AND phase = 'active' AND declared;
            IF NOT FOUND THEN RETURN 'notActive'; END IF;
            IF EXISTS (
                SELECT 1 FROM copy WHERE version_id = p_version AND backend_id = p_backend
                    AND state IN ('writing', 'live') AND NOT suspect) THEN RETURN 'alreadyThere'; END IF;
            IF room IS NULL THEN RETURN NULL; END IF;
            -- Where the end is near, intents take turns: the stripes do not show what others are about to reserve.
            IF occupied(p_backend) + p_size > room - greatest(room / 10, 67108864) THEN
                PERFORM pg_advisory_xact_lock(7003, p_backend);
                IF occupied(p_backend) + p_size > room THEN RETURN 'overQuota'; END IF;
            END IF;
            RETURN NULL;
        END $$;

        CREATE FUNCTION intend_v1(
            p_bucket int, p_key text, p_version uuid, p_size bigint, p_content_type text, p_headers text[], p_metadata text[],
            p_copies uuid[], p_backends int[], p_names text[], p_token uuid, p_lease_ms bigint, p_additional boolean,
            p_upload uuid
        ) RETURNS TABLE (copy_id uuid, refusal text) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
        DECLARE
            deltas usage_delta[] := '{}';
            refusals text[] := '{}';
            i int;
            until timestamptz := CASE WHEN p_upload IS NULL
                THEN clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0) ELSE 'infinity' END;
        BEGIN
            -- Losing an intent in a crash of Postgres leaves an orphan that the inventory finds, never a wrong answer.
            PERFORM set_config('synchronous_commit', 'off', true);
            PERFORM gates_shared(p_backends);
            IF p_additional THEN
                PERFORM 1 FROM version WHERE id = p_version FOR NO KEY UPDATE;
                PERFORM 1 FROM version WHERE id = p_version AND committed_at IS NULL AND superseded_at IS NULL;
                -- The write is over: reaped, resolved or lost with a crash.
                IF NOT FOUND THEN RETURN QUERY SELECT c, 'notActive' FROM unnest(p_copies) c; RETURN; END IF;
            ELSE
                INSERT INTO version (id, bucket_id, key, size, content_type, headers, metadata)
                VALUES (p_version, p_bucket, p_key, p_size, p_content_type, p_headers, p_metadata);
            END IF;
            FOR i IN SELECT n FROM generate_subscripts(p_backends, 1) n ORDER BY p_backends[n] LOOP
                refusals[i] := intent_refusal(p_backends[i], p_version, p_size);
                IF refusals[i] IS NULL THEN
                    INSERT INTO copy (id, version_id, backend_id, physical_key, state, bytes, lease_token, lease_until, upload_id)
                    VALUES (p_copies[i], p_version, p_backends[i], p_names[i], 'writing', p_size, p_token, until, p_upload);
                    deltas := deltas || usage_step(p_copies[i], p_backends[i], NULL, 0, 'writing', p_size);
                END IF;
            END LOOP;
            IF cardinality(deltas) = 0 AND NOT p_additional THEN DELETE FROM version WHERE id = p_version; END IF;
            PERFORM apply_usage(deltas);
            RETURN QUERY SELECT p_copies[n], refusals[n] FROM generate_subscripts(p_copies, 1) n ORDER BY n;
        END $$;

        -- Marks versions that never came to be and of which nothing is written any more, so that nothing is added to them.
        CREATE FUNCTION end_unwritten(p_versions uuid[]) RETURNS void LANGUAGE sql AS $$
            UPDATE version v SET superseded_at = clock_timestamp()
            WHERE v.id = ANY (p_versions) AND v.committed_at IS NULL AND v.superseded_at IS NULL
                AND NOT EXISTS (SELECT 1 FROM copy c WHERE c.version_id = v.id AND c.state = 'writing')
        $$;

        -- Dooms the writing copies of a version. They are due at once: nobody can read them. Those that are not known to be
        -- settled may arrive late.
        CREATE FUNCTION doom_writing(p_version uuid, p_settled uuid[]) RETURNS usage_delta[] LANGUAGE plpgsql AS $$
        DECLARE deltas usage_delta[];
        BEGIN
            PERFORM 1 FROM copy WHERE version_id = p_version ORDER BY id FOR NO KEY UPDATE;
            WITH changed AS (
                UPDATE copy SET state = 'doomed', delete_not_before = clock_timestamp(),
                    may_arrive_late = NOT id = ANY (p_settled), lease_token = NULL, lease_until = NULL
                WHERE version_id = p_version AND state = 'writing' RETURNING id, backend_id, bytes)
            SELECT coalesce(array_agg(usage_step(id, backend_id, 'writing', bytes, 'doomed', bytes)), '{}') INTO deltas FROM changed;
            RETURN deltas;
        END $$;

        -- '*' in a list of ETags means any.
        CREATE FUNCTION precondition(p_etag text, p_match text[], p_none_match text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
            SELECT CASE
                WHEN p_match IS NOT NULL AND p_etag IS NULL THEN 'noSuchKey'
                WHEN p_match IS NOT NULL AND NOT ('*' = ANY (p_match) OR p_etag = ANY (p_match)) THEN 'failed'
                WHEN p_none_match IS NOT NULL AND p_etag IS NOT NULL
                    AND ('*' = ANY (p_none_match) OR p_etag = ANY (p_none_match)) THEN 'failed'
                ELSE 'passes'
            END
        $$;

        CREATE FUNCTION commit_v1(
            p_bucket int, p_key text, p_version uuid, p_token uuid, p_uploaded uuid[], p_provider_versions text[],
            p_failed uuid[], p_late uuid[], p_etag text, p_checksums text[], p_checksum_type text, p_part_sizes bigint[],
            p_match text[], p_none_match text[], p_grace_ms bigint, p_upload uuid, p_size bigint
        ) RETURNS TABLE (outcome text, committed_us bigint, seq bigint) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
        DECLARE
            old_version uuid;
            next_seq bigint;
            done_at timestamptz;
            done_seq bigint;
            verdict text;
            matched int;
            more usage_delta[];
            deltas usage_delta[] := '{}';
            moment timestamptz;
            -- Copies whose bytes are known to be there, or never to come.
            settled uuid[] := p_uploaded || array(SELECT f FROM unnest(p_failed) f WHERE NOT f = ANY (p_late));
        BEGIN
            -- A forgotten object row may vanish between the two statements; then it is made anew.
            FOR attempt IN 1 .. 10 LOOP
                INSERT INTO object (bucket_id, key) VALUES (p_bucket, p_key) ON CONFLICT DO NOTHING;
                PERFORM 1 FROM object o WHERE o.bucket_id = p_bucket AND o.key = p_key FOR NO KEY UPDATE;
                EXIT WHEN FOUND;
            END LOOP;
            -- Microseconds, so that numbers go up even after the object's row was forgotten.
            SELECT o.current_version, greatest(o.last_seq + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
            INTO STRICT old_version, next_seq FROM object o WHERE o.bucket_id = p_bucket AND o.key = p_key;
            IF p_upload IS NOT NULL THEN PERFORM 1 FROM upload WHERE id = p_upload FOR NO KEY UPDATE; END IF;
            PERFORM 1 FROM version v WHERE v.id IN (p_version, old_version) ORDER BY v.id FOR NO KEY UPDATE;
            PERFORM 1 FROM copy c WHERE c.version_id IN (p_version, old_version) ORDER BY c.id FOR NO KEY UPDATE;

            SELECT v.committed_at, v.seq INTO done_at, done_seq FROM version v WHERE v.id = p_version;
            IF NOT FOUND THEN
                UPDATE object o SET deleted_at = clock_timestamp()
                WHERE o.bucket_id = p_bucket AND o.key = p_key AND o.current_version IS NULL;
                RETURN QUERY SELECT 'fenceLost', 0::bigint, 0::bigint; RETURN;
            END IF;
            IF done_at IS NOT NULL THEN
                RETURN QUERY SELECT 'committed', (extract(epoch FROM done_at) * 1000000)::bigint, done_seq; RETURN;
            END IF;
            verdict := precondition((SELECT v.etag FROM version v WHERE v.id = old_version), p_match, p_none_match);
            SELECT count(*) INTO matched FROM copy c
            WHERE c.id = ANY (p_uploaded) AND c.version_id = p_version AND c.state = 'writing' AND c.lease_token = p_token;
            IF verdict = 'passes' AND (matched <> cardinality(p_uploaded) OR matched = 0) THEN verdict := 'fenceLost'; END IF;
            IF verdict <> 'passes' THEN
                deltas := doom_writing(p_version, settled);
                PERFORM end_unwritten(ARRAY[p_version]);
                UPDATE object o SET deleted_at = clock_timestamp()
                WHERE o.bucket_id = p_bucket AND o.key = p_key AND o.current_version IS NULL;
                IF p_upload IS NOT NULL THEN UPDATE upload SET state = 'aborted', changed_at = clock_timestamp() WHERE id = p_upload; END IF;
                PERFORM apply_usage(deltas);
                RETURN QUERY SELECT verdict, 0::bigint, 0::bigint; RETURN;
            END IF;

            moment := clock_timestamp();
            WITH before AS (SELECT c.id, c.bytes FROM copy c WHERE c.id = ANY (p_uploaded)), changed AS (
                UPDATE copy c SET state = 'live', live_at = moment, provider_version = u.provider, bytes = coalesce(p_size, c.bytes),
                    lease_token = NULL, lease_until = NULL
                FROM unnest(p_uploaded, p_provider_versions) u (id, provider), before b
                WHERE c.id = u.id AND b.id = c.id RETURNING c.id, c.backend_id, b.bytes AS old_bytes, c.bytes)
            SELECT array_agg(usage_step(x.id, x.backend_id, 'writing', x.old_bytes, 'live', x.bytes)) INTO more FROM changed x;
            deltas := deltas || more;
            deltas := deltas || doom_writing(p_version, settled);
            UPDATE version v SET committed_at = moment, seq = next_seq, etag = p_etag, checksums = p_checksums,
                checksum_type = p_checksum_type, part_sizes = p_part_sizes, size = coalesce(p_size, v.size) WHERE v.id = p_version;
            UPDATE object o SET current_version = p_version, last_seq = next_seq, deleted_at = NULL WHERE o.bucket_id = p_bucket AND o.key = p_key;
            IF old_version IS NOT NULL THEN deltas := deltas || supersede(ARRAY[old_version], p_grace_ms); END IF;
            IF p_upload IS NOT NULL THEN UPDATE upload SET state = 'completed', changed_at = moment WHERE id = p_upload; END IF;
            PERFORM apply_usage(deltas);
            RETURN QUERY SELECT 'committed', (extract(epoch FROM moment) * 1000000)::bigint, next_seq;
        END $$;

        -- Dooms every readable or growing copy of versions that are replaced or deleted; their readers get the grace.
        CREATE FUNCTION supersede(p_versions uuid[], p_grace_ms bigint) RETURNS usage_delta[] LANGUAGE plpgsql AS $$
        DECLARE deltas usage_delta[];
        BEGIN
            UPDATE version SET superseded_at = clock_timestamp() WHERE id = ANY (p_versions) AND superseded_at IS NULL;
            WITH before AS (
                SELECT id, state FROM copy WHERE version_id = ANY (p_versions) AND state IN ('writing', 'live')), changed AS (
                UPDATE copy c SET state = 'doomed', may_arrive_late = b.state = 'writing',
                    delete_not_before = clock_timestamp() + make_interval(secs => p_grace_ms / 1000.0),
                    lease_token = NULL, lease_until = NULL
                FROM before b WHERE c.id = b.id RETURNING c.id, c.backend_id, b.state AS old_state, c.bytes)
            SELECT coalesce(array_agg(usage_step(id, backend_id, old_state, bytes, 'doomed', bytes)), '{}') INTO deltas FROM changed;
            RETURN deltas;
        END $$;

        CREATE FUNCTION resolve_v1(p_version uuid) RETURNS TABLE (committed_us bigint, seq bigint) LANGUAGE plpgsql AS $$
        DECLARE
            deltas usage_delta[];
            done_at timestamptz;
            done_seq bigint;
        BEGIN
            -- Waits for a commit that is still under way.
            PERFORM 1 FROM version v WHERE v.id = p_version FOR NO KEY UPDATE;
            SELECT v.committed_at, v.seq INTO done_at, done_seq FROM version v WHERE v.id = p_version;
            IF done_at IS NOT NULL THEN
                RETURN QUERY SELECT (extract(epoch FROM done_at) * 1000000)::bigint, done_seq;
                RETURN;
            END IF;
            -- No row: the intent was lost with a crash, and a commit needs the row. A row: its commit, even one that is on its
            -- way, finds no writing copy any more.
            deltas := doom_writing(p_version, '{}');
            PERFORM end_unwritten(ARRAY[p_version]);
            PERFORM apply_usage(deltas);
        END $$;

        CREATE FUNCTION give_up_v1(p_version uuid, p_token uuid, p_late uuid[]) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE deltas usage_delta[];
        BEGIN
            PERFORM 1 FROM version v WHERE v.id = p_version FOR NO KEY UPDATE;
            PERFORM 1 FROM copy WHERE version_id = p_version ORDER BY id FOR NO KEY UPDATE;
            WITH changed AS (
                UPDATE copy SET state = 'doomed', delete_not_before = clock_timestamp(), may_arrive_late = id = ANY (p_late),
                    lease_token = NULL, lease_until = NULL
                WHERE version_id = p_version AND state = 'writing' AND lease_token = p_token RETURNING id, backend_id, bytes)
            SELECT coalesce(array_agg(usage_step(id, backend_id, 'writing', bytes, 'doomed', bytes)), '{}') INTO deltas FROM changed;
            PERFORM end_unwritten(ARRAY[p_version]);
            PERFORM apply_usage(deltas);
        END $$;

        CREATE FUNCTION delete_v1(
            p_bucket int, p_keys text[], p_matches text[], p_none_matches text[], p_grace_ms bigint
        ) RETURNS TABLE (deleted_key text, outcome text) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
        DECLARE
            versions uuid[] := '{}';
            one record;
        BEGIN
            PERFORM 1 FROM object o WHERE o.bucket_id = p_bucket AND o.key = ANY (p_keys) ORDER BY o.key FOR NO KEY UPDATE;
            PERFORM 1 FROM version v WHERE v.id IN (
                SELECT o.current_version FROM object o WHERE o.bucket_id = p_bucket AND o.key = ANY (p_keys))
            ORDER BY v.id FOR NO KEY UPDATE;
            PERFORM 1 FROM copy c WHERE c.version_id IN (
                SELECT o.current_version FROM object o WHERE o.bucket_id = p_bucket AND o.key = ANY (p_keys))
            ORDER BY c.id FOR NO KEY UPDATE;
            -- The lists of ETags of each key, divided by line feeds, which no header can hold; null means no condition.
            FOR one IN
                SELECT r.key, v.id, precondition(
                    v.etag, string_to_array(r.match, chr(10)), string_to_array(r.none_match, chr(10))) AS verdict
                FROM unnest(p_keys, p_matches, p_none_matches) WITH ORDINALITY r (key, match, none_match, place)
                LEFT JOIN object o ON o.bucket_id = p_bucket AND o.key = r.key LEFT JOIN version v ON v.id = o.current_version
                ORDER BY r.place
            LOOP
                deleted_key := one.key;
                outcome := one.verdict;
                IF one.verdict = 'passes' AND one.id IS NOT NULL THEN versions := versions || one.id; END IF;
                RETURN NEXT;
            END LOOP;
            UPDATE object o SET current_version = NULL, deleted_at = clock_timestamp()
            WHERE o.bucket_id = p_bucket AND o.key = ANY (p_keys) AND o.current_version = ANY (versions);
            PERFORM apply_usage(supersede(versions, p_grace_ms));
        END $$;
        """#
}
