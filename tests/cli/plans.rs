//! The plan of every statement that the service runs is an index lookup, whatever the planner knows of the tables.
//!
//! Statements run with generic plans, and a plan may have been made while a table was empty. The test takes the statements
//! from the database's log while every operation runs, and explains each of them on empty, small and large tables.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::runtime::Runtime;

use super::every_operation::connect;
use super::logged_statements::run_and_log_every_operation;

/// The tables with rows of accounts, and the columns of which an index condition must contain one: a scan by
/// `account_id` alone reads all rows of the account.
const TABLES: [(&str, &[&str]); 13] = [
    ("accounts", &["account_id"]),
    ("fields", &["account_id"]),
    ("contacts", &["id"]),
    ("contact_keys", &["contact_id", "key"]),
    ("changes", &["position"]),
    ("idempotency_keys", &["key", "created_at"]),
    ("idempotency_key_contacts", &["contact_id", "key"]),
    ("pending_erasures", &["contact_id"]),
    ("clients", &["account_id", "revoked_at"]),
    ("search_indexes", &["account_id"]),
    ("search_entries", &["contact_id", "words", "first_name", "last_name", "phone", "company_name", "created_at"]),
    ("source_times", &["contact_id"]),
    ("imported_rows", &["contact_id", "row_key"]),
];

/// Statements that read many rows by their nature, with the reason.
const EXCEPTIONS: [(&str, &str); 14] = [
    ("count(c.archived_at) AS archived", "counts the contacts of an account"),
    ("c.first_name, c.last_name, c.email, c.phone", "a text query reads the contacts of an account"),
    ("ORDER BY position LIMIT $3", "reads the first entries of the feed"),
    ("AND ctid = ANY (ARRAY(SELECT ctid", "removes all rows of an account"),
    ("WHERE c.account_id = $1 ORDER BY c.id", "exports all contacts of an account"),
    ("SELECT DISTINCT c", "looks for options in use in all contacts of an account"),
    (
        "SELECT DISTINCT f.contact_id",
        "reads what a search finds in an index: how much that is depends on the search, and the service limits it",
    ),
    ("FROM pending_erasures WHERE created_at", "the table holds only erasures in progress"),
    ("FROM fields WHERE deleted_at <", "reads the index of deleted fields"),
    ("FROM clients ORDER BY", "the command lists all clients"),
    ("FROM contact_keys WHERE account_id = $1 AND field_id = $2 AND", "reads the keys of a deleted field"),
    ("SELECT (SELECT count(*) - 1 FROM changes)", "is a statement of the test"),
    ("passed_at FROM search_indexes", "reads the states of all indexes"),
    ("_sqlx_migrations", "reads the table of migrations"),
];

/// Returns the highest parameter number of a statement.
fn parameter_count(statement: &str) -> usize {
    let numbers = statement.split('$').skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    numbers.max().unwrap_or(0)
}

/// Returns the generic plan of a statement in a session with the settings of the service.
async fn generic_plan(connection: &mut PgConnection, statement: &str) -> Value {
    let arguments = match parameter_count(statement) {
        0 => String::new(),
        count => format!("({})", vec!["NULL"; count].join(", ")),
    };
    sqlx::raw_sql(AssertSqlSafe(format!("PREPARE explained AS {statement}"))).execute(&mut *connection).await.unwrap();
    let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE explained{arguments}");
    let plan: Value =
        sqlx::query_scalar(AssertSqlSafe(explain)).persistent(false).fetch_one(&mut *connection).await.unwrap();
    sqlx::raw_sql("DEALLOCATE explained").execute(connection).await.unwrap();
    plan[0]["Plan"].clone()
}

/// Whether a node of a plan, whose parent has this type, reads only the last row of an index range.
fn reads_last_row(node: &Value, parent: &str) -> bool {
    parent == "Limit" && node["Scan Direction"] == "Backward" && node["Index Cond"].is_string()
}

/// Adds the scans of a plan that read more than the rows that a key selects.
fn add_wide_scans(node: &Value, parent: &str, found: &mut Vec<String>) {
    if reads_last_row(node, parent) {
        return;
    }
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let is_scan = ["Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"].contains(&text("Node Type"));
    if let Some((table, columns)) = TABLES.iter().find(|(table, _)| is_scan && text("Relation Name") == *table) {
        let child = &node["Plans"][0];
        let condition =
            [text("Index Cond"), child["Index Cond"].as_str().unwrap_or_default()].concat().replace('"', "");
        let names = |column: &str| [" ", ")"].iter().any(|after| condition.contains(&format!("{column}{after}")));
        if !columns.iter().any(|column| names(column)) {
            let (kind, index) = (text("Node Type"), text("Index Name"));
            found.push(format!("{kind} of {table} by \"{index}\" with the condition \"{condition}\""));
        }
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        add_wide_scans(child, text("Node Type"), found);
    }
}

