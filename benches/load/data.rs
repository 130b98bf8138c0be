//! The benchmark data. Ids are computed from numbers, so that a client needs no list of ids.

use uuid::Uuid;

/// The secret that signs the tokens.
pub const SECRET: &str = "a secret for benchmarks, long enough";

/// The distance between the account numbers of two data sets.
const ACCOUNTS_PER_SET: u64 = 1_000_000;
/// The distance between the contact numbers of two data sets, as a power of two.
const CONTACT_BITS_PER_SET: u64 = 32;

/// A set of accounts whose contacts all have the same form.
#[derive(Clone, Copy)]
pub struct DataSet {
    /// Distinguishes the data sets of a database.
    pub index: u64,
    /// The number of contacts.
    pub rows: u64,
    pub accounts: u64,
    /// The number of custom fields of each account.
    pub fields: u64,
    /// The number of custom fields that have a value in each contact.
    pub filled_fields: u64,
    /// Whether the table of unique keys is filled too.
    pub has_unique_keys: bool,
    /// Whether contacts have names in common: there are 400 first and 20,000 last names.
    pub shares_names: bool,
}

impl DataSet {
    /// Returns narrow contacts: ten custom fields, of which two have a value.
    pub fn narrow(index: u64, rows: u64, accounts: u64) -> Self {
        Self { index, rows, accounts, fields: 10, filled_fields: 2, has_unique_keys: true, shares_names: false }
    }

    /// Returns the id of an account of this set.
    pub fn account(self, number: u64) -> Uuid {
        let number = self.index * ACCOUNTS_PER_SET + number + 1;
        Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000 | u128::from(number))
    }

    /// Returns the number of the account that has this contact.
    pub fn account_of_contact(self, contact: u64) -> u64 {
        contact % self.accounts
    }

    /// Returns the id of a contact of this set.
    pub fn contact(self, number: u64) -> Uuid {
        let number = (self.index << CONTACT_BITS_PER_SET) + number;
        Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0000 | u128::from(number))
    }

    /// Returns the SQL expression for the account id of a contact, from a `bigint` expression for the contact's number.
    pub fn account_sql(self, contact: &str) -> String {
        let first = self.index * ACCOUNTS_PER_SET + 1;
        format!("('00000000-0000-7000-8000-' || lpad(to_hex({contact} % {} + {first}), 12, '0'))::uuid", self.accounts)
    }

    /// Returns the SQL expression for a contact's id, from a `bigint` expression for its number.
    pub fn contact_sql(self, contact: &str) -> String {
        let first = self.index << CONTACT_BITS_PER_SET;
        format!("('0198c0de-0000-7000-8000-' || lpad(to_hex({contact} + {first}), 12, '0'))::uuid")
    }

    /// Returns the statements that insert this set.
    ///
    /// The statements name no columns: the order of the columns is the same in all versions of the schema, but not
    /// their names.
    pub fn fill_statements(self) -> Vec<String> {
        let Self { rows, accounts, fields, filled_fields, .. } = self;
        let (first, last) = if self.shares_names { ("n * 37 % 400", "n * 7919 % 20000") } else { ("n", "n") };
        let (account, contact) = (self.account_sql("n"), self.contact_sql("n"));
        // Values of twenty random characters, which do not compress: wide documents are stored out of line.
        let custom = format!(
            "coalesce((SELECT jsonb_object_agg(100 + f, left(md5(n || '.' || f), 20)) \
             FROM generate_series(0, {filled_fields}::bigint - 1) f), '{{}}')"
        );
        let mut statements = vec![
            format!(
                "INSERT INTO accounts SELECT {account}, 1, 99 + {fields} FROM generate_series(0, {accounts}::bigint - 1) n"
            ),
            format!(
                "INSERT INTO fields SELECT {account}, 100 + f, 'field_' || f, 'Field ' || f, 'text', false, '[]', now(), \
                 now(), NULL FROM generate_series(0, {accounts}::bigint - 1) n, generate_series(0, {fields} - 1) f"
            ),
            format!(
                "INSERT INTO contacts SELECT {account}, {contact}, 1, 'First' || {first}, 'Last' || {last}, \
                 'c' || n || '@example.com', 'owner@example.com', 'x-' || n, '+1 555 ' || n, NULL, 'Analyst', \
                 'Company ' || n % 1000, NULL, {custom}, NULL, NULL, now(), now() FROM generate_series(0, {rows}::bigint - 1) n"
            ),
        ];
        let keys = [(4, "'c' || n || '@example.com'"), (6, "'x-' || n")];
        for (field, key) in keys.into_iter().filter(|_| self.has_unique_keys) {
            statements.push(format!(
                "INSERT INTO contact_keys SELECT {account}, {contact}, {field}, {key}, true \
                 FROM generate_series(0, {rows}::bigint - 1) n"
            ));
        }
        statements
    }

    /// Returns the statements that add one entry of the change feed for each contact: a change of `first_name`.
    pub fn feed_statements(self) -> Vec<String> {
        let (account, contact) = (self.account_sql("n"), self.contact_sql("n"));
        let series = format!("generate_series(0, {}::bigint - 1) n", self.rows);
        let position = format!("n / {} + 1", self.accounts);
        vec![
            format!(
                "INSERT INTO changes SELECT {account}, {position}, {contact}, 0, 'updated', 'bench', now(), \
                 json_build_object('2', json_build_array('Old' || n, 'First' || n)) FROM {series}"
            ),
            format!(
                "UPDATE contacts SET position = {position} FROM {series} WHERE account_id = {account} AND id = {contact}"
            ),
            format!(
                "UPDATE accounts a SET last_position = p.last FROM (SELECT {account} AS id, max({position}) AS last \
                 FROM {series} GROUP BY 1) p WHERE account_id = p.id"
            ),
        ]
    }

    /// Returns the statements that give each contact from `first` on this many changes. The set must have one account
    /// and no changes.
    pub fn history_statements(self, first: u64, changes: u64) -> Vec<String> {
        let (account, contact) = (self.account_sql("n"), self.contact_sql("n"));
        let contacts = format!("generate_series({first}::bigint, {}::bigint - 1) n", self.rows);
        let last_position = format!("(n - {first} + 1) * {changes}");
        let position = format!("(n - {first}) * {changes} + c");
        vec![
            format!(
                "INSERT INTO changes SELECT {account}, {position}, {contact}, CASE c WHEN 1 THEN 0 ELSE {position} - 1 END, \
                 'updated', 'bench', now(), json_build_object('13', json_build_array('Title ' || c - 1, 'Title ' || c)) \
                 FROM {contacts}, generate_series(1, {changes}::bigint) c"
            ),
            format!(
                "UPDATE contacts SET position = {last_position} FROM {contacts} \
                 WHERE account_id = {account} AND id = {contact}"
            ),
            format!(
                "UPDATE accounts SET last_position = {} WHERE account_id = {}",
                (self.rows - first) * changes,
                self.account_sql("0::bigint")
            ),
        ]
    }
}
