/// Tables, indexes and guards (DESIGN §5).
enum Migration001Tables {
    static let sql = #"""
        CREATE TABLE spec_revision (
            revision bigint PRIMARY KEY, digest text NOT NULL, redacted_text text NOT NULL, accepted_by text NOT NULL,
            accepted_at timestamptz NOT NULL DEFAULT clock_timestamp(), parent bigint NOT NULL,
            trim_delay_ms bigint NOT NULL);

        CREATE TABLE backend (
            id int PRIMARY KEY, uid uuid NOT NULL UNIQUE, name text COLLATE "C" NOT NULL,
            phase text NOT NULL CHECK (phase IN ('active', 'draining', 'drained', 'retiring', 'retired')),
            declared boolean NOT NULL, generation bigint NOT NULL, marked boolean NOT NULL DEFAULT false,
            spec text NOT NULL, quota bigint, created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            phase_since timestamptz NOT NULL DEFAULT clock_timestamp());
        -- Retired rows stay, so that a name is one backend's for ever.
        CREATE UNIQUE INDEX backend_name ON backend (name);

        CREATE TABLE backend_usage (
            backend_id int NOT NULL, stripe int NOT NULL,
            writing_copies bigint NOT NULL DEFAULT 0 CHECK (writing_copies >= 0),
            writing_bytes bigint NOT NULL DEFAULT 0 CHECK (writing_bytes >= 0),
            live_copies bigint NOT NULL DEFAULT 0 CHECK (live_copies >= 0),
            live_bytes bigint NOT NULL DEFAULT 0 CHECK (live_bytes >= 0),
            doomed_copies bigint NOT NULL DEFAULT 0 CHECK (doomed_copies >= 0),
            doomed_bytes bigint NOT NULL DEFAULT 0 CHECK (doomed_bytes >= 0),
            PRIMARY KEY (backend_id, stripe)) WITH (fillfactor = 50);

        CREATE TABLE bucket (
            id int PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE, declared boolean NOT NULL,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            factor int NOT NULL, factor_since timestamptz NOT NULL DEFAULT clock_timestamp());

        CREATE TABLE object (
            bucket_id int NOT NULL, key text COLLATE "C" NOT NULL, current_version uuid, last_seq bigint NOT NULL DEFAULT 0,
            deleted_at timestamptz, PRIMARY KEY (bucket_id, key)) WITH (fillfactor = 80);
        -- Rows without a version, to be forgotten. Not on current_version: an overwrite then changes no index.
        CREATE INDEX object_deleted ON object (deleted_at) WHERE deleted_at IS NOT NULL;

        CREATE TABLE version (
            id uuid PRIMARY KEY, bucket_id int NOT NULL, key text COLLATE "C" NOT NULL, size bigint NOT NULL,
            etag text, checksums text[] NOT NULL DEFAULT '{}', checksum_type text, content_type text,
            headers text[] NOT NULL DEFAULT '{}', metadata text[] NOT NULL DEFAULT '{}',
            part_sizes bigint[] NOT NULL DEFAULT '{}', seq bigint, committed_at timestamptz, superseded_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp()) WITH (fillfactor = 80);
        CREATE INDEX version_over ON version (superseded_at) WHERE superseded_at IS NOT NULL;

        CREATE TABLE upload (
            id uuid PRIMARY KEY, bucket_id int NOT NULL, key text COLLATE "C" NOT NULL, version_id uuid NOT NULL,
            token uuid NOT NULL, state text NOT NULL CHECK (state IN ('creating', 'open', 'completing', 'completed', 'aborted')),
            checksum_algorithm text, checksum_type text, chosen_numbers int[], chosen_etags text[],
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(), changed_at timestamptz NOT NULL DEFAULT clock_timestamp());
        CREATE INDEX upload_version ON upload (version_id);
        CREATE INDEX upload_ended ON upload (changed_at) WHERE state IN ('completed', 'aborted');
        CREATE INDEX upload_by_key ON upload (bucket_id, key, id) WHERE state IN ('open', 'completing');

        CREATE TABLE upload_part (
            upload_id uuid NOT NULL REFERENCES upload, number int NOT NULL, attempt uuid NOT NULL, size bigint NOT NULL,
            etag text NOT NULL, checksums text[] NOT NULL, copy_ids uuid[] NOT NULL, backend_etags text[] NOT NULL,
            modified_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (upload_id, number));

