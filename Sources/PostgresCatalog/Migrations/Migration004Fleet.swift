/// Accepted specs, phases, status, listings.
enum Migration004Fleet {
    static let sql = #"""
        CREATE FUNCTION accept_v1(
            p_parent bigint, p_digest text, p_text text, p_by text, p_rollback boolean, p_names text[], p_states text[],
            p_specs text[], p_quotas bigint[], p_uids uuid[], p_buckets text[], p_factors int[], p_trim_delay_ms bigint
        ) RETURNS TABLE (outcome text, number bigint, detail text) LANGUAGE plpgsql AS $$
        DECLARE
            current bigint;
            before bigint;
            known backend%ROWTYPE;
            one int;
        BEGIN
            PERFORM pg_advisory_xact_lock(7000, 0);
            SELECT coalesce(max(revision), 0) INTO current FROM spec_revision;
            IF EXISTS (SELECT 1 FROM spec_revision WHERE revision = current AND digest = p_digest) THEN
                RETURN QUERY SELECT 'unchanged', current, ''; RETURN;
            END IF;
            SELECT max(revision) INTO before FROM spec_revision WHERE digest = p_digest;
            IF before IS NOT NULL AND NOT p_rollback THEN RETURN QUERY SELECT 'superseded', current, before::text; RETURN; END IF;
            IF current <> p_parent THEN RETURN QUERY SELECT 'conflict', current, ''; RETURN; END IF;
            FOR i IN 1 .. cardinality(p_names) LOOP
                IF p_states[i] <> 'removed' AND EXISTS (SELECT 1 FROM backend WHERE name = p_names[i] AND phase = 'retiring') THEN
                    RETURN QUERY SELECT 'retiring', current, p_names[i]; RETURN;
                END IF;
                IF p_states[i] <> 'removed' AND EXISTS (SELECT 1 FROM backend WHERE name = p_names[i] AND phase = 'retired') THEN
                    RETURN QUERY SELECT 'retired', current, p_names[i]; RETURN;
                END IF;
            END LOOP;
            -- Whether a backend takes new copies may change here: no intent may be in between.
            FOR one IN SELECT id FROM backend WHERE phase <> 'retired' ORDER BY id LOOP PERFORM pg_advisory_xact_lock(7001, one); END LOOP;
            UPDATE backend SET declared = false WHERE phase <> 'retired' AND declared AND NOT name = ANY (p_names);
            FOR i IN 1 .. cardinality(p_names) LOOP
                SELECT * INTO known FROM backend WHERE name = p_names[i];
                IF FOUND AND known.phase = 'retired' THEN
                    CONTINUE;
                ELSIF FOUND THEN
                    UPDATE backend SET declared = true, spec = p_specs[i], quota = nullif(p_quotas[i], 9223372036854775807),
                        generation = generation + (spec IS DISTINCT FROM p_specs[i])::int WHERE id = known.id;
                ELSIF p_states[i] <> 'removed' THEN
                    INSERT INTO backend (id, uid, name, phase, declared, generation, spec, quota)
                    SELECT coalesce(max(id), 0) + 1, p_uids[i], p_names[i], 'active', true, 1, p_specs[i], nullif(p_quotas[i], 9223372036854775807) FROM backend
                    RETURNING id INTO one;
                    INSERT INTO backend_usage (backend_id, stripe) SELECT one, s FROM generate_series(0, 31) s;
                END IF;
            END LOOP;
            UPDATE bucket SET declared = false WHERE declared AND NOT name = ANY (p_buckets);
            INSERT INTO bucket AS k (id, name, declared, factor)
            SELECT (SELECT coalesce(max(id), 0) FROM bucket) + row_number() OVER (ORDER BY b.name), b.name, true, b.factor
            FROM unnest(p_buckets, p_factors) b (name, factor)
            ON CONFLICT (name) DO UPDATE SET declared = true, factor = excluded.factor,
                factor_since = CASE WHEN k.factor = excluded.factor THEN k.factor_since ELSE clock_timestamp() END;
            INSERT INTO spec_revision (revision, digest, redacted_text, accepted_by, parent, trim_delay_ms)
            VALUES (current + 1, p_digest, p_text, p_by, current, p_trim_delay_ms);
            RETURN QUERY SELECT 'accepted', current + 1, '';
        END $$;

        -- One statement, each count by an index of its state.
        CREATE FUNCTION residue_v1(p_backend int) RETURNS TABLE (
            writing bigint, live bigint, uploads bigint, doomed bigint, waiting bigint, dead bigint) LANGUAGE sql VOLATILE AS $$
            SELECT
                (SELECT count(*) FROM copy WHERE backend_id = p_backend AND state = 'writing' AND upload_id IS NULL),
                (SELECT count(*) FROM copy WHERE backend_id = p_backend AND state = 'live'),
                (SELECT count(DISTINCT upload_id) FROM copy WHERE backend_id = p_backend AND state = 'writing'),
                (SELECT count(*) FROM copy WHERE backend_id = p_backend AND state = 'doomed' AND NOT seen_absent),
                (SELECT count(*) FROM copy WHERE backend_id = p_backend AND state = 'doomed' AND seen_absent),
                (SELECT count(*) FROM copy WHERE backend_id = p_backend AND state = 'doomed' AND attempts >= 10)
        $$;

