-- The rows without a key that imports have created contacts from (src/repository/imported_rows.rs), so that the same file can
-- be imported again without creating the contacts twice. A row is removed with its contact.
DO $migration$
BEGIN
    CREATE TABLE imported_rows (
        account_id  uuid        NOT NULL,
        -- A hash of the values of the row, and of the number of equal rows before it in the file.
        row_key     uuid        NOT NULL,
        -- The contact that the row has created. It may not exist: the row is stored before the contact.
        contact_id  uuid        NOT NULL,
        -- The import that has created the contact, to name it.
        imported_at timestamptz NOT NULL,
        file_name   text        NOT NULL,
        PRIMARY KEY (account_id, row_key)
    );

    -- A purge removes the rows of a contact. The condition is always true: it keeps the planner from using the index for a lookup
    -- by row_key while the table is small, because both indexes begin with account_id.
    CREATE INDEX imported_rows_contact_idx ON imported_rows (account_id, contact_id) WHERE contact_id IS NOT NULL;

    -- On Citus, the table is distributed like the others.
    IF to_regclass('pg_dist_partition') IS NOT NULL THEN
        EXECUTE $distribute$
            SELECT create_distributed_table('imported_rows', 'account_id', colocate_with => 'accounts')
                FROM pg_dist_partition WHERE logicalrelid = 'accounts'::regclass AND partmethod = 'h'
        $distribute$;
    END IF;
END
$migration$;
