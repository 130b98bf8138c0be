//! `contacts import` and `contacts export`.

mod export;
mod import;
mod layouts;
mod matching;
mod prompt;
mod reading;
mod workbook;

use std::fs;
use std::process::Output;

use contacts::embedded::Cluster;
use tempfile::TempDir;

use super::{program, start_database, stderr_lines};

/// A second account.
const OTHER_ACCOUNT: &str = "0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4f";

/// A migrated database, and a folder for the files of a test.
struct Fixture {
    _cluster: Cluster,
    url: String,
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let (cluster, url) = start_database(name);
        let folder = TempDir::new().unwrap();
        assert!(program(&folder).arg("migrate").env("DATABASE_URL", &url).output().unwrap().status.success());
        Self { _cluster: cluster, url, folder, runtime: tokio::runtime::Runtime::new().unwrap() }
    }

    /// Runs a command of the program on the database.
    fn run(&self, arguments: &[&str]) -> Output {
        program(&self.folder).env("DATABASE_URL", &self.url).args(arguments).output().unwrap()
    }

    fn write_file(&self, file: &str, text: impl AsRef<[u8]>) {
        fs::write(self.folder.path().join(file), text).unwrap();
    }

    fn read_file(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap()
    }

    /// Imports a CSV text into an account. Returns whether the command succeeded, and everything it printed.
    fn import(&self, account: &str, text: impl AsRef<[u8]>, arguments: &[&str]) -> (bool, String) {
        self.write_file("people.csv", text);
        let output = self.run(&[&["import", "people.csv", "--account", account], arguments].concat());
        let printed = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        (output.status.success(), printed)
    }

    /// Exports an account and returns the file.
    fn export(&self, account: &str, arguments: &[&str]) -> String {
        let output = self.run(&[&["export", "--account", account], arguments].concat());
        assert!(output.status.success(), "{:?}", stderr_lines(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns the exported contacts of an account.
    fn contacts(&self, account: &str) -> Vec<serde_json::Value> {
        let export = self.export(account, &["--format", "ndjson"]);
        export.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Creates a custom field in an account.
    fn create_field(&self, account: &str, definition: &str) {
        self.runtime.block_on(async {
            let repository = self.repository();
            let body = contacts::json::parse(definition.as_bytes()).unwrap().into_object().unwrap();
            let field = contacts::fields::NewField::parse(&body).unwrap();
            repository.create_field(account.parse().unwrap(), &field, None).await.unwrap();
            repository.close().await;
        });
    }

    /// Runs a statement that returns nothing.
    fn run_statement(&self, statement: &'static str) {
        self.runtime.block_on(async {
            use sqlx::Connection;
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        });
    }

    /// Purges the contact with this last name.
    fn purge_contact(&self, account: &str, last_name: &str) {
        let contacts = self.contacts(account);
        let contact = contacts.iter().find(|contact| contact["last_name"] == last_name).unwrap();
        let (account, id) = (account.parse().unwrap(), contact["id"].as_str().unwrap().parse().unwrap());
        self.runtime.block_on(async {
            use contacts::contacts::{Preconditions, Write};
            use contacts::repository::{AccountWrites, Atomicity, ContentMemory, Idempotent};
            let repository = self.repository();
            let registry = repository.registry(account).await.unwrap();
            let outcomes = repository
                .write_contacts(AccountWrites {
                    account,
                    registry,
                    actor: None,
                    writes: vec![Write::Purge { id, preconditions: Preconditions::default() }],
                    atomicity: Atomicity::Independent,
                    dry_run: false,
                    custom_fields: contacts::fields::CustomSelection::default(),
                    idempotent_request: None,
                    memory: ContentMemory::default(),
                })
                .await
                .unwrap();
            assert!(matches!(outcomes, Idempotent::Fresh(outcomes) if outcomes[0].is_ok()));
            repository.close().await;
        });
    }

    /// Opens a repository on the database.
    fn repository(&self) -> contacts::repository::Repository {
        use contacts::config::{DatabaseSettings, Environment};
        let settings = DatabaseSettings::read(&Environment::from([("DATABASE_URL", self.url.as_str())])).unwrap();
        contacts::repository::Repository::new(&settings).unwrap()
    }

    /// Runs a statement that returns one text value.
    fn query_text(&self, statement: &'static str) -> String {
        self.runtime.block_on(async {
            use sqlx::Connection;
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap()
        })
    }
}

/// Returns a CSV text with this number of contacts.
fn csv_with_contacts(count: usize) -> String {
    let rows = (0..count).map(|number| format!("x{number},c{number}@example.com,Name {number}\n"));
    "external_id,email,last_name\n".to_owned() + &rows.collect::<String>()
}
