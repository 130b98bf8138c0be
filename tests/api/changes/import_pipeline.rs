//! An import prepares a chunk of rows while the previous chunk is stored. The result must equal that of an import that
//! stores one chunk after another, also while other clients write to the account.

use std::sync::Arc;

use contacts::config::{DatabaseSettings, Environment};
use contacts::contacts::{Write, WriteOutcome};
use contacts::fields::CustomSelection;
use contacts::import_export::{ColumnMapping, MappingOptions};
use contacts::repository::{AccountWrites, Atomicity, ContentMemory, Idempotent, Outcomes, PreparedBatch, Repository};
use serde_json::json;

use super::concurrent_writers::{self, PROPERTIES, WriteLog};
use crate::support::{Account, FeedReader, FeedReplay, SeededRandom, Server, test_seed};

/// An import into an account, in chunks of a few rows.
struct Importer {
    repository: Repository,
    account: Account,
    columns: ColumnMapping,
}

impl Importer {
    async fn new(account: &Account) -> Self {
        let environment = Environment::from([("DATABASE_URL", account.server.database_url.as_str())]);
        let repository = Repository::new(&DatabaseSettings::read(&environment).unwrap()).unwrap();
        let options = MappingOptions { maps: vec![], match_field: "external_id".into(), create_fields: false };
        let header = ["external_id", "badge", "first_name", "score"].map(str::to_owned);
        let columns = ColumnMapping::new(&header, &options, &repository.registry(account.id).await.unwrap()).unwrap();
        Self { repository, account: account.clone(), columns }
    }

    /// Returns the writes of one chunk of rows.
    fn chunk_writes(&self, chunk: &[[String; 4]]) -> AccountWrites {
        let write = |row: &[String; 4]| self.columns.parse_row(row.iter().map(String::as_str)).unwrap();
        AccountWrites {
            account: self.account.id,
            registry: Arc::clone(self.columns.registry()),
            actor: Some("importer".into()),
            writes: chunk.iter().map(write).collect::<Vec<Write>>(),
            atomicity: Atomicity::Independent,
            dry_run: false,
            custom_fields: CustomSelection::default(),
            idempotent_request: None,
            memory: ContentMemory::default(),
        }
    }

    /// Prepares each chunk on the projected result of the previous chunk while that chunk is stored.
    async fn import_pipelined(&self, chunks: &[Vec<[String; 4]>]) -> Vec<WriteOutcome> {
        let mut outcomes = vec![];
        let (mut ready, mut projection): (Option<PreparedBatch>, _) = (None, None);
        for chunk in chunks {
            let next = self.repository.prepare_batch(self.chunk_writes(chunk), projection.take());
            let store = async {
                match ready.take() {
                    Some(prepared) => expect_executed(self.repository.store_prepared_batch(prepared).await.unwrap()),
                    None => vec![],
                }
            };
            let (next, stored) = tokio::join!(next, store);
            outcomes.extend(stored);
            (ready, projection) = Some(next.unwrap()).unzip();
        }
        outcomes.extend(expect_executed(self.repository.store_prepared_batch(ready.unwrap()).await.unwrap()));
        outcomes
    }

    /// Stores each chunk before the next is prepared.
    async fn import_sequentially(&self, chunks: &[Vec<[String; 4]>]) -> Vec<WriteOutcome> {
        let mut outcomes = vec![];
        for chunk in chunks {
            outcomes.extend(expect_executed(self.repository.write_contacts(self.chunk_writes(chunk)).await.unwrap()));
        }
        outcomes
    }
}

/// Returns the outcomes of writes that were executed, not replayed.
fn expect_executed(done: Outcomes) -> Vec<WriteOutcome> {
    let Idempotent::Fresh(outcomes) = done else { panic!("unexpected replay of a stored response") };
    outcomes.to_vec()
}

/// Returns chunks of random rows that often conflict: there are few contacts and even fewer values of the unique field.
fn random_chunks(random: &mut SeededRandom, count: usize) -> Vec<Vec<[String; 4]>> {
    let mut cell = |limit: u64, name: &str| match random.below(limit + 1) {
        0 => String::new(),
        number => format!("{name}{number}"),
    };
    let mut row = || {
        let [key, badge, name, score] = [cell(9, "k"), cell(5, "c"), cell(3, "N"), cell(3, "")];
        [if key.is_empty() { "k0".to_owned() } else { key }, badge, name, score]
    };
    (0..count).map(|_| (0..7).map(|_| row()).collect()).collect()
}

/// Returns the parts of an outcome that do not depend on ids and times.
fn comparable_outcome(outcome: &WriteOutcome) -> String {
    match outcome {
        Ok(written) => {
            let values: Vec<_> = written.contact.values.iter().collect();
            format!("{} {} {values:?}", written.created, written.contact.version)
        }
        Err(refusal) => refusal.code().to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_import_equals_a_sequential_import() {
    let accounts = [Account::new().await, Account::new().await];
    for account in &accounts {
        concurrent_writers::define_fields(account).await;
    }
    let (pipelined, sequential) = (Importer::new(&accounts[0]).await, Importer::new(&accounts[1]).await);
    let first_seed = test_seed();
    for seed in first_seed..first_seed + 10 {
        let chunks = random_chunks(&mut SeededRandom::new(seed), 12);
        let (first, second) =
            (pipelined.import_pipelined(&chunks).await, sequential.import_sequentially(&chunks).await);
        let comparable = |outcomes: &[WriteOutcome]| outcomes.iter().map(comparable_outcome).collect::<Vec<_>>();
        assert_eq!(comparable(&first), comparable(&second), "{chunks:?}");
        assert!(first.iter().any(Result::is_err) && first.iter().any(Result::is_ok), "no row conflicts");
    }
    let [first, second] = accounts.map(|account| async move {
        let feed = FeedReader::read_entire_feed(&account).await;
        FeedReplay::from_entries(&feed).expect_matches_contacts_of(&account, PROPERTIES).await;
        feed.iter().map(|entry| json!([entry["type"], entry["actor"], entry["changed"]])).collect::<Vec<_>>()
    });
    assert_eq!(first.await, second.await);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_import_with_concurrent_writers_gives_a_consistent_feed() {
    let server = Server::with_own_database("pipeline", |_| {});
    let account = Account::on_server(&server);
    concurrent_writers::define_fields(&account).await;
    let importer = Importer::new(&account).await;
    let log = Arc::new(WriteLog::default());
    let first_seed = test_seed();
    let writers: Vec<_> = (first_seed..first_seed + 3)
        .map(|seed| {
            tokio::spawn(concurrent_writers::send_random_writes(account.clone(), Arc::clone(&log), seed, usize::MAX))
        })
        .collect();
    let mut written = 0;
    for seed in first_seed..first_seed + 15 {
        let outcomes = importer.import_pipelined(&random_chunks(&mut SeededRandom::new(seed), 8)).await;
        written += outcomes.iter().flatten().filter(|written| written.contact.version > 1 || written.created).count();
    }
    log.stop();
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(
        log.acknowledged_count() > 30 && written > 100,
        "only {} acknowledged writes and {written} imported rows",
        log.acknowledged_count()
    );
    let feed = FeedReader::read_entire_feed(&account).await;
    let imported_count = feed.iter().filter(|entry| entry["actor"] == "importer").count();
    assert!(imported_count > 50, "only {imported_count} entries of the import");
    FeedReplay::from_entries(&feed).expect_matches_contacts_of(&account, PROPERTIES).await;
}
