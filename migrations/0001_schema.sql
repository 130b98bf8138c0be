-- The first schema.
--
-- account_id is the first column of every primary key and unique index. So the rows of an account are adjacent in the
-- indexes, and the tables can be distributed by account_id on Citus. For the same reason there are no triggers and no
-- foreign keys across accounts.

-- One row for each account that has contacts or custom fields. A new account has none and is empty.
CREATE TABLE accounts (
    account_id       uuid    NOT NULL PRIMARY KEY,
    -- Counts the changes to the account's custom fields. A write that was validated against a version is stored only if
    -- the version is still the same. Writes and changes to fields both lock this row, so neither can miss the other.
    registry_version bigint  NOT NULL DEFAULT 0,
    -- A field id is never reused: the values of a deleted field cannot come back under a new field.
    last_field_id    integer NOT NULL DEFAULT 99,
    -- The position of the account's last change in the feed. A writer advances it under the row lock, which it holds
    -- until the commit. So positions are in commit order, and a reader that has seen a position has seen all lower
    -- positions. Gaps have no meaning.
    last_position    bigint  NOT NULL DEFAULT 0,
    -- Entries of the feed up to this position may have been deleted because of their age.
    trimmed_position bigint  NOT NULL DEFAULT 0
) WITH (
    -- Every batch of writes updates the row: the page needs space for new versions.
    fillfactor = 20,
    -- The rows of this small table change all the time: a fixed number of dead rows, not a share, starts the vacuum.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000
);

-- The custom fields.
CREATE TABLE fields (
    account_id    uuid        NOT NULL,
    id            integer     NOT NULL,
    internal_name text        NOT NULL,
    label         text        NOT NULL,
    kind          text        NOT NULL,
    is_unique     boolean     NOT NULL,
    -- [{"internal_name", "label"}, …] in their order; empty for types without options.
    options       jsonb       NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    -- Set when the field is deleted. A background task deletes the field's values first and then this row.
    deleted_at    timestamptz,
    PRIMARY KEY (account_id, id)
);

CREATE UNIQUE INDEX fields_internal_name_key ON fields (account_id, internal_name) WHERE deleted_at IS NULL;
CREATE INDEX fields_deleted_idx ON fields (account_id, id) WHERE deleted_at IS NOT NULL;

-- The primary key is the only index: no update changes an indexed column, so every update can be a HOT update. The
-- values of unique fields are in contact_keys. The columns of the writable system fields have the fields' names
-- (src/fields/system.rs).
CREATE TABLE contacts (
    account_id    uuid        NOT NULL,
    id            uuid        NOT NULL,
    -- Counts the changes to the contact. The entity tag is derived from it.
    version       bigint      NOT NULL,
    first_name    text,
    last_name     text,
    email         text,
    contact_owner text,
    external_id   text,
    phone         text,
    mobile_phone  text,
    job_title     text,
    company_name  text,
    website       text,
    -- The values of custom fields by field id: {"100": 38, "101": ["blue", "red"]}.
    custom        jsonb       NOT NULL DEFAULT '{}',
    archived_at   timestamptz,
    archived_by   text,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    -- The position of the contact's last change in the feed, 0 without a change. The history follows
    -- changes.previous_position from here, so it needs no index.
    position      bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, id)
) WITH (
    fillfactor = 85,
    -- HOT updates leave little to vacuum while the page has free space. A snapshot that is held open prevents the
    -- pruning, and new versions move to other pages. By default vacuum starts when a fifth of the table is dead; that
    -- bloat would stay. At a fiftieth the dead rows still fit into the space that the fillfactor leaves.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.05
);

-- A write of one custom field reads and writes the whole document. LZ4 compresses a large one in about half the time of
-- the default method. A server that was built without LZ4 keeps the default.
DO $$
BEGIN
    ALTER TABLE contacts ALTER COLUMN custom SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;

