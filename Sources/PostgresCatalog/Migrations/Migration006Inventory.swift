/// Rounds through the backends' names, and what is found there without a row (DESIGN §6, objects in no row go to quarantine).
enum Migration006Inventory {
    static let sql = #"""
        CREATE TABLE inventory (
            backend_id int PRIMARY KEY, round bigint NOT NULL, position text COLLATE "C" NOT NULL,
            started_at timestamptz NOT NULL, finished_at timestamptz, token uuid, lease_until timestamptz NOT NULL);

        CREATE TABLE orphan (
            backend_id int NOT NULL, physical_key text COLLATE "C" NOT NULL, is_upload boolean NOT NULL, bytes bigint NOT NULL,
            first_seen timestamptz NOT NULL DEFAULT clock_timestamp(), round bigint NOT NULL, sightings int NOT NULL DEFAULT 1,
            is_foreign boolean NOT NULL DEFAULT false, PRIMARY KEY (backend_id, physical_key, is_upload));
        CREATE INDEX orphan_due ON orphan (backend_id, first_seen) WHERE sightings >= 2 AND NOT is_foreign;

        CREATE FUNCTION begin_inventory_v1(p_backend int, p_interval_ms bigint, p_token uuid, p_lease_ms bigint)
        RETURNS TABLE (round_now bigint, place text) LANGUAGE plpgsql AS $$
        DECLARE
            one inventory%ROWTYPE;
            moment timestamptz := clock_timestamp();
            until timestamptz := clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0);
        BEGIN
            INSERT INTO inventory (backend_id, round, position, started_at, finished_at, lease_until)
            VALUES (p_backend, 0, '', '-infinity', '-infinity', '-infinity') ON CONFLICT DO NOTHING;
            PERFORM 1 FROM inventory WHERE backend_id = p_backend FOR NO KEY UPDATE;
            SELECT * INTO one FROM inventory WHERE backend_id = p_backend;
            IF one.lease_until > moment THEN RETURN; END IF;
            IF one.finished_at IS NOT NULL THEN
                IF one.started_at > moment - make_interval(secs => p_interval_ms / 1000.0) THEN RETURN; END IF;
                one.round := one.round + 1;
                one.position := '';
                UPDATE inventory SET round = one.round, position = '', started_at = moment, finished_at = NULL
                WHERE backend_id = p_backend;
            END IF;
            UPDATE inventory SET token = p_token, lease_until = until WHERE backend_id = p_backend;
            RETURN QUERY SELECT one.round, one.position;
        END $$;

        -- Objects of one range of names, or, with p_is_upload, all open uploads: those that no row names are orphans, and what
        -- is no orphan any more is forgotten. Answers how many are new.
        CREATE FUNCTION record_names(
            p_backend int, p_round bigint, p_is_upload boolean, p_after text, p_through text, p_names text[], p_bytes bigint[]
        ) RETURNS int LANGUAGE plpgsql AS $$
        DECLARE fresh int;
        BEGIN
            DELETE FROM orphan o
            WHERE o.backend_id = p_backend AND o.is_upload = p_is_upload
                AND o.physical_key > p_after AND (p_through IS NULL OR o.physical_key <= p_through)
                AND (NOT o.physical_key = ANY (p_names) OR EXISTS (
                    SELECT 1 FROM copy c WHERE c.backend_id = p_backend AND c.physical_key = o.physical_key));
            WITH found AS (
                INSERT INTO orphan AS o (backend_id, physical_key, is_upload, bytes, round)
                SELECT DISTINCT ON (u.name) p_backend, u.name, p_is_upload, u.bytes, p_round FROM unnest(p_names, p_bytes) u (name, bytes)
                WHERE NOT EXISTS (SELECT 1 FROM copy c WHERE c.backend_id = p_backend AND c.physical_key = u.name)
                ON CONFLICT ON CONSTRAINT orphan_pkey DO UPDATE SET bytes = excluded.bytes, round = excluded.round,
                    sightings = o.sightings + (o.round <> excluded.round)::int
                RETURNING sightings)
            SELECT count(*) FILTER (WHERE sightings = 1) INTO fresh FROM found;
            RETURN fresh;
        END $$;

        -- Null if the lease was lost.
        CREATE FUNCTION record_inventory_v1(
            p_backend int, p_token uuid, p_round bigint, p_after text, p_through text, p_names text[], p_bytes bigint[],
            p_uploads text[], p_lease_ms bigint
        ) RETURNS int LANGUAGE plpgsql AS $$
        DECLARE
            moment timestamptz := clock_timestamp();
            fresh int;
        BEGIN
            PERFORM 1 FROM inventory WHERE backend_id = p_backend FOR NO KEY UPDATE;
            PERFORM 1 FROM inventory WHERE backend_id = p_backend AND token = p_token AND round = p_round AND finished_at IS NULL;
            IF NOT FOUND THEN RETURN NULL; END IF;
            fresh := record_names(p_backend, p_round, false, p_after, p_through, p_names, p_bytes);
            IF p_uploads IS NOT NULL THEN
                fresh := fresh + record_names(
                    p_backend, p_round, true, '', NULL, p_uploads, array_fill(0::bigint, ARRAY[cardinality(p_uploads)]));
            END IF;
            UPDATE inventory SET position = coalesce(p_through, ''),
                finished_at = CASE WHEN p_through IS NULL THEN moment END,
                token = CASE WHEN p_through IS NULL THEN NULL ELSE token END,
                lease_until = CASE WHEN p_through IS NULL THEN '-infinity' ELSE moment + make_interval(secs => p_lease_ms / 1000.0) END
            WHERE backend_id = p_backend;
            RETURN fresh;
        END $$;

        -- A doomed row, whose version is one that never was, so that the bytes have a name until they are gone.
        CREATE FUNCTION doom_orphan_v1(
            p_backend int, p_name text, p_is_upload boolean, p_of uuid, p_copy uuid, p_owner uuid
        ) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE one orphan%ROWTYPE;
        BEGIN
            PERFORM gates_shared(ARRAY[p_backend]);
            PERFORM 1 FROM backend WHERE id = p_backend AND declared AND phase <> 'retired';
            IF NOT FOUND THEN RETURN 'notOrphan'; END IF;
            -- The version that it is of must not change meanwhile.
            PERFORM 1 FROM version WHERE id = p_of FOR NO KEY UPDATE;
            IF NOT p_is_upload AND EXISTS (
                    SELECT 1 FROM version WHERE id = p_of AND committed_at IS NOT NULL AND superseded_at IS NULL)
                AND NOT EXISTS (SELECT 1 FROM copy WHERE version_id = p_of AND state = 'live' AND NOT suspect) THEN
                RETURN 'lastCopy';
            END IF;
            DELETE FROM orphan WHERE backend_id = p_backend AND physical_key = p_name AND is_upload = p_is_upload
                AND sightings >= 2 AND NOT is_foreign RETURNING * INTO one;
            IF NOT FOUND OR EXISTS (SELECT 1 FROM copy WHERE backend_id = p_backend AND physical_key = p_name) THEN
                RETURN 'notOrphan';
            END IF;
            INSERT INTO version (id, bucket_id, key, size, superseded_at) VALUES (p_owner, 0, '', one.bytes, clock_timestamp());
            INSERT INTO copy (id, version_id, backend_id, physical_key, state, bytes, may_arrive_late, delete_not_before)
            VALUES (p_copy, p_owner, p_backend, p_name, 'doomed', one.bytes, true, clock_timestamp());
            PERFORM apply_usage(ARRAY[usage_step(p_copy, p_backend, NULL, 0, 'doomed', one.bytes)]);
            RETURN 'doomed';
        END $$;
        """#
}
