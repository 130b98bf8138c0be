-- account_id leads every key, so that rows of one account lie together and the same schema and statements
-- run on Citus distributed by account_id. For the same reason: no triggers, no foreign key across accounts.

-- A row for each account that ever had a custom field. Other accounts need none: a new one is empty.
CREATE TABLE accounts (
    account_id       uuid    NOT NULL PRIMARY KEY,
    -- Counts the changes to the account's custom fields. A write that depends on them holds a share lock on
    -- this row, a change to them the row itself: neither can miss the other.
    registry_version bigint  NOT NULL DEFAULT 0,
    -- Field ids are never given out twice, so the values of a deleted field can't come back under a new one.
    last_field_id    integer NOT NULL DEFAULT 99
);

CREATE TABLE fields (
    account_id    uuid        NOT NULL,
    id            integer     NOT NULL,
    internal_name text        NOT NULL,
    label         text        NOT NULL,
    kind          text        NOT NULL,
    is_unique     boolean     NOT NULL,
    -- [{"internal_name", "label"}, …] in their order; empty but for the option kinds.
    options       jsonb       NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    -- Set when the field is deleted; the row goes when the last of its values has been swept away.
    deleted_at    timestamptz,
    PRIMARY KEY (account_id, id)
);

CREATE UNIQUE INDEX fields_internal_name_key ON fields (account_id, internal_name) WHERE deleted_at IS NULL;
CREATE INDEX fields_deleted_idx ON fields (account_id, id) WHERE deleted_at IS NOT NULL;

-- The primary key is the only index on purpose: no update touches it, so every one can be a HOT update.
-- Unique keys live in contact_keys.
CREATE TABLE contacts (
    account_id    uuid        NOT NULL,
    id            uuid        NOT NULL,
    -- Counts the changes to the contact; the entity tag is made of it.
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
    PRIMARY KEY (account_id, id)
) WITH (fillfactor = 85);

-- The values of unique fields in the form they are compared by. Only those of active contacts exclude one
-- another; an archived contact keeps its rows, so that it can be found and restored by them.
-- No foreign key: every row is written in the transaction that writes its contact.
CREATE TABLE contact_keys (
    account_id uuid    NOT NULL,
    contact_id uuid    NOT NULL,
    field_id   integer NOT NULL,
    key        text    COLLATE "C" NOT NULL,
    active     boolean NOT NULL,
    PRIMARY KEY (account_id, contact_id, field_id, key)
);

CREATE UNIQUE INDEX contact_keys_active_key ON contact_keys (account_id, field_id, key) WHERE active;
CREATE INDEX contact_keys_archived_idx ON contact_keys (account_id, field_id, key) WHERE NOT active;
