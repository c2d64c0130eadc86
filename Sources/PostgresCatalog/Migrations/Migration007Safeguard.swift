/// The epoch, and the halt of everything that destroys after the catalog may have gone back in time (DESIGN §6, Rewound catalog).
enum Migration007Safeguard {
    static let sql = #"""
        CREATE TABLE safeguard (
            one boolean PRIMARY KEY DEFAULT true CHECK (one), epoch bigint NOT NULL DEFAULT 1,
            raised_at timestamptz NOT NULL DEFAULT '-infinity', system_identifier text, timeline text,
            halted_at timestamptz, evidence text, token text, newest_epoch bigint NOT NULL DEFAULT 0);
        INSERT INTO safeguard DEFAULT VALUES;

        CREATE FUNCTION halted() RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT halted_at IS NOT NULL FROM safeguard $$;

        CREATE FUNCTION raise_epoch_v1(p_min_age_ms bigint) RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE one safeguard%ROWTYPE;
        BEGIN
            SELECT * INTO one FROM safeguard;
            IF one.halted_at IS NULL AND one.raised_at > clock_timestamp() - make_interval(secs => p_min_age_ms / 1000.0) THEN
                RETURN one.epoch;
            END IF;
            PERFORM 1 FROM safeguard FOR NO KEY UPDATE;
            UPDATE safeguard SET epoch = epoch + 1, raised_at = clock_timestamp() WHERE halted_at IS NULL RETURNING * INTO one;
            IF NOT FOUND THEN RETURN NULL; END IF;
            RETURN one.epoch;
        END $$;

        CREATE FUNCTION halt_v1(p_evidence text, p_newest bigint) RETURNS void LANGUAGE sql AS $$
            UPDATE safeguard SET halted_at = coalesce(halted_at, clock_timestamp()),
                evidence = CASE WHEN halted_at IS NULL THEN p_evidence ELSE evidence END,
                token = coalesce(token, left(gen_random_uuid()::text, 8)), newest_epoch = greatest(newest_epoch, p_newest)
        $$;

        CREATE FUNCTION confirm_catalog_v1(p_token text, p_system text, p_timeline text) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM 1 FROM safeguard FOR NO KEY UPDATE;
            UPDATE safeguard SET halted_at = NULL, evidence = NULL, token = NULL, epoch = greatest(epoch, newest_epoch) + 1,
                raised_at = clock_timestamp(), newest_epoch = 0, system_identifier = p_system, timeline = p_timeline
            WHERE halted_at IS NOT NULL AND token = p_token;
            RETURN FOUND;
        END $$;

        CREATE FUNCTION doom_v2(
            p_copy uuid, p_version uuid, p_factor int, p_counted int[], p_grace_ms bigint
        ) RETURNS TABLE (outcome text, others int, required int) LANGUAGE plpgsql AS $$
        BEGIN
            IF halted() THEN RETURN QUERY SELECT 'halted', 0, 0; RETURN; END IF;
            RETURN QUERY SELECT * FROM doom_v1(p_copy, p_version, p_factor, p_counted, p_grace_ms);
        END $$;

        CREATE FUNCTION doom_orphan_v2(
            p_backend int, p_name text, p_is_upload boolean, p_of uuid, p_copy uuid, p_owner uuid
        ) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN
            IF halted() THEN RETURN 'notOrphan'; END IF;
            RETURN doom_orphan_v1(p_backend, p_name, p_is_upload, p_of, p_copy, p_owner);
        END $$;
        """#
}
