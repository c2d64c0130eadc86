/// Buckets that clients make, annotations of objects, conditional deletes. Functions of earlier migrations stay for instances of
/// the release before.
enum Migration005Buckets {
    static let sql = #"""
        ALTER TABLE bucket ADD COLUMN owner text COLLATE "C", ADD COLUMN settings text[] NOT NULL DEFAULT '{}',
            ADD COLUMN deleted_at timestamptz;
        -- Of the parts of a multipart version, in order; apart from what every read fetches.
        ALTER TABLE version ADD COLUMN part_checksums text[] NOT NULL DEFAULT '{}';

        CREATE FUNCTION create_bucket_v1(p_name text, p_owner text, p_settings text[], p_limit int)
        RETURNS text LANGUAGE plpgsql AS $$
        BEGIN
            -- One at a time, and not while a spec is accepted: ids are given out in turn.
            PERFORM pg_advisory_xact_lock(7000, 0);
            IF EXISTS (SELECT 1 FROM bucket WHERE name = p_name AND (declared OR owner IS NOT NULL)) THEN RETURN 'exists'; END IF;
            -- A bucket that a spec declared once keeps its objects and comes back only with a spec.
            IF EXISTS (SELECT 1 FROM bucket WHERE name = p_name) THEN RETURN 'exists'; END IF;
            IF (SELECT count(*) FROM bucket WHERE owner = p_owner) >= p_limit THEN RETURN 'tooMany'; END IF;
            INSERT INTO bucket (id, name, declared, factor, owner, settings)
            SELECT coalesce(max(id), 0) + 1, p_name, false, 1, p_owner, p_settings FROM bucket;
            RETURN 'created';
        END $$;

        -- The gate (7005) is shared by commits: none is in between the look at the objects and the end of the bucket.
        CREATE FUNCTION delete_bucket_v1(p_bucket int) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE
            open_uploads uuid[];
        BEGIN
            PERFORM pg_advisory_xact_lock(7005, p_bucket);
            PERFORM 1 FROM bucket WHERE id = p_bucket AND declared;
            IF FOUND THEN RETURN 'declared'; END IF;
            PERFORM 1 FROM bucket WHERE id = p_bucket AND owner IS NOT NULL FOR NO KEY UPDATE;
            IF NOT FOUND THEN RETURN 'noSuchBucket'; END IF;
            IF EXISTS (SELECT 1 FROM object WHERE bucket_id = p_bucket AND current_version IS NOT NULL) THEN RETURN 'notEmpty'; END IF;
            SELECT array_agg(x.id) INTO open_uploads FROM (
                SELECT id FROM upload WHERE bucket_id = p_bucket AND state IN ('creating', 'open', 'completing')
                ORDER BY id FOR NO KEY UPDATE) x;
            IF open_uploads IS NOT NULL THEN PERFORM end_uploads(open_uploads); END IF;
            -- A slash is in no bucket's name: the name is free again, and the id never is.
            UPDATE bucket SET name = name || '/' || id, owner = NULL, settings = '{}', deleted_at = clock_timestamp()
            WHERE id = p_bucket;
            RETURN 'deleted';
        END $$;

