//! A service with default settings, and accounts whose contacts have the maximum size.

use serde_json::{Map, Value, json};
use sqlx::{Connection, PgConnection};
use tokio::sync::{Mutex, MutexGuard};

use crate::service_process::ServiceProcess;
use crate::support::{Account, DedicatedCluster};

/// The number of hostile callers. Each has its own account, because an account gets only a part of what all share.
pub const CALLERS: usize = 8;
/// The number of custom fields with large texts.
const TEXT_FIELDS: usize = 63;
/// The number of custom fields with many options.
const OPTION_FIELDS: usize = 52;
/// The number of options of such a field.
const OPTIONS: usize = 988;
/// The number of copies of each contact. An account has several kinds of contacts.
const COPIES: usize = 12;

/// The text fields of a contact of almost 262,144 bytes.
pub fn text_values(character: &str) -> Map<String, Value> {
    let text = character.repeat(4_090 / character.len());
    (0..TEXT_FIELDS).map(|number| (format!("text_{number}"), json!(text))).collect()
}

/// The option fields of a contact of almost 262,144 bytes. Each option takes little JSON, but a text of its own in memory.
pub fn option_values() -> Map<String, Value> {
    let names: Vec<_> = (0..OPTIONS).map(option_name).collect();
    (0..OPTION_FIELDS).map(|number| (format!("options_{number}"), json!(names))).collect()
}

/// Returns a name of two characters.
fn option_name(number: usize) -> String {
    const FIRST: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
    const SECOND: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789_";
    // Names of one character follow when all names of two are used.
    let first = char::from(FIRST[number % FIRST.len()]);
    let second = SECOND.get(number / FIRST.len()).map(|byte| char::from(*byte));
    second.map_or_else(|| first.to_string(), |second| format!("{first}{second}"))
}

/// All custom fields.
pub fn all_properties() -> Vec<String> {
    let texts = (0..TEXT_FIELDS).map(|number| format!("text_{number}"));
    texts.chain((0..OPTION_FIELDS).map(|number| format!("options_{number}"))).collect()
}

/// A caller with an account of its own, and the ids of the account's contacts.
#[derive(Clone)]
pub struct Caller {
    pub account: Account,
    pub ids: Vec<String>,
}

/// Held by the test that runs.
static RUNNING_TEST: Mutex<()> = Mutex::const_new(());

/// The service, its database, and its callers.
pub struct HostileFixture {
    pub service: ServiceProcess,
    pub callers: Vec<Caller>,
    pub database: DedicatedCluster,
    _running_test: MutexGuard<'static, ()>,
}

impl HostileFixture {
    /// Waits until no other test runs, starts the service with default settings except these, and creates the contacts of
    /// its callers.
    pub async fn new(settings: &[(&'static str, &'static str)]) -> Self {
        let running_test = RUNNING_TEST.lock().await;
        let database = DedicatedCluster::new().await;
        // Without fsync, other users of the disk do not delay the writes.
        database.alter_system("fsync = off").await;
        let mut connection = PgConnection::connect(&database.url()).await.unwrap();
        let first = Account::on_server(&database.server());
        create_contacts(&first).await;
        let mut accounts = vec![first.clone()];
        while accounts.len() < CALLERS {
            let account = first.for_new_account();
            copy_account(&mut connection, &first, &account).await;
            accounts.push(account);
        }
        let mut service = ServiceProcess::new(database.url(), settings);
        service.start();
        service.wait_until_ready().await;
        let mut callers = vec![];
        for account in accounts {
            let ids = sqlx::query_scalar("SELECT id::text FROM contacts WHERE account_id = $1 ORDER BY id");
            let ids = ids.bind(account.id).fetch_all(&mut connection).await.unwrap();
            callers.push(Caller { account: account.on_address(service.address()), ids });
        }
        Self { service, callers, database, _running_test: running_test }
    }

    /// Restores the archived contacts, for the next requests that archive them.
    pub async fn restore_contacts(&self) {
        let mut connection = PgConnection::connect(&self.database.url()).await.unwrap();
        sqlx::query("UPDATE contacts SET archived_at = NULL").execute(&mut connection).await.unwrap();
    }
}

/// Creates the custom fields of an account, and contacts: of one-byte characters, of four-byte characters, and with many
/// options.
async fn create_contacts(account: &Account) {
    for number in 0..TEXT_FIELDS {
        account.define(json!({"label": format!("text_{number}"), "type": "text"})).await;
    }
    let options: Vec<_> =
        (0..OPTIONS).map(option_name).map(|name| json!({"internal_name": name, "label": name})).collect();
    for number in 0..OPTION_FIELDS {
        let field = json!({"label": format!("options_{number}"), "type": "multi_select", "options": options});
        account.define(field).await;
    }
    for mut fields in [text_values("x"), text_values("😀"), option_values()] {
        fields.insert("first_name".to_owned(), json!("Ada"));
        account.create(Value::Object(fields)).await;
    }
    let mut connection = account.database().await;
    copy_contacts(&mut connection, account, account, COPIES - 1).await;
}

/// Copies the custom fields and contacts of an account.
async fn copy_account(connection: &mut PgConnection, from: &Account, to: &Account) {
    let accounts = "INSERT INTO accounts (account_id, registry_version, last_field_id) \
                    SELECT $2, registry_version, last_field_id FROM accounts WHERE account_id = $1";
    let fields = "INSERT INTO fields SELECT $2, id, internal_name, label, kind, is_unique, options, created_at, \
                  updated_at, deleted_at FROM fields WHERE account_id = $1";
    for statement in [accounts, fields] {
        sqlx::query(statement).bind(from.id).bind(to.id).execute(&mut *connection).await.unwrap();
    }
    copy_contacts(connection, from, to, 1).await;
}

/// Copies each contact of an account, without its changes.
async fn copy_contacts(connection: &mut PgConnection, from: &Account, to: &Account, copies: usize) {
    let contacts = "INSERT INTO contacts (account_id, id, version, first_name, custom, created_at, updated_at, \
                    custom_size, custom_size_version) \
                    SELECT $2, gen_random_uuid(), version, first_name, custom, created_at, updated_at, custom_size, \
                    custom_size_version FROM contacts, generate_series(1, $3) WHERE account_id = $1";
    let copy = sqlx::query(contacts).bind(from.id).bind(to.id).bind(i32::try_from(copies).unwrap());
    copy.execute(connection).await.unwrap();
}
