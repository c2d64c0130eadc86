/// Tables, indexes and guards (DESIGN §5).
enum Migration001Tables {
    static let sql = #"""
        CREATE TABLE spec_revision (
            revision bigint PRIMARY KEY, digest text NOT NULL, redacted_text text NOT NULL, accepted_by text NOT NULL,
            accepted_at timestamptz NOT NULL DEFAULT clock_timestamp(), parent bigint NOT NULL);

        CREATE TABLE backend (
            id int PRIMARY KEY, uid uuid NOT NULL UNIQUE, name text COLLATE "C" NOT NULL,
            phase text NOT NULL CHECK (phase IN ('active', 'draining', 'drained', 'retiring', 'retired')),
            declared boolean NOT NULL, generation bigint NOT NULL, marked boolean NOT NULL DEFAULT false,
            spec text NOT NULL, quota bigint, created_at timestamptz NOT NULL DEFAULT clock_timestamp());
        CREATE UNIQUE INDEX backend_name ON backend (name) WHERE phase <> 'retired';

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
            created_at timestamptz NOT NULL DEFAULT clock_timestamp());

        CREATE TABLE object (
            bucket_id int NOT NULL, key text COLLATE "C" NOT NULL, current_version uuid, last_seq bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (bucket_id, key)) WITH (fillfactor = 80);

        CREATE TABLE version (
            id uuid PRIMARY KEY, bucket_id int NOT NULL, key text COLLATE "C" NOT NULL, size bigint NOT NULL,
            etag text, checksums text[] NOT NULL DEFAULT '{}', checksum_type text, content_type text,
            headers text[] NOT NULL DEFAULT '{}', metadata text[] NOT NULL DEFAULT '{}',
            part_sizes bigint[] NOT NULL DEFAULT '{}', seq bigint, committed_at timestamptz, superseded_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp()) WITH (fillfactor = 80);
        CREATE INDEX version_not_current ON version (created_at) WHERE committed_at IS NULL OR superseded_at IS NOT NULL;

        CREATE TABLE upload (
            id uuid PRIMARY KEY, bucket_id int NOT NULL, key text COLLATE "C" NOT NULL, version_id uuid NOT NULL,
            token uuid NOT NULL, state text NOT NULL CHECK (state IN ('creating', 'open', 'completing', 'completed', 'aborted')),
            checksum_algorithm text, checksum_type text, chosen_numbers int[], chosen_etags text[],
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(), changed_at timestamptz NOT NULL DEFAULT clock_timestamp());
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
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            UNIQUE (backend_id, physical_key)) WITH (fillfactor = 80);
        CREATE UNIQUE INDEX copy_one_per_backend ON copy (version_id, backend_id)
            WHERE state IN ('writing', 'live') AND NOT suspect;
        CREATE INDEX copy_by_version ON copy (version_id);
        CREATE INDEX copy_live ON copy (backend_id, version_id) WHERE state = 'live';
        CREATE INDEX copy_doomed ON copy (backend_id, delete_not_before) WHERE state = 'doomed';
        CREATE INDEX copy_writing ON copy (lease_until) WHERE state = 'writing';
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

        -- The last line of defence: whatever a statement says, a copy's identity stays and its state goes forward only.
        CREATE FUNCTION copy_guard() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' THEN
                IF OLD.state <> 'gone' THEN RAISE EXCEPTION 'copy % is %, not gone', OLD.id, OLD.state; END IF;
                RETURN OLD;
            END IF;
            IF (NEW.id, NEW.version_id, NEW.backend_id, NEW.physical_key)
                IS DISTINCT FROM (OLD.id, OLD.version_id, OLD.backend_id, OLD.physical_key) THEN
                RAISE EXCEPTION 'the identity of copy % is immutable', OLD.id;
            END IF;
            IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN
                (('writing', 'live'), ('writing', 'doomed'), ('live', 'doomed'), ('doomed', 'gone')) THEN
                RAISE EXCEPTION 'copy % may not go from % to %', OLD.id, OLD.state, NEW.state;
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER copy_guard BEFORE UPDATE OR DELETE ON copy FOR EACH ROW EXECUTE FUNCTION copy_guard();
        """#
}