        -- Sets or, with null, removes one pair of a flat list of names and values.
        CREATE FUNCTION with_pair(p_pairs text[], p_name text, p_value text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
            SELECT coalesce(array(
                SELECT x FROM generate_subscripts(p_pairs, 1) i, unnest(ARRAY[p_pairs[i], p_pairs[i + 1]]) WITH ORDINALITY u (x, place)
                WHERE i % 2 = 1 AND p_pairs[i] <> p_name ORDER BY i, place), '{}')
                || CASE WHEN p_value IS NULL THEN '{}'::text[] ELSE ARRAY[p_name, p_value] END
        $$;

        CREATE FUNCTION annotate_object_v1(p_bucket int, p_key text, p_name text, p_value text)
        RETURNS uuid LANGUAGE plpgsql AS $$
        DECLARE found_version uuid;
        BEGIN
            PERFORM 1 FROM object o WHERE o.bucket_id = p_bucket AND o.key = p_key FOR NO KEY UPDATE;
            SELECT o.current_version INTO found_version FROM object o WHERE o.bucket_id = p_bucket AND o.key = p_key;
            UPDATE version v SET headers = with_pair(v.headers, p_name, p_value) WHERE v.id = found_version;
            RETURN found_version;
        END $$;

        CREATE FUNCTION commit_v2(
            p_bucket int, p_key text, p_version uuid, p_token uuid, p_uploaded uuid[], p_provider_versions text[],
            p_failed uuid[], p_late uuid[], p_etag text, p_checksums text[], p_checksum_type text, p_part_sizes bigint[],
            p_match text[], p_none_match text[], p_grace_ms bigint, p_upload uuid, p_size bigint,
            p_part_checksums text[]
        ) RETURNS TABLE (outcome text, committed_us bigint, seq bigint) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock_shared(7005, p_bucket);
            IF NOT EXISTS (SELECT 1 FROM bucket WHERE id = p_bucket AND deleted_at IS NULL)
                AND NOT EXISTS (SELECT 1 FROM version WHERE id = p_version AND committed_at IS NOT NULL) THEN
                PERFORM 1 FROM version WHERE id = p_version FOR NO KEY UPDATE;
                PERFORM apply_usage(doom_writing(p_version, p_uploaded || array(SELECT f FROM unnest(p_failed) f WHERE NOT f = ANY (p_late))));
                PERFORM end_unwritten(ARRAY[p_version]);
                RETURN QUERY SELECT 'noSuchBucket', 0::bigint, 0::bigint; RETURN;
            END IF;
            RETURN QUERY SELECT * FROM commit_v1(
                p_bucket, p_key, p_version, p_token, p_uploaded, p_provider_versions, p_failed, p_late, p_etag, p_checksums,
                p_checksum_type, p_part_sizes, p_match, p_none_match, p_grace_ms, p_upload, p_size);
            IF cardinality(p_part_checksums) > 0 THEN
                UPDATE version SET part_checksums = p_part_checksums WHERE id = p_version AND committed_at IS NOT NULL;
            END IF;
        END $$;

        -- Also on size and time, as DeleteObject has them: an object that is not there passes these.
        CREATE FUNCTION delete_v2(
            p_bucket int, p_keys text[], p_matches text[], p_none_matches text[], p_sizes bigint[], p_times bigint[], p_grace_ms bigint
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
            -- The lists of ETags of each key, divided by line feeds, which no header can hold; null means no condition. No size
            -- and no time is -1.
            FOR one IN
                SELECT r.key, v.id, CASE
                    WHEN r.size >= 0 AND r.size <> v.size THEN 'failed'
                    WHEN r.time >= 0 AND r.time <> floor(extract(epoch FROM v.committed_at))::bigint THEN 'failed'
                    ELSE precondition(v.etag, string_to_array(r.match, chr(10)), string_to_array(r.none_match, chr(10))) END AS verdict
                FROM unnest(p_keys, p_matches, p_none_matches, p_sizes, p_times)
                    WITH ORDINALITY r (key, match, none_match, size, time, place)
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

        -- A spec that declares a client's bucket takes it over; the others follow the fleet's factor.
        CREATE FUNCTION accept_v2(
            p_parent bigint, p_digest text, p_text text, p_by text, p_rollback boolean, p_names text[], p_states text[],
            p_specs text[], p_quotas bigint[], p_uids uuid[], p_buckets text[], p_factors int[], p_trim_delay_ms bigint,
            p_fleet_factor int
        ) RETURNS TABLE (outcome text, number bigint, detail text) LANGUAGE plpgsql AS $$
        DECLARE answer record;
        BEGIN
            SELECT a.outcome, a.number, a.detail INTO answer FROM accept_v1(
                p_parent, p_digest, p_text, p_by, p_rollback, p_names, p_states, p_specs, p_quotas, p_uids, p_buckets, p_factors,
                p_trim_delay_ms) a;
            IF answer.outcome = 'accepted' THEN
                UPDATE bucket SET owner = NULL, settings = '{}' WHERE declared AND owner IS NOT NULL;
                UPDATE bucket SET factor = p_fleet_factor, factor_since = clock_timestamp()
                WHERE owner IS NOT NULL AND factor <> p_fleet_factor;
            END IF;
            RETURN QUERY SELECT answer.outcome, answer.number, answer.detail;
        END $$;

        -- The newest row stays, so that its id is never given out again.
        CREATE FUNCTION forget_buckets_v1() RETURNS void LANGUAGE sql AS $$
            DELETE FROM bucket b WHERE b.deleted_at < clock_timestamp() - interval '1 day' AND b.id < (SELECT max(id) FROM bucket)
                AND NOT EXISTS (SELECT 1 FROM object o WHERE o.bucket_id = b.id)
                AND NOT EXISTS (SELECT 1 FROM upload u WHERE u.bucket_id = b.id)
        $$;
        """#
}
