-- API clients: programs that get their own tokens with an id and a secret.

-- Who asks for a token names nothing but the client's id. The account's id is part of it (src/clients/id.rs): so the
-- row is found by its primary key, on Citus on the one node that has the account, and no index needs to span accounts.
CREATE TABLE clients (
    account_id  uuid        NOT NULL,
    id          uuid        NOT NULL,
    name        text        NOT NULL,
    -- Blank-separated, as in tokens. Null: everything; empty: nothing.
    scope       text,
    -- SHA-256 of the secret, which is 256 random bits: neither salt nor stretching adds to that.
    secret_hash bytea       NOT NULL,
    created_at  timestamptz NOT NULL,
    -- The row stays: what the client did is recorded under its id.
    revoked_at  timestamptz,
    PRIMARY KEY (account_id, id)
);

-- Every instance reads the revoked clients every second.
CREATE INDEX clients_revoked_idx ON clients (account_id, id) WHERE revoked_at IS NOT NULL;
