/// What is given up stays so; what may be lost is counted with doubt; and the times that the catalog knows of.
enum Migration013Certainty {
    static let sql = #"""
        CREATE OR REPLACE FUNCTION intent_refusal(p_backend int, p_version uuid, p_size bigint)
        RETURNS text LANGUAGE plpgsql VOLATILE AS $$
        DECLARE room bigint;
        BEGIN
            SELECT quota INTO room FROM backend WHERE id = p_backend AND phase = 'active' AND declared AND abandoned_at IS NULL;
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

        -- A backend that was given up does not come back.
        CREATE FUNCTION change_phase_v2(p_backend int, p_from text, p_to text) RETURNS TABLE (
            outcome text, phase_now text, writing bigint, live bigint, uploads bigint, doomed bigint, waiting bigint, dead bigint
        ) LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock(7001, p_backend);
            IF p_to = 'active' AND EXISTS (SELECT 1 FROM backend WHERE id = p_backend AND abandoned_at IS NOT NULL) THEN
                RETURN QUERY SELECT 'notFrom', b.phase, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint
                FROM backend b WHERE b.id = p_backend;
                RETURN;
            END IF;
            RETURN QUERY SELECT * FROM change_phase_v1(p_backend, p_from, p_to);
        END $$;

        CREATE FUNCTION accept_v3(
            p_parent bigint, p_digest text, p_text text, p_by text, p_rollback boolean, p_names text[], p_states text[],
            p_specs text[], p_quotas bigint[], p_uids uuid[], p_buckets text[], p_factors int[], p_trim_delay_ms bigint,
            p_fleet_factor int
        ) RETURNS TABLE (outcome text, number bigint, detail text) LANGUAGE plpgsql AS $$
        DECLARE given text;
        BEGIN
            PERFORM pg_advisory_xact_lock(7000, 0);
            SELECT b.name INTO given FROM unnest(p_names, p_states) n (name, state) JOIN backend b ON b.name = n.name
            WHERE n.state <> 'removed' AND b.abandoned_at IS NOT NULL AND b.phase <> 'retired' LIMIT 1;
            IF FOUND AND NOT EXISTS (
                SELECT 1 FROM spec_revision WHERE digest = p_digest AND revision = (SELECT max(revision) FROM spec_revision)) THEN
                RETURN QUERY SELECT 'retiring', (SELECT coalesce(max(revision), 0) FROM spec_revision), given; RETURN;
            END IF;
            RETURN QUERY SELECT * FROM accept_v2(
                p_parent, p_digest, p_text, p_by, p_rollback, p_names, p_states, p_specs, p_quotas, p_uids, p_buckets, p_factors,
                p_trim_delay_ms, p_fleet_factor);
        END $$;

        -- A suspect copy elsewhere is no reason to think that nothing is lost.
        CREATE OR REPLACE FUNCTION is_sole(p_version uuid, p_backend int) RETURNS boolean LANGUAGE sql STABLE AS $$
            SELECT EXISTS (SELECT 1 FROM version v WHERE v.id = p_version AND v.committed_at IS NOT NULL AND v.superseded_at IS NULL)
                AND NOT EXISTS (
                    SELECT 1 FROM copy o JOIN backend b ON b.id = o.backend_id
                    WHERE o.version_id = p_version AND o.backend_id <> p_backend AND o.state = 'live' AND NOT o.suspect
                        AND b.abandoned_at IS NULL)
        $$;
        -- A suspect copy is left, so that the object stays.
        ALTER TABLE lost_object ADD COLUMN in_doubt boolean NOT NULL DEFAULT false;

