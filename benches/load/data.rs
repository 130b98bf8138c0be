//! The benchmark data. Ids are computed from numbers, so that a client needs no list of ids.

use uuid::Uuid;

/// The secret that signs the tokens.
pub const SECRET: &str = "a secret for benchmarks, long enough";

/// The size of the benchmark data.
#[derive(Clone, Copy)]
pub struct DataSize {
    /// The number of contacts.
    pub rows: u64,
    pub accounts: u64,
    /// The number of custom fields of each account.
    pub fields: u64,
    /// Whether the table of unique keys is filled too.
    pub has_unique_keys: bool,
}

/// Returns the id of the account with this number.
pub fn account(number: u64) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000 | u128::from(number + 1))
}

/// Returns the id of the contact with this number. It belongs to the account `number % accounts`.
pub fn contact(number: u64) -> Uuid {
    Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0000 | u128::from(number))
}

/// Returns the SQL expression for the account id of a contact, from the SQL expression for the contact's number.
pub fn account_sql(number: &str, accounts: u64) -> String {
    format!("('00000000-0000-7000-8000-' || lpad(to_hex({number} % {accounts} + 1), 12, '0'))::uuid")
}

/// Returns the SQL expression for a contact's id, from the SQL expression for its number.
pub fn contact_sql(number: &str) -> String {
    format!("('0198c0de-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid")
}

/// Returns the statements that fill an empty database.
pub fn fill_statements(size: DataSize) -> Vec<String> {
    let DataSize { rows, accounts, fields, has_unique_keys } = size;
    let (account, contact) = (account_sql("n", accounts), contact_sql("n"));
    let mut statements = vec![
        format!("INSERT INTO accounts SELECT {account}, 1, 99 + {fields} FROM generate_series(0, {accounts} - 1) n"),
        format!(
            "INSERT INTO fields SELECT {account}, 100 + f, 'field_' || f, 'Field ' || f, 'text', false, '[]', now(), now(), NULL \
             FROM generate_series(0, {accounts} - 1) n, generate_series(0, {fields} - 1) f"
        ),
        format!(
            "INSERT INTO contacts SELECT {account}, {contact}, 1, 'First' || n, 'Last' || n, 'c' || n || '@example.com', \
             'owner@example.com', 'x-' || n, '+1 555 ' || n, NULL, 'Analyst', 'Company ' || n % 1000, NULL, \
             jsonb_build_object('100', 'value ' || n, '101', n::text), NULL, NULL, now(), now() FROM generate_series(0, {rows} - 1) n"
        ),
    ];
    if has_unique_keys {
        for (field, key) in [(4, "'c' || n || '@example.com'"), (6, "'x-' || n")] {
            statements.push(format!(
                "INSERT INTO contact_keys SELECT {account}, {contact}, {field}, {key}, true FROM generate_series(0, {rows} - 1) n"
            ));
        }
    }
    statements.push("VACUUM ANALYZE".to_owned());
    statements.push("CHECKPOINT".to_owned());
    statements
}
