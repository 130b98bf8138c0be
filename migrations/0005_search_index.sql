-- The search index of accounts with many contacts (src/repository/search/index/).
--
-- A background task writes it from the change feed, so no write of a contact pays for it, and `contacts` keeps its only
-- index. A search also looks at the contacts that the feed has after search_indexes.position. What it finds are candidates:
-- every condition is checked on the contact itself, so an outdated entry is never returned.
DO $migration$
BEGIN
    -- The state of an account's index. An account without a row has no index: its searches read all its contacts.
    CREATE TABLE search_indexes (
        account_id       uuid    NOT NULL PRIMARY KEY,
        -- The collation by which the words were changed to lower case. With another one the index is built again.
        collation_name   text    NOT NULL,
        -- Every contact has the entry that it had at this position of the feed, or a newer one.
        position         bigint  NOT NULL,
        -- Whether every contact has an entry. Until then, searches do not use the index.
        is_complete      boolean NOT NULL,
        -- The last contact that the current pass over all contacts has visited; NULL between two passes.
        last_contact     uuid,
        -- When the last pass was completed.
        passed_at        timestamptz,
        -- The latest updated_at of contacts that have no change in the feed, because another program has inserted them.
        unrecorded_until timestamptz
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

    -- The values of a contact that searches look up and lists are sorted by. Unset values are in the indexes, too: they are
    -- the end of each sorted list.
    CREATE TABLE search_entries (
        account_id   uuid        NOT NULL,
        contact_id   uuid        NOT NULL,
        first_name   text        COLLATE "C",
        last_name    text        COLLATE "C",
        email        text        COLLATE "C",
        phone        text        COLLATE "C",
        mobile_phone text        COLLATE "C",
        company_name text        COLLATE "C",
        created_at   timestamptz NOT NULL,
        -- The words of these texts in lower case, each after a prefix for the account: a word of another account is then
        -- another word, so that a search does not read the entries of a large neighbor.
        words        tsvector    NOT NULL,
        PRIMARY KEY (account_id, contact_id)
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

    -- All indexes of values begin with account_id, so PostgreSQL must not believe that an account has few entries: it would read
    -- all of them through any of the indexes. Only accounts with many contacts have entries.
    ALTER TABLE search_entries ALTER COLUMN account_id SET (n_distinct = 20);

    CREATE INDEX search_entries_first_name_idx ON search_entries (account_id, first_name, contact_id);
    CREATE INDEX search_entries_last_name_idx ON search_entries (account_id, last_name, contact_id);
    CREATE INDEX search_entries_email_idx ON search_entries (account_id, email, contact_id);
    CREATE INDEX search_entries_phone_idx ON search_entries (account_id, phone, contact_id);
    CREATE INDEX search_entries_mobile_phone_idx ON search_entries (account_id, mobile_phone, contact_id);
    CREATE INDEX search_entries_company_name_idx ON search_entries (account_id, company_name, contact_id);
    CREATE INDEX search_entries_created_at_idx ON search_entries (account_id, created_at, contact_id);
    -- Every search reads the list of pending words, so it stays short.
    CREATE INDEX search_entries_words_idx ON search_entries USING gin (words) WITH (gin_pending_list_limit = 1024);

    -- On Citus, the tables are distributed like the others.
    IF to_regclass('pg_dist_partition') IS NOT NULL THEN
        EXECUTE $distribute$
            SELECT create_distributed_table(name::regclass, 'account_id', colocate_with => 'accounts')
                FROM unnest(ARRAY['search_indexes', 'search_entries']) AS name
                WHERE EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'accounts'::regclass AND partmethod = 'h')
        $distribute$;
    END IF;
END
$migration$;
