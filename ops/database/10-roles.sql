-- Creates the two roles of the service and grants each of them its rights. Run this script as a superuser, in the
-- database created for the service, before or after `contacts migrate`. It is safe to run again. It sets no passwords.
--
-- contacts_owner  Owns the tables. For `contacts migrate`.
-- contacts_app    Reads and writes rows. For `contacts serve` and the other commands.

DO $$
DECLARE
    role text;
    own  text;
BEGIN
    FOREACH role IN ARRAY ARRAY['contacts_owner', 'contacts_app'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I', role);
        END IF;
        EXECUTE format('ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', role);
    END LOOP;

    -- No other role may connect, and no role needs temporary tables.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO contacts_owner, contacts_app', current_database());

    -- Take over existing tables, whichever role created them.
    FOR own IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('ALTER TABLE public.%I OWNER TO contacts_owner', own);
    END LOOP;
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO contacts_owner;
GRANT USAGE ON SCHEMA public TO contacts_app;

-- Rights on rows only: no TRUNCATE, no REFERENCES, no TRIGGER. The default privileges cover tables of later migrations.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO contacts_app;
ALTER DEFAULT PRIVILEGES FOR ROLE contacts_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO contacts_app;

-- Only the owner may record which migrations have been applied. The definition is the one that `contacts migrate` uses
-- when the table is missing. Creating the table here makes it possible to revoke the rights on it.
CREATE TABLE IF NOT EXISTS public._sqlx_migrations (
    version        bigint      PRIMARY KEY,
    description    text        NOT NULL,
    installed_on   timestamptz NOT NULL DEFAULT now(),
    success        boolean     NOT NULL,
    checksum       bytea       NOT NULL,
    execution_time bigint      NOT NULL
);
ALTER TABLE public._sqlx_migrations OWNER TO contacts_owner;
REVOKE ALL ON public._sqlx_migrations FROM contacts_app;
GRANT SELECT ON public._sqlx_migrations TO contacts_app;
