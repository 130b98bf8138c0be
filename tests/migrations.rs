//! Migrations, each tested on a database that contains rows.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::time::Duration;

use contacts::config::{DatabaseSettings, EmbeddedSettings, Environment, Secret};
use contacts::embedded::{Cluster, Durability};
use contacts::fields::CustomSelection;
use contacts::repository::Repository;
use futures_util::TryStreamExt;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::sync::OnceCell;

/// Rows that are inserted after the migration with this version. They must survive every later migration.
const SEEDS: [(i64, &str); 1] = [(
    1,
    "INSERT INTO accounts (account_id, registry_version, last_field_id, last_position) VALUES ('00000000-0000-7000-8000-00000000000a', 1, 100, 1);
     INSERT INTO fields VALUES ('00000000-0000-7000-8000-00000000000a', 100, 'size', 'Size', 'number', true, '[]', now(), now(), NULL);
     INSERT INTO contacts (account_id, id, version, first_name, email, custom, created_at, updated_at, position)
       VALUES ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b', 3, 'Ada', 'ada@example.com', '{\"100\": 38}', now(), now(), 1);
     INSERT INTO contact_keys VALUES ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b', 4, 'ada@example.com', true);
     INSERT INTO contact_keys VALUES ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b', 100, '38', true);
     INSERT INTO clients VALUES ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000c', 'sync', 'contacts:read', sha256('secret'), now(), NULL);
     INSERT INTO changes VALUES ('00000000-0000-7000-8000-00000000000a', 1, '00000000-0000-7000-8000-00000000000b', 0, 'updated', NULL, now(), '{}');
     INSERT INTO idempotency_keys VALUES ('00000000-0000-7000-8000-00000000000a', 'key', '\\x00', '\\x01', now());
     INSERT INTO idempotency_key_contacts VALUES ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b', 'key');",
)];

/// Returns the PostgreSQL that all tests share.
async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_init(|| async {
            let folder = std::env::temp_dir().join(format!("contacts-migrations-{}", std::process::id()));
            let settings = EmbeddedSettings::read(&Environment::read().unwrap());
            Cluster::start(&settings, &folder, Durability::Disposable).await.unwrap()
        })
        .await
}

/// Creates an empty database. Returns a repository on it and a connection to it.
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
        search_index_min_contacts: contacts::config::DEFAULT_SEARCH_INDEX_MIN_CONTACTS,
        timeout: Duration::from_secs(10),
    };
    Repository::new(&settings).unwrap()
}

async fn migrator() -> Migrator {
    Migrator::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")).await.unwrap()
}

#[tokio::test]
async fn migrations_preserve_existing_rows() {
    let (repository, mut connection) = database("seeded").await;
    for migration in migrator().await.iter() {
        migrator().await.run_to(migration.version, &mut connection).await.unwrap();
        for (_, seed) in SEEDS.iter().filter(|(version, _)| *version == migration.version) {
            sqlx::raw_sql(*seed).execute(&mut connection).await.unwrap();
        }
    }
    let account = "00000000-0000-7000-8000-00000000000a".parse().unwrap();
    let contact = repository
        .contact_by_id(
            account,
            "00000000-0000-7000-8000-00000000000b".parse().unwrap(),
            contacts::fields::CustomSelection::All,
        )
        .await
        .unwrap()
        .unwrap();
    assert_eq!((contact.version, contact.values.iter().count()), (3, 3));
    assert!(repository.registry(account).await.unwrap().get("size").is_some_and(|field| field.unique));
    let history =
        repository.read_history(account, contact.id, None, 10, &CustomSelection::default()).await.unwrap().unwrap();
    assert_eq!(history.entries.try_collect::<Vec<_>>().await.unwrap().len(), 1);
    assert_eq!(repository.list_clients(Some(account)).await.unwrap()[0].name, "sync");
    assert_eq!(repository.migrate().await.unwrap(), 0);
}

#[tokio::test]
async fn instances_that_start_concurrently_apply_each_migration_once() {
    let (first, mut connection) = database("concurrent").await;
    let url = cluster().await.url("concurrent");
    let others =
        (0..4).map(|_| repository(url.clone())).map(|repository| async move { repository.migrate().await.unwrap() });
    let (_, others) = tokio::join!(first.migrate(), async {
        let mut tasks = tokio::task::JoinSet::new();
        others.for_each(|other| drop(tasks.spawn(other)));
        tasks.join_all().await
    });
    assert_eq!(others.len(), 4);
    assert_eq!(first.schema_state().await.unwrap().pending, 0);
    let applied: i64 =
        sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&mut connection).await.unwrap();
    assert_eq!(applied, migrator().await.iter().count() as i64);
}

#[tokio::test]
async fn migrate_on_a_current_schema_needs_no_ddl_privilege() {
    let (owner, mut connection) = database("rights").await;
    owner.migrate().await.unwrap();
    let role = "CREATE ROLE plain LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC;
                GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO plain;";
    sqlx::raw_sql(role).execute(&mut connection).await.unwrap();
    let url = cluster().await.url("rights").expose().replace("//contacts@", "//plain@");
    let plain = repository(Secret::new(url));
    assert_eq!(plain.migrate().await.unwrap(), 0);
    assert_eq!(plain.schema_state().await.unwrap().pending, 0);
}

#[tokio::test]
async fn migrate_leaves_a_newer_schema_unchanged() {
    let (repository, mut connection) = database("newer").await;
    repository.migrate().await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations VALUES (9999, 'of the next release', now(), true, '\\x00', 1)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    assert_eq!(repository.schema_state().await.unwrap().pending, 0);
    assert_eq!(repository.migrate().await.unwrap(), 0);
}

#[tokio::test]
async fn database_of_an_older_build_is_refused_with_instructions() {
    let (repository, mut connection) = database("older_build").await;
    repository.migrate().await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET checksum = '\\x00'").execute(&mut connection).await.unwrap();
    assert!(!repository.schema_state().await.unwrap().is_current());
    let refusal = repository.migrate().await.unwrap_err().to_string();
    assert!(refusal.contains("older build") && refusal.contains("contacts export"), "{refusal}");
}

/// Checks the schema rules for Citus: `account_id` is the first column of every index, and there are no triggers.
#[tokio::test]
async fn account_id_is_the_first_column_of_every_index() {
    let (repository, mut connection) = database("keys").await;
    repository.migrate().await.unwrap();
    let first_columns = "SELECT c.relname::text, a.attname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                         JOIN pg_class t ON t.oid = i.indrelid AND t.relnamespace = 'public'::regnamespace \
                         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE t.relname <> '_sqlx_migrations'";
    let rows = sqlx::query(first_columns).fetch_all(&mut connection).await.unwrap();
    assert!(rows.len() >= 7);
    for row in rows {
        let (index, column): (String, String) = (row.get(0), row.get(1));
        let expected = match index.as_str() {
            // Every instance reads the newly revoked clients of all accounts.
            "clients_revoked_at_idx" => "revoked_at",
            // Each word begins with a prefix for its account.
            "search_entries_words_idx" => "words",
            _ => "account_id",
        };
        assert_eq!(column, expected, "{index}");
    }
    let triggers = AssertSqlSafe("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal");
    let triggers: i64 = sqlx::query_scalar(triggers).fetch_one(&mut connection).await.unwrap();
    assert_eq!(triggers, 0);
}