-- The values of unique fields in the form in which they are compared. They are unique among active contacts only. An
-- archived contact keeps its rows, so that it can be found and restored by them.
-- There is no foreign key: each row is written in the transaction that writes its contact.
CREATE TABLE contact_keys (
    account_id uuid    NOT NULL,
    contact_id uuid    NOT NULL,
    field_id   integer NOT NULL,
    key        text    COLLATE "C" NOT NULL,
    is_active  boolean NOT NULL,
    PRIMARY KEY (account_id, contact_id, field_id, key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE UNIQUE INDEX contact_keys_active_key ON contact_keys (account_id, field_id, key) WHERE is_active;
CREATE INDEX contact_keys_archived_idx ON contact_keys (account_id, field_id, key) WHERE NOT is_active;

-- The change feed. Rows are inserted at the end and deleted at the beginning, each time a small share of the table.
CREATE TABLE changes (
    account_id        uuid        NOT NULL,
    position          bigint      NOT NULL,
    contact_id        uuid        NOT NULL,
    -- The position of the contact's previous change, 0 for its first.
    previous_position bigint      NOT NULL,
    kind              text        NOT NULL,
    actor             text,
    at                timestamptz NOT NULL,
    -- Old and new values by field id: {"13": ["Analyst", "Countess"], …}. Empty once the contact is purged.
    changed           json        NOT NULL,
    PRIMARY KEY (account_id, position)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

-- Purged contacts whose values are not yet erased from all entries of the feed. The erasure of a long history takes
-- several transactions; each records its progress here, so that a crash does not end it.
CREATE TABLE pending_erasures (
    account_id uuid        NOT NULL,
    contact_id uuid        NOT NULL,
    -- The position of the contact's newest entry that is not erased.
    position   bigint      NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, contact_id)
);

-- Responses to requests with an Idempotency-Key. Each is written in the transaction of the request's effect.
CREATE TABLE idempotency_keys (
    account_id  uuid        NOT NULL,
    key         text        COLLATE "C" NOT NULL,
    -- A hash of the request: actor, path, query and body.
    fingerprint bytea       NOT NULL,
    -- NULL once a contact in the response is purged.
    response    bytea,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (account_id, key)
) WITH (autovacuum_vacuum_scale_factor = 0.02);

-- The condition is always true. It makes the index unusable for lookups by key, which the planner would otherwise do
-- through it while the table is empty: both indexes begin with account_id and then cost the same.
CREATE INDEX idempotency_keys_created_idx ON idempotency_keys (account_id, created_at) WHERE created_at IS NOT NULL;

-- The contacts in stored responses: a purge finds the responses that it has to erase.
CREATE TABLE idempotency_key_contacts (
    account_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    key        text COLLATE "C" NOT NULL,
    PRIMARY KEY (account_id, contact_id, key)
) WITH (autovacuum_vacuum_scale_factor = 0.02);

-- The condition excludes lookups by contact, as above.
CREATE INDEX idempotency_key_contacts_key_idx ON idempotency_key_contacts (account_id, key) WHERE key IS NOT NULL;

-- API clients: programs that get tokens with an id and a secret. A token request names only the client's id. The
-- account's id is part of it (src/clients/id.rs), so the row is found by its primary key.
CREATE TABLE clients (
    account_id  uuid        NOT NULL,
    id          uuid        NOT NULL,
    name        text        NOT NULL,
    -- The scopes, separated by spaces as in tokens. NULL allows everything; an empty text allows nothing.
    scope       text,
    -- SHA-256 of the secret. The secret is 256 random bits: a salt or a slow hash would not make it safer.
    secret_hash bytea       NOT NULL,
    created_at  timestamptz NOT NULL,
    -- A revoked client keeps its row: the feed records its changes under its id.
    revoked_at  timestamptz,
    PRIMARY KEY (account_id, id)
);

-- Every instance reads the revoked clients every second.
CREATE INDEX clients_revoked_idx ON clients (account_id, id) WHERE revoked_at IS NOT NULL;