/// Checks the plans of all statements on the tables as they are now.
async fn expect_index_lookups(connection: &mut PgConnection, statements: &BTreeSet<String>, state: &str) {
    let mut found = vec![];
    for statement in statements {
        let known = found.len();
        add_wide_scans(&generic_plan(connection, statement).await, "", &mut found);
        found[known..].iter_mut().for_each(|scan| *scan = format!("{scan} in {statement}"));
    }
    assert!(found.is_empty(), "on {state}: {found:#?}");
}

/// Inserts `contacts` contacts into each of ten accounts, with two keys and three changes each.
async fn insert_rows(connection: &mut PgConnection, contacts: i32) {
    for statement in [
        "INSERT INTO accounts (account_id) SELECT md5('a' || a)::uuid FROM generate_series(1, 10) a",
        "INSERT INTO contacts (account_id, id, version, first_name, created_at, updated_at) \
         SELECT md5('a' || a)::uuid, md5(a || '-' || n)::uuid, 1, 'A', now(), now() \
         FROM generate_series(1, 10) a, generate_series(1, $1) n",
        "INSERT INTO contact_keys SELECT account_id, id, f, id::text, true FROM contacts, generate_series(4, 6, 2) f \
         WHERE $1 > 0",
        "INSERT INTO changes SELECT md5('a' || a)::uuid, n, md5(a || '-' || n)::uuid, 0, 'updated', NULL, now(), '{}' \
         FROM generate_series(1, 10) a, generate_series(1, $1 * 3) n",
        "INSERT INTO idempotency_keys SELECT account_id, id::text, '', '', now() FROM contacts WHERE $1 > 0",
        "INSERT INTO idempotency_key_contacts SELECT account_id, id, id::text FROM contacts WHERE $1 > 0",
        "INSERT INTO fields SELECT account_id, 100, 'size', 'Size', 'number', false, '[]', now(), now(), NULL \
         FROM accounts WHERE $1 > 0",
        "INSERT INTO search_indexes SELECT account_id, 'C.utf8', 0, true FROM accounts WHERE $1 > 0",
        "INSERT INTO search_entries SELECT account_id, id, 'A', 'B', NULL, '555', NULL, 'C', now(), array_to_tsvector('{a,b}') \
         FROM contacts WHERE $1 > 0",
        "INSERT INTO clients SELECT account_id, account_id, 'sync', NULL, '', now(), NULL FROM accounts WHERE $1 > 0",
    ] {
        let query = sqlx::query(statement);
        let query = if statement.contains("$1") { query.bind(contacts) } else { query };
        query.execute(&mut *connection).await.unwrap();
    }
}

/// Checks that the reads of the feed begin where its deleted entries end: the index keeps these until they are vacuumed.
async fn expect_reads_after_deleted_changes(connection: &mut PgConnection, statements: &BTreeSet<String>) {
    let mut reads = 0;
    for statement in statements.iter().filter(|sql| sql.contains(">= greatest($2, (SELECT a.trimmed_position")) {
        let plan = generic_plan(connection, statement).await.to_string();
        assert!(plan.contains(r#"\"position\" >= GREATEST("#), "{statement}: {plan}");
        reads += 1;
    }
    assert!(reads > 0, "no statement reads the feed");
}

#[test]
fn every_statement_is_an_index_lookup_on_empty_small_and_large_tables() {
    let runtime = Runtime::new().unwrap();
    let (cluster, url, mut statements) = run_and_log_every_operation(&runtime, "plans");
    statements.retain(|sql| !EXCEPTIONS.iter().any(|(part, _)| sql.contains(part)));

    runtime.block_on(async {
        let mut connection = connect(&url).await;
        for setting in ["SET plan_cache_mode = force_generic_plan", "SET enable_seqscan = off"] {
            sqlx::raw_sql(setting).execute(&mut connection).await.unwrap();
        }
        let tables = TABLES.map(|(table, _)| table).join(", ");
        let truncate = format!("TRUNCATE {tables}");
        sqlx::raw_sql(AssertSqlSafe(truncate.clone())).execute(&mut connection).await.unwrap();
        expect_index_lookups(&mut connection, &statements, "empty tables").await;
        expect_reads_after_deleted_changes(&mut connection, &statements).await;
        for contacts in [0, 1, 2_000] {
            sqlx::raw_sql(AssertSqlSafe(truncate.clone())).execute(&mut connection).await.unwrap();
            if contacts > 0 {
                insert_rows(&mut connection, contacts).await;
                expect_index_lookups(&mut connection, &statements, "tables without statistics").await;
            }
            sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await.unwrap();
            let state = format!("analyzed tables with {} contacts", contacts * 10);
            expect_index_lookups(&mut connection, &statements, &state).await;
        }
    });
    drop(cluster);
}
