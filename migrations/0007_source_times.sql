-- The newest source_updated_at of each contact and actor: the time that another system gave its change of the contact. A
-- change with an older time is ignored, so that retried queues and parallel workers do not replace newer values.
DO $migration$
BEGIN
    CREATE TABLE source_times (
        account_id        uuid        NOT NULL,
        contact_id        uuid        NOT NULL,
        -- The `sub` of the token, empty for a token without one.
        actor             text        COLLATE "C" NOT NULL,
        source_updated_at timestamptz NOT NULL,
        PRIMARY KEY (account_id, contact_id, actor)
    ) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

    -- On Citus, the table is distributed like the others.
    IF to_regclass('pg_dist_partition') IS NOT NULL THEN
        EXECUTE $distribute$
            SELECT create_distributed_table('source_times', 'account_id', colocate_with => 'accounts')
                WHERE EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'accounts'::regclass AND partmethod = 'h')
        $distribute$;
    END IF;
END
$migration$;
