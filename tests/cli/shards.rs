//! Every statement names the accounts of each of its tables, so that Citus can send it to the one shard that has them: with
//! `account_id = $1`, or with the condition of `shard_condition` (`src/repository/statement.rs`). And none depends on the
//! state of a session, which only the node has to which the service is connected.

use tokio::runtime::Runtime;

use super::logged_statements::{TABLES, run_and_log_every_operation};

/// Statements without the condition, with the reason.
const EXCEPTIONS: [(&str, &str); 11] = [
    ("SELECT (SELECT count(*) - 1 FROM changes)", "is a statement of the test"),
    ("newest_change", "store a batch on PostgreSQL only: Citus allows no function that reads a distributed table"),
    ("INSERT INTO accounts (account_id) SELECT unnest", "inserts accounts on PostgreSQL only; on Citus one by one"),
    ("FROM pending_erasures WHERE created_at", "looks for interrupted erasures of all accounts"),
    ("passed_at FROM search_indexes", "reads the states of the search indexes of all accounts"),
    ("e.words @@", "compares accounts with IS NOT DISTINCT FROM on PostgreSQL, and with = on Citus"),
    ("FROM clients WHERE revoked_at", "reads the clients that were revoked in all accounts"),
    ("FROM clients ORDER BY", "the command lists all clients"),
    ("FROM fields WHERE deleted_at <", "looks for deleted fields of all accounts"),
    ("FROM accounts WHERE account_id > $1", "visits all accounts, to delete expired rows"),
    ("WHERE a.account_id > $1 AND a.account_id <= $2", "looks for expired rows of many accounts, joined by account"),
];

/// Statements that set something for their transaction, with the reason.
const SETTINGS: [(&str, &str); 4] = [
    ("FOR NO KEY UPDATE OFFSET 0", "sets the timeouts of a write transaction on the node of the account"),
    ("newest_change", "store a batch on PostgreSQL only"),
    ("INSERT INTO accounts (account_id) SELECT unnest", "inserts the accounts of a batch, on PostgreSQL only"),
    (
        "'idle_in_transaction_session_timeout', '0'",
        "lets an export read for longer, on the node that it is connected to",
    ),
];

/// The direct content of a pair of parentheses, or of the whole statement, as words.
type Scope = Vec<String>;

/// Returns the scopes of a statement. A condition of `shard_condition` or `shard_condition_of_newest` becomes the word `shard:`
/// and the name of the table.
fn scopes(statement: &str) -> Vec<Scope> {
    let mut text = statement.to_owned();
    let names: Vec<_> = statement.split(".account_id = ANY ($").map(|before| last_word(before).to_owned()).collect();
    for name in names {
        for parameter in 1..100 {
            let is_limited = format!("{name}.account_id = ANY (${parameter})");
            let condition = format!("(${parameter}::uuid[] IS NULL OR {is_limited})");
            let of_newest = format!("(num_nulls(${parameter}::uuid[]) <> 0 OR {is_limited})");
            text = text.replace(&condition, &format!(" shard:{name} ")).replace(&of_newest, &format!(" shard:{name} "));
        }
    }
    for symbol in ["(", ")", ",", "="] {
        text = text.replace(symbol, &format!(" {symbol} "));
    }
    let (mut open, mut closed) = (vec![Scope::new()], vec![]);
    for word in text.split_whitespace() {
        match word {
            "(" => open.push(Scope::new()),
            ")" => closed.extend(open.pop()),
            _ => open.last_mut().unwrap().push(word.to_owned()),
        }
    }
    closed.extend(open);
    closed
}

