-- The change feed, and the answers that an Idempotency-Key brings back.

-- Every write of an account's contacts moves last_position on under the account's lock, which it holds until the commit:
-- so positions are in the order of commits, and a reader that has seen one has seen all below it. Gaps mean nothing.
ALTER TABLE accounts
    ADD COLUMN last_position    bigint NOT NULL DEFAULT 0,
    -- Up to here entries of the feed may have been trimmed.
    ADD COLUMN trimmed_position bigint NOT NULL DEFAULT 0,
    -- The row changes with every batch of writes: its page needs room for the new versions.
    SET (fillfactor = 20);

-- The position of the contact's last change; 0 while it has none. From there its history goes back entry by entry, so
-- the feed needs no index besides its key.
ALTER TABLE contacts ADD COLUMN position bigint NOT NULL DEFAULT 0;

CREATE TABLE changes (
    account_id uuid        NOT NULL,
    position   bigint      NOT NULL,
    contact_id uuid        NOT NULL,
    -- The position of the same contact's change before this one; 0 for its first.
    previous   bigint      NOT NULL,
    kind       text        NOT NULL,
    actor      text,
    at         timestamptz NOT NULL,
    -- {"13": ["Analyst", "Countess"], …}: old and new values by field id. Empty once the contact is purged.
    changed    json        NOT NULL,
    PRIMARY KEY (account_id, position)
);

-- Answers to requests with an Idempotency-Key, written in the transaction of their effect.
CREATE TABLE kept_answers (
    account_id  uuid        NOT NULL,
    key         text        COLLATE "C" NOT NULL,
    -- A hash of who sent what to which path.
    fingerprint bytea       NOT NULL,
    -- NULL once a contact that it shows is purged.
    answer      bytea,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (account_id, key)
);

CREATE INDEX kept_answers_created_idx ON kept_answers (account_id, created_at);

-- The contacts that kept answers show: a purge finds by them what it has to erase.
CREATE TABLE kept_contacts (
    account_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    key        text COLLATE "C" NOT NULL,
    PRIMARY KEY (account_id, contact_id, key)
);

CREATE INDEX kept_contacts_key_idx ON kept_contacts (account_id, key);
