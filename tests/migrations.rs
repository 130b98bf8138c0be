//! Migrations, each proved on a database that is not empty.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::time::Duration;

use contacts::config::{DatabaseSettings, EmbeddedSettings, Environment, Secret};
use contacts::embedded::{Cluster, Durability};
use contacts::repository::Repository;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::sync::OnceCell;

/// Rows that a schema of this version may hold: they must still be there after every later migration.
const SEEDS: [(i64, &str); 3] = [(
    1,
    "INSERT INTO accounts (account_id, registry_version, last_field_id) VALUES ('00000000-0000-7000-8000-00000000000a', 1, 100);
     INSERT INTO fields VALUES ('00000000-0000-7000-8000-00000000000a', 100, 'size', 'Size', 'number', true, '[]', now(), now(), NULL);
     INSERT INTO contacts (account_id, id, version, first_name, email, custom, created_at, updated_at)
       VALUES ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b', 3, 'Ada', 'ada@example.com', '{\"100\": 38}', now(), now());
     INSERT INTO contact_keys VALUES ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b', 4, 'ada@example.com', true);
     INSERT INTO contact_keys VALUES ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b', 100, '38', true);",
), (
    2,
    "INSERT INTO clients VALUES ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000c', 'sync', 'contacts:read', sha256('secret'), now(), NULL);",
), (
    3,
    "INSERT INTO changes VALUES ('00000000-0000-7000-8000-00000000000a', 1, '00000000-0000-7000-8000-00000000000b', 0, 'updated', NULL, now(), '{}');
     UPDATE accounts SET last_position = 1;
     UPDATE contacts SET position = 1;",
)];

async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_init(|| async {
            let folder = std::env::temp_dir().join(format!("contacts-migrations-{}", std::process::id()));
            let settings = EmbeddedSettings::read(&Environment::read().unwrap());
            Cluster::start(&settings, &folder, Durability::ThrowAway).await.unwrap()
        })
        .await
}

async fn database(name: &str) -> (Repository, PgConnection) {
    cluster().await.create_database(name, None).await.unwrap();
    let url = cluster().await.url(name);
    let connection = PgConnection::connect(url.expose()).await.unwrap();
    (repository(url), connection)
}

fn repository(url: Secret) -> Repository {
    let settings = DatabaseSettings {
        url,
        max_connections: 2,
        write_batch_max: 256,
        migrate_on_start: true,
        change_retention: contacts::config::DEFAULT_CHANGE_RETENTION,
        timeout: Duration::from_secs(10),
    };
    Repository::new(&settings).unwrap()
}

async fn migrator() -> Migrator {
    Migrator::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")).await.unwrap()
}

#[tokio::test]
async fn each_leaves_what_was_there_in_place() {
    let (repository, mut connection) = database("seeded").await;
    for migration in migrator().await.iter() {
        migrator().await.run_to(migration.version, &mut connection).await.unwrap();
        for (_, seed) in SEEDS.iter().filter(|(version, _)| *version == migration.version) {
            sqlx::raw_sql(*seed).execute(&mut connection).await.unwrap();
        }
    }
    let account = "00000000-0000-7000-8000-00000000000a".parse().unwrap();
    let contact =
        repository.contact(account, "00000000-0000-7000-8000-00000000000b".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((contact.version, contact.values.iter().count()), (3, 3));
    assert!(repository.registry(account).await.unwrap().get("size").is_some_and(|field| field.unique));
    assert_eq!(repository.history(account, contact.id, None, 10).await.unwrap().unwrap().entries.len(), 1);
    assert_eq!(repository.clients(Some(account)).await.unwrap()[0].name, "sync");
    assert_eq!(repository.migrate().await.unwrap(), 0);
}

#[tokio::test]
async fn instances_that_start_at_once_migrate_once() {
    let (first, mut connection) = database("twins").await;
    let url = cluster().await.url("twins");
    let others =
        (0..4).map(|_| repository(url.clone())).map(|repository| async move { repository.migrate().await.unwrap() });
    let (_, others) = tokio::join!(first.migrate(), async {
        let mut tasks = tokio::task::JoinSet::new();
        others.for_each(|other| drop(tasks.spawn(other)));
        tasks.join_all().await
    });
    assert_eq!(others.len(), 4);
    assert_eq!(first.migrations().await.unwrap().pending, 0);
    let applied: i64 =
        sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&mut connection).await.unwrap();
    assert_eq!(applied, migrator().await.iter().count() as i64);
}

#[tokio::test]
async fn a_current_schema_needs_no_right_to_change_it() {
    let (owner, mut connection) = database("rights").await;
    owner.migrate().await.unwrap();
    let role = "CREATE ROLE plain LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC;
                GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO plain;";
    sqlx::raw_sql(role).execute(&mut connection).await.unwrap();
    let url = cluster().await.url("rights").expose().replace("//contacts@", "//plain@");
    let plain = repository(Secret::new(url));
    assert_eq!(plain.migrate().await.unwrap(), 0);
    assert_eq!(plain.migrations().await.unwrap().pending, 0);
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let (repository, mut connection) = database("newer").await;
    repository.migrate().await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations VALUES (9999, 'of the next release', now(), true, '\\x00', 1)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    assert_eq!(repository.migrations().await.unwrap().pending, 0);
    assert_eq!(repository.migrate().await.unwrap(), 0);
}

/// The rules that keep the schema fit for Citus: the account leads every primary key and unique index.
#[tokio::test]
async fn the_account_leads_every_key() {
    let (repository, mut connection) = database("keys").await;
    repository.migrate().await.unwrap();
    let first_columns = "SELECT c.relname::text, a.attname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                         JOIN pg_class t ON t.oid = i.indrelid AND t.relnamespace = 'public'::regnamespace \
                         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE t.relname <> '_sqlx_migrations'";
    let rows = sqlx::query(first_columns).fetch_all(&mut connection).await.unwrap();
    assert!(rows.len() >= 7);
    for row in rows {
        let (index, column): (String, String) = (row.get(0), row.get(1));
        assert_eq!(column, "account_id", "{index}");
    }
    let triggers = AssertSqlSafe("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal");
    let triggers: i64 = sqlx::query_scalar(triggers).fetch_one(&mut connection).await.unwrap();
    assert_eq!(triggers, 0);
}