/// Returns the last word of a text.
fn last_word(text: &str) -> &str {
    text.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// Returns the tables of a scope that have no condition on their account.
fn unlimited_tables(scope: &Scope) -> Vec<String> {
    let word = |index: usize| scope.get(index).map_or("", String::as_str);
    let has_equal = |alias: &str, is_value: &dyn Fn(&str) -> bool| {
        let columns = ["account_id".to_owned(), format!("{alias}.account_id")];
        let mut columns = scope.iter().enumerate().filter(|(_, word)| columns.contains(word));
        columns.any(|(index, _)| word(index + 1) == "=" && is_value(word(index + 2)))
    };
    let has_parameter = |alias: &str| has_equal(alias, &|value| value.starts_with('$'));
    let has_account = |alias: &str| {
        has_parameter(alias)
            || scope.contains(&format!("shard:{alias}"))
            || has_equal(alias, &|value| value.strip_suffix(".account_id").is_some_and(has_parameter))
    };
    // The account of an inserted row is a parameter, or the account of a row that was limited.
    let inserts_account = || {
        let select = scope.iter().position(|word| word == "SELECT").map(|index| word(index + 1));
        scope.iter().any(|word| word == "VALUES")
            || matches!(select, Some("$1" | "a.account_id" | "c.account_id" | "s.account_id"))
    };
    let mut found = vec![];
    for (index, name) in scope.iter().enumerate().filter(|(_, name)| TABLES.contains(&name.as_str())) {
        let keyword = word(index.wrapping_sub(1));
        let alias = if word(index + 1) == "AS" { word(index + 2) } else { word(index + 1) };
        let is_limited = match keyword {
            "INTO" => inserts_account() || has_account(alias),
            "FROM" | "JOIN" | "UPDATE" | "USING" => has_account(alias) || has_account(name),
            _ => true,
        };
        if !is_limited {
            found.push(format!("{keyword} {name} {alias}"));
        }
    }
    found
}

/// Returns what a statement does that Citus cannot do on one shard.
fn violations(statement: &str) -> Vec<String> {
    let is_listed = |list: &[(&str, &str)]| list.iter().any(|(part, _)| statement.contains(part));
    let mut found = vec![];
    if !is_listed(&EXCEPTIONS) {
        found.extend(scopes(statement).iter().flat_map(unlimited_tables));
    }
    let settings = ["set_config(", "current_setting(", "pg_advisory", "currval(", "lastval("];
    // A changed row must be the same on every node that stores it.
    let volatile = ["clock_timestamp(", "random(", "gen_random_uuid(", "timeofday("];
    let is_select = statement.starts_with("SELECT");
    found
        .extend(volatile.iter().filter(|name| !is_select && statement.contains(**name)).map(|name| (*name).to_owned()));
    found.extend(
        settings
            .iter()
            .filter(|name| statement.contains(**name) && !is_listed(&SETTINGS))
            .map(|name| (*name).to_owned()),
    );
    found
}

#[test]
fn every_statement_names_the_accounts_of_its_tables() {
    let runtime = Runtime::new().unwrap();
    let (cluster, _, statements) = run_and_log_every_operation(&runtime, "shards");
    let found: Vec<_> =
        statements.iter().map(|sql| (violations(sql), sql)).filter(|(found, _)| !found.is_empty()).collect();
    assert!(found.is_empty(), "{found:#?}");
    for (part, _) in EXCEPTIONS {
        assert!(statements.iter().any(|sql| sql.contains(part)), "no statement contains {part}");
    }
    drop(cluster);
}

#[test]
fn tables_without_a_condition_are_found() {
    let limited = "SELECT 1 FROM unnest($1::uuid[]) AS n (account_id) CROSS JOIN LATERAL (SELECT * FROM contacts c \
         WHERE account_id = n.account_id AND ($2::uuid[] IS NULL OR c.account_id = ANY ($2)) LIMIT 1) x";
    assert_eq!(violations(limited), [""; 0]);
    assert_eq!(violations("DELETE FROM fields WHERE account_id = $1 AND id = $2"), [""; 0]);
    assert_eq!(violations(&limited.replace("c.account_id = ANY", "d.account_id = ANY")), ["FROM contacts c"]);
    assert_eq!(violations("UPDATE contacts c SET version = 1 FROM r WHERE c.ctid = r.row_id"), ["UPDATE contacts c"]);
    assert_eq!(
        violations("UPDATE clients SET revoked_at = clock_timestamp() WHERE account_id = $1"),
        ["clock_timestamp("]
    );
    assert_eq!(
        violations("SELECT set_config('work_mem', '1GB', true) FROM accounts WHERE account_id = $1"),
        ["set_config("]
    );
}