        -- Writes under way there end first: a commit that comes behind this has lost its copy, and no copy becomes live uncounted.
        -- One at a time, so that no two backends count on each other.
        CREATE FUNCTION abandon_v2(p_backend int, p_max bigint) RETURNS TABLE (outcome text, sole bigint) LANGUAGE plpgsql AS $$
        DECLARE deltas usage_delta[];
        BEGIN
            PERFORM pg_advisory_xact_lock(7007, 0);
            PERFORM pg_advisory_xact_lock(7001, p_backend);
            PERFORM 1 FROM backend WHERE id = p_backend AND phase = 'draining' AND abandoned_at IS NULL;
            IF NOT FOUND THEN RETURN QUERY SELECT 'notDraining', 0::bigint; RETURN; END IF;
            BEGIN
                PERFORM 1 FROM version v WHERE v.id IN (
                    SELECT c.version_id FROM copy c WHERE c.backend_id = p_backend AND c.state = 'writing')
                ORDER BY v.id FOR NO KEY UPDATE;
                PERFORM 1 FROM copy c WHERE c.backend_id = p_backend AND c.state = 'writing' ORDER BY c.id FOR NO KEY UPDATE;
                WITH changed AS (
                    UPDATE copy SET state = 'doomed', may_arrive_late = true, delete_not_before = clock_timestamp(),
                        lease_token = NULL, lease_until = NULL
                    WHERE backend_id = p_backend AND state = 'writing' RETURNING id, backend_id, bytes)
                SELECT coalesce(array_agg(usage_step(id, backend_id, 'writing', bytes, 'doomed', bytes)), '{}') INTO deltas FROM changed;
                PERFORM apply_usage(deltas);
                SELECT count(DISTINCT c.version_id) INTO sole FROM copy c
                WHERE c.backend_id = p_backend AND c.state = 'live' AND is_sole(c.version_id, p_backend);
                IF sole > p_max THEN RAISE EXCEPTION 'more than was agreed' USING ERRCODE = 'SL001'; END IF;
                UPDATE backend SET abandoned_at = clock_timestamp() WHERE id = p_backend;
            EXCEPTION WHEN SQLSTATE 'SL001' THEN
                RETURN QUERY SELECT 'refused', sole; RETURN;
            END;
            RETURN QUERY SELECT 'abandoned', sole;
        END $$;

        CREATE FUNCTION end_abandoned_v2(p_backend int, p_limit int) RETURNS int LANGUAGE plpgsql AS $$
        DECLARE
            versions uuid[];
            deltas usage_delta[];
            one record;
        BEGIN
            PERFORM 1 FROM backend WHERE id = p_backend AND abandoned_at IS NOT NULL;
            IF NOT FOUND THEN RETURN 0; END IF;
            versions := array(
                SELECT DISTINCT x.version_id FROM (
                    SELECT version_id FROM copy WHERE backend_id = p_backend AND state IN ('writing', 'live', 'doomed') LIMIT p_limit) x);
            -- One by one, by the key: a join would read the whole table.
            FOR one IN SELECT DISTINCT v.bucket_id, v.key FROM version v WHERE v.id = ANY (versions) ORDER BY 1, 2 LOOP
                PERFORM 1 FROM object o WHERE o.bucket_id = one.bucket_id AND o.key = one.key FOR NO KEY UPDATE;
            END LOOP;
            PERFORM 1 FROM version v WHERE v.id = ANY (versions) ORDER BY v.id FOR NO KEY UPDATE;
            PERFORM 1 FROM copy c WHERE c.version_id = ANY (versions) ORDER BY c.id FOR NO KEY UPDATE;
            INSERT INTO lost_object (version_id, bucket_id, key, size, etag, backend_id, in_doubt)
            SELECT v.id, v.bucket_id, v.key, v.size, v.etag, p_backend, EXISTS (
                SELECT 1 FROM copy o JOIN backend b ON b.id = o.backend_id
                WHERE o.version_id = v.id AND o.backend_id <> p_backend AND o.state = 'live' AND b.abandoned_at IS NULL)
            FROM version v
            WHERE v.id = ANY (versions) AND is_sole(v.id, p_backend)
                AND EXISTS (SELECT 1 FROM copy c WHERE c.version_id = v.id AND c.backend_id = p_backend AND c.state = 'live')
            ON CONFLICT DO NOTHING;
            FOR one IN SELECT l.bucket_id, l.key, l.version_id FROM lost_object l WHERE l.version_id = ANY (versions) AND NOT l.in_doubt LOOP
                UPDATE object o SET current_version = NULL, deleted_at = clock_timestamp()
                WHERE o.bucket_id = one.bucket_id AND o.key = one.key AND o.current_version = one.version_id;
            END LOOP;
            UPDATE version v SET superseded_at = clock_timestamp()
            FROM lost_object l WHERE l.version_id = ANY (versions) AND NOT l.in_doubt AND v.id = l.version_id AND v.superseded_at IS NULL;
            -- One step at a time, as the table's guard asks; the counters take both at once.
            WITH before AS (
                SELECT id, state FROM copy
                WHERE version_id = ANY (versions) AND backend_id = p_backend AND state IN ('writing', 'live', 'doomed')), changed AS (
                UPDATE copy c SET state = 'doomed', lease_token = NULL, lease_until = NULL, claim_token = NULL, claim_until = NULL,
                    delete_not_before = coalesce(c.delete_not_before, clock_timestamp())
                FROM before b WHERE c.id = b.id RETURNING c.id, c.backend_id, b.state AS was, c.bytes)
            SELECT coalesce(array_agg(usage_step(id, backend_id, was, bytes, 'gone', bytes)), '{}') INTO deltas FROM changed;
            UPDATE copy SET state = 'gone' WHERE version_id = ANY (versions) AND backend_id = p_backend AND state = 'doomed';
            PERFORM end_unwritten(versions);
            PERFORM apply_usage(deltas);
            RETURN cardinality(deltas);
        END $$;

