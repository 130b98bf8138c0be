//! `contacts import` and `contacts export`: what is written, refused, told, and read back.

mod export;
mod import;

use std::fs;
use std::process::Output;

use contacts::embedded::Cluster;
use tempfile::TempDir;

use super::{database, lines, program};

const OTHER: &str = "0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4f";

/// A migrated database, and a folder to work in.
struct Stage {
    _cluster: Cluster,
    url: String,
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn set(name: &str) -> Self {
        let (cluster, url) = database(name);
        let folder = TempDir::new().unwrap();
        assert!(program(&folder).arg("migrate").env("DATABASE_URL", &url).output().unwrap().status.success());
        Self { _cluster: cluster, url, folder, runtime: tokio::runtime::Runtime::new().unwrap() }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        program(&self.folder).env("DATABASE_URL", &self.url).args(arguments).output().unwrap()
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        fs::write(self.folder.path().join(file), text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap()
    }

    /// Imports a text into an account. Returns whether that succeeded, and what was said.
    fn import(&self, account: &str, text: impl AsRef<[u8]>, more: &[&str]) -> (bool, String) {
        self.write("people.csv", text);
        let output = self.run(&[&["import", "people.csv", "--account", account], more].concat());
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
        (output.status.success(), said)
    }

    fn export(&self, account: &str, more: &[&str]) -> String {
        let output = self.run(&[&["export", "--account", account], more].concat());
        assert!(output.status.success(), "{:?}", lines(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn contacts(&self, account: &str) -> Vec<serde_json::Value> {
        let export = self.export(account, &["--format", "ndjson"]);
        export.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Makes a custom field of an account.
    fn field(&self, account: &str, definition: &str) {
        self.runtime.block_on(async {
            use contacts::config::{DatabaseSettings, Environment};
            let settings = DatabaseSettings::read(&Environment::from([("DATABASE_URL", self.url.as_str())])).unwrap();
            let repository = contacts::repository::Repository::new(&settings).unwrap();
            let body = contacts::json::parse(definition.as_bytes()).unwrap().into_object().unwrap();
            let field = contacts::fields::NewField::parse(&body).unwrap();
            repository.create_field(account.parse().unwrap(), &field, None).await.unwrap();
            repository.close().await;
        });
    }

    /// The only value that a statement gives, as text.
    fn value(&self, statement: &'static str) -> String {
        self.runtime.block_on(async {
            use sqlx::Connection;
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap()
        })
    }
}

/// A file of so many contacts.
fn many(count: usize) -> String {
    let rows = (0..count).map(|number| format!("x{number},c{number}@example.com,Name {number}\n"));
    "external_id,email,last_name\n".to_owned() + &rows.collect::<String>()
}