        CREATE FUNCTION change_phase_v1(p_backend int, p_from text, p_to text) RETURNS TABLE (
            outcome text, phase_now text, writing bigint, live bigint, uploads bigint, doomed bigint, waiting bigint, dead bigint
        ) LANGUAGE plpgsql AS $$
        DECLARE
            phase_was text;
            r record;
        BEGIN
            PERFORM pg_advisory_xact_lock(7001, p_backend);
            SELECT b.phase INTO phase_was FROM backend b WHERE b.id = p_backend;
            IF phase_was IS DISTINCT FROM p_from THEN
                RETURN QUERY SELECT 'notFrom', coalesce(phase_was, 'retired'), 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint;
                RETURN;
            END IF;
            IF p_to IN ('drained', 'retiring', 'retired') THEN
                SELECT * INTO r FROM residue_v1(p_backend);
                IF r.writing + r.live + r.uploads + r.doomed > 0 OR p_to = 'retired' AND r.waiting > 0 THEN
                    RETURN QUERY SELECT 'residue', phase_was, r.writing, r.live, r.uploads, r.doomed, r.waiting, r.dead;
                    RETURN;
                END IF;
            END IF;
            IF p_to = 'draining' THEN
                INSERT INTO drain (backend_id, started_at, total_copies, total_bytes)
                SELECT p_backend, clock_timestamp(), coalesce(sum(u.live_copies + u.writing_copies), 0),
                    coalesce(sum(u.live_bytes + u.writing_bytes), 0) FROM backend_usage u WHERE u.backend_id = p_backend
                ON CONFLICT (backend_id) DO UPDATE SET started_at = excluded.started_at, finished_at = NULL,
                    total_copies = excluded.total_copies, total_bytes = excluded.total_bytes;
            ELSIF p_to = 'active' THEN
                DELETE FROM drain WHERE backend_id = p_backend;
            ELSIF p_to = 'drained' THEN
                UPDATE drain SET finished_at = clock_timestamp() WHERE backend_id = p_backend;
            END IF;
            UPDATE backend b SET phase = p_to, phase_since = clock_timestamp() WHERE b.id = p_backend;
            RETURN QUERY SELECT 'done', p_to, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint;
        END $$;

        CREATE FUNCTION publish_v1(
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
                last_transition_at = CASE WHEN c.status = excluded.status THEN c.last_transition_at ELSE clock_timestamp() END;
            INSERT INTO event AS e (kind, name, reason, is_warning, message)
            SELECT DISTINCT ON (1, 2, 3) * FROM unnest(e_kinds, e_names, e_reasons, e_warnings, e_messages)
            ON CONFLICT (kind, name, reason) DO UPDATE SET count = e.count + 1, last_at = clock_timestamp(),
                message = excluded.message, is_warning = excluded.is_warning;
            DELETE FROM event WHERE last_at < clock_timestamp() - interval '30 days';
        END $$;

        -- Keys and common prefixes in byte order. A prefix costs one descent of the index, whatever it hides: the scan goes on
        -- behind it. chr(1114111) is the greatest character, so only keys that contain it are looked at and skipped.
        CREATE FUNCTION list_v1(
            p_bucket int, p_prefix text, p_delimiter text, p_after text, p_past text, p_limit int
        ) RETURNS TABLE (is_prefix boolean, item text, version_id uuid) LANGUAGE plpgsql STABLE AS $$
        DECLARE
            position text COLLATE "C" := coalesce(p_after, '');
            past text := p_past;
            found_count int := 0;
            one record;
            cut int;
            group_name text;
            again boolean := true;
        BEGIN
            IF p_prefix COLLATE "C" > position THEN position := p_prefix; END IF;
            -- A position before the prefix says nothing: the listing starts at the prefix.
            IF past COLLATE "C" < p_prefix AND NOT starts_with(p_prefix, past) THEN past := NULL; END IF;
            WHILE again AND found_count < p_limit LOOP
                again := false;
                FOR one IN
                    SELECT o.key, o.current_version FROM object o
                    WHERE o.bucket_id = p_bucket AND o.current_version IS NOT NULL
                        AND o.key >= CASE WHEN past IS NULL THEN position ELSE (past || chr(1114111)) END
                        AND (past IS NULL OR NOT starts_with(o.key, past))
                        AND (p_after IS NULL OR o.key > p_after)
                    ORDER BY o.key LIMIT p_limit - found_count
                LOOP
                    EXIT WHEN NOT starts_with(one.key, p_prefix);
                    position := one.key;
                    cut := CASE WHEN p_delimiter IS NULL THEN 0
                        ELSE strpos(substr(one.key, length(p_prefix) + 1), p_delimiter) END;
                    found_count := found_count + 1;
                    IF cut > 0 THEN
                        group_name := left(one.key, length(p_prefix) + cut - 1 + length(p_delimiter));
                        is_prefix := true; item := group_name; version_id := NULL;
                        RETURN NEXT;
                        past := group_name;
                        again := true;
                        EXIT;
                    END IF;
                    is_prefix := false; item := one.key; version_id := one.current_version;
                    RETURN NEXT;
                END LOOP;
            END LOOP;
        END $$;
        """#
}
