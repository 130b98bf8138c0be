-- Every instance reads the newly revoked clients every second, by the time of the revocation. That time is from the clock
-- of the database. The index before had the ids of all clients that were ever revoked.
DO $$
BEGIN
    DROP INDEX clients_revoked_idx;
    CREATE INDEX clients_revoked_at_idx ON clients (revoked_at) INCLUDE (account_id, id) WHERE revoked_at IS NOT NULL;
END $$;