        CREATE TABLE copy (
            id uuid PRIMARY KEY, version_id uuid NOT NULL REFERENCES version, backend_id int NOT NULL,
            physical_key text COLLATE "C" NOT NULL, provider_version text,
            state text NOT NULL CHECK (state IN ('writing', 'live', 'doomed', 'gone')), bytes bigint NOT NULL,
            lease_token uuid, lease_until timestamptz, upload_id uuid, backend_upload_id text,
            may_arrive_late boolean NOT NULL DEFAULT false, suspect boolean NOT NULL DEFAULT false,
            delete_not_before timestamptz, seen_absent boolean NOT NULL DEFAULT false, attempts int NOT NULL DEFAULT 0,
            claim_token uuid, claim_until timestamptz, last_error text,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(), live_at timestamptz,
            UNIQUE (backend_id, physical_key)) WITH (fillfactor = 80);
        CREATE UNIQUE INDEX copy_one_per_backend ON copy (version_id, backend_id)
            WHERE state IN ('writing', 'live') AND NOT suspect;
        CREATE INDEX copy_by_version ON copy (version_id);
        CREATE INDEX copy_live ON copy (backend_id, version_id) WHERE state = 'live';
        CREATE INDEX copy_doomed ON copy (backend_id, delete_not_before) WHERE state = 'doomed';
        CREATE INDEX copy_writing ON copy (backend_id, lease_until) WHERE state = 'writing';
        CREATE INDEX copy_upload ON copy (upload_id) WHERE upload_id IS NOT NULL;
        CREATE INDEX copy_gone ON copy (id) WHERE state = 'gone';

        CREATE TABLE work (
            version_id uuid PRIMARY KEY, token uuid, lease_until timestamptz NOT NULL, not_before timestamptz NOT NULL,
            attempts int NOT NULL DEFAULT 0, last_error text);

        CREATE TABLE drain (
            backend_id int PRIMARY KEY, started_at timestamptz NOT NULL, finished_at timestamptz,
            total_copies bigint NOT NULL, total_bytes bigint NOT NULL);

        CREATE TABLE condition (
            kind text NOT NULL, name text NOT NULL, type text NOT NULL, status text NOT NULL, reason text NOT NULL,
            message text NOT NULL, observed_generation bigint NOT NULL,
            last_transition_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (kind, name, type));

        CREATE TABLE event (
            kind text NOT NULL, name text NOT NULL, reason text NOT NULL, is_warning boolean NOT NULL, message text NOT NULL,
            count bigint NOT NULL DEFAULT 1, first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            last_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (kind, name, reason));

        -- The last line of defence: whatever a statement says, a copy's identity stays and its state goes forward only. The
        -- conditions stand in WHEN, so that lawful changes do not even call the function.
        CREATE FUNCTION copy_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'TRUNCATE' THEN RAISE EXCEPTION 'copies are never truncated' USING ERRCODE = 'integrity_constraint_violation'; END IF;
            RAISE EXCEPTION 'copy % in state % may not be changed so (%)', OLD.id, OLD.state, TG_NAME
                USING ERRCODE = 'integrity_constraint_violation';
        END $$;
        CREATE TRIGGER copy_identity_is_immutable BEFORE UPDATE ON copy FOR EACH ROW
            WHEN ((NEW.id, NEW.version_id, NEW.backend_id, NEW.physical_key)
                IS DISTINCT FROM (OLD.id, OLD.version_id, OLD.backend_id, OLD.physical_key))
            EXECUTE FUNCTION copy_refuse();
        CREATE TRIGGER copy_state_goes_forward BEFORE UPDATE ON copy FOR EACH ROW
            WHEN (NEW.state <> OLD.state AND NOT (
                OLD.state = 'writing' AND NEW.state IN ('live', 'doomed') OR OLD.state = 'live' AND NEW.state = 'doomed'
                OR OLD.state = 'doomed' AND NEW.state = 'gone'))
            EXECUTE FUNCTION copy_refuse();
        CREATE TRIGGER copy_is_deleted_when_gone BEFORE DELETE ON copy FOR EACH ROW WHEN (OLD.state <> 'gone')
            EXECUTE FUNCTION copy_refuse();
        CREATE TRIGGER copy_is_never_truncated BEFORE TRUNCATE ON copy FOR EACH STATEMENT EXECUTE FUNCTION copy_refuse();
        """#
}
