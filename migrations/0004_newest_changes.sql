-- The newest change of an account in the feed, or of several accounts: its position and its time. An account without a
-- change is left out.
--
-- From here on, writers lock the row of an account and do not update it: a row that every write replaces cannot be
-- cleaned up while a snapshot is held open, and every lookup of the account would read all its versions. The position of
-- the next change follows from the newest entry of the feed. Entries up to accounts.trimmed_position may have been
-- deleted, and accounts.last_position holds the position of an account that was last written by an instance of an
-- older build.
--
-- The functions are VOLATILE, so in READ COMMITTED each of their statements has a snapshot of its own. A statement that
-- locks accounts and then calls a function gets the changes that were committed before it got the locks; a subquery would
-- have the snapshot of the statement, which is older than the locks. For few accounts the function of one account is
-- faster, because it returns no set of rows.
DO $migration$
BEGIN
    CREATE FUNCTION newest_change(account uuid, OUT newest_position bigint, OUT newest_at timestamptz)
    LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        SELECT h.position, h.at INTO newest_position, newest_at FROM changes h
            WHERE h.account_id = account ORDER BY h.position DESC LIMIT 1;
    END
    $$;
    CREATE FUNCTION newest_changes(accounts uuid[])
    RETURNS TABLE (account uuid, newest_position bigint, newest_at timestamptz)
    LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        RETURN QUERY SELECT n.account_id, c.position, c.at FROM unnest(accounts) AS n (account_id) CROSS JOIN LATERAL
            (SELECT h.position, h.at FROM changes h WHERE h.account_id = n.account_id ORDER BY h.position DESC LIMIT 1) c;
    END
    $$;
END
$migration$;