        -- Which epochs this catalog has had: a marker of any other is from a history that it does not know.
        CREATE TABLE epoch (number bigint PRIMARY KEY, nonce text NOT NULL);
        INSERT INTO epoch SELECT epoch, left(gen_random_uuid()::text, 8) FROM safeguard;

        CREATE FUNCTION raise_epoch_v2(p_min_age_ms bigint) RETURNS TABLE (number_now bigint, nonce_now text) LANGUAGE plpgsql AS $$
        DECLARE
            before bigint;
            raised bigint;
        BEGIN
            SELECT s.epoch INTO before FROM safeguard s;
            raised := raise_epoch_v1(p_min_age_ms);
            IF raised IS NULL THEN RETURN; END IF;
            INSERT INTO epoch SELECT raised, left(gen_random_uuid()::text, 8) ON CONFLICT DO NOTHING;
            -- Markers of older ones are gone from the backends when a newer is there.
            IF raised % 1000 = 0 THEN DELETE FROM epoch e WHERE e.number < raised - 1000000; END IF;
            RETURN QUERY SELECT e.number, e.nonce FROM epoch e WHERE e.number = raised;
        END $$;

        -- Times that the catalog lived through: a moment within one has all commits from before it. What was written in between,
        -- after a restore, is not known here. A server that was not restarted, with tables that were not made anew, has lost nothing.
        CREATE TABLE alive (since timestamptz PRIMARY KEY, until timestamptz NOT NULL, server text NOT NULL);

        CREATE FUNCTION this_server() RETURNS text LANGUAGE sql STABLE AS $$
            SELECT extract(epoch FROM pg_postmaster_start_time()) || ' ' || 'alive'::regclass::oid
        $$;
        INSERT INTO alive VALUES ('-infinity', clock_timestamp(), this_server());

        CREATE FUNCTION note_alive_v1() RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            moment timestamptz := clock_timestamp();
            last alive%ROWTYPE;
        BEGIN
            PERFORM pg_advisory_xact_lock(7006, 0);
            SELECT * INTO last FROM alive ORDER BY since DESC LIMIT 1;
            IF last.server = this_server() THEN
                UPDATE alive SET until = moment WHERE since = last.since;
            ELSE
                -- From its start on the server has had everything.
                INSERT INTO alive VALUES (
                    CASE WHEN pg_postmaster_start_time() > last.until THEN pg_postmaster_start_time() ELSE moment END,
                    moment, this_server()) ON CONFLICT DO NOTHING;
            END IF;
        END $$;

        -- The operator has looked: what was not known of is known now.
        CREATE FUNCTION confirm_catalog_v2(p_token text, p_system text, p_timeline text) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT confirm_catalog_v1(p_token, p_system, p_timeline) THEN RETURN false; END IF;
            INSERT INTO epoch SELECT s.epoch, left(gen_random_uuid()::text, 8) FROM safeguard s ON CONFLICT DO NOTHING;
            PERFORM pg_advisory_xact_lock(7006, 0);
            DELETE FROM alive;
            INSERT INTO alive VALUES ('-infinity', clock_timestamp(), this_server());
            RETURN true;
        END $$;
        """#
}
