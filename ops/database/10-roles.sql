-- The two roles of the service, and what each may do. To be run as a superuser, in the database made for the service,
-- before `contacts migrate` or after it; again does no harm. Neither role has a password yet.
--
-- contacts_owner  owns the tables: for `contacts migrate`.
-- contacts_app    reads and writes rows: for all that runs longer, or is run by hand.

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

    -- Nobody else may connect, and nobody needs temporary tables.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO contacts_owner, contacts_app', current_database());

    -- Tables that are there already, made by whoever it was.
    FOR own IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('ALTER TABLE public.%I OWNER TO contacts_owner', own);
    END LOOP;
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO contacts_owner;
GRANT USAGE ON SCHEMA public TO contacts_app;

-- Rows alone: no TRUNCATE, no REFERENCES, no TRIGGER. Also of the tables of migrations to come.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO contacts_app;
ALTER DEFAULT PRIVILEGES FOR ROLE contacts_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO contacts_app;

-- Which migrations have been applied is only for the owner to say. The table is the one that `contacts migrate` makes
-- where there is none; made here, it can be told from the others.
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
