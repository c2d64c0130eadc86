/// What backends were used for, month by month.
enum Migration011Usage {
    static let sql = #"""
        CREATE TABLE backend_month (
            backend_id int NOT NULL, month date NOT NULL, requests bigint NOT NULL, egress bigint NOT NULL, ingress bigint NOT NULL,
            PRIMARY KEY (backend_id, month));

        CREATE FUNCTION this_month() RETURNS date LANGUAGE sql STABLE AS $$
            SELECT date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC')::date
        $$;

        -- In order of the rows, so that two instances never wait for each other in a circle. Need not wait for the disk: what a
        -- crash loses is a few seconds' count.
        CREATE FUNCTION add_usage_v1(p_backends int[], p_requests bigint[], p_egress bigint[], p_ingress bigint[])
        RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM set_config('synchronous_commit', 'off', true);
            INSERT INTO backend_month AS m (backend_id, month, requests, egress, ingress)
            SELECT b, this_month(), r, e, i FROM unnest(p_backends, p_requests, p_egress, p_ingress) u (b, r, e, i) ORDER BY b
            ON CONFLICT (backend_id, month) DO UPDATE SET requests = m.requests + excluded.requests,
                egress = m.egress + excluded.egress, ingress = m.ingress + excluded.ingress;
        END $$;
        """#
}
