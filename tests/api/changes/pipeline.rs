//! An import prepares a piece of work while the one before it is stored. What comes of it is what would come of one piece
//! after another, whoever else writes the account meanwhile.

use std::sync::Arc;

use contacts::config::{DatabaseSettings, Environment};
use contacts::contacts::{Write, WriteOutcome};
use contacts::repository::{Done, Prepared, Repository, Unit, Work};
use contacts::transfer::{Columns, Naming};
use serde_json::json;

use super::storm::{self, Log, PROPERTIES};
use crate::support::{Account, Dice, Reader, Replay, Server};

/// Someone who imports into an account, in pieces of a few rows.
struct Importer {
    repository: Repository,
    account: Account,
    columns: Columns,
}

impl Importer {
    async fn of(account: &Account) -> Self {
        let environment = Environment::from([("DATABASE_URL", account.server.database.as_str())]);
        let repository = Repository::new(&DatabaseSettings::read(&environment).unwrap()).unwrap();
        let naming = Naming { maps: vec![], property: "external_id".into(), create_fields: false };
        let header = ["external_id", "badge", "first_name", "score"].map(str::to_owned);
        let columns = Columns::read(&header, &naming, &repository.registry(account.id).await.unwrap()).unwrap();
        Self { repository, account: account.clone(), columns }
    }

    fn work(&self, piece: &[[String; 4]]) -> Work {
        let write = |row: &[String; 4]| self.columns.write(row.iter().map(String::as_str)).unwrap();
        Work {
            account: self.account.id,
            registry: Arc::clone(self.columns.registry()),
            actor: Some("importer".into()),
            writes: piece.iter().map(write).collect::<Vec<Write>>(),
            unit: Unit::Each,
            dry_run: false,
            keep: None,
        }
    }

    /// Each piece is prepared upon the one before, which is stored meanwhile.
    async fn import(&self, pieces: &[Vec<[String; 4]>]) -> Vec<WriteOutcome> {
        let mut outcomes = vec![];
        let (mut ready, mut outlook): (Option<Prepared>, _) = (None, None);
        for piece in pieces {
            let next = self.repository.prepare(self.work(piece), outlook.take());
            let store = async {
                match ready.take() {
                    Some(prepared) => fresh(self.repository.store(prepared).await.unwrap()),
                    None => vec![],
                }
            };
            let (next, stored) = tokio::join!(next, store);
            outcomes.extend(stored);
            (ready, outlook) = Some(next.unwrap()).unzip();
        }
        outcomes.extend(fresh(self.repository.store(ready.unwrap()).await.unwrap()));
        outcomes
    }

    async fn one_after_another(&self, pieces: &[Vec<[String; 4]>]) -> Vec<WriteOutcome> {
        let mut outcomes = vec![];
        for piece in pieces {
            outcomes.extend(fresh(self.repository.write(self.work(piece)).await.unwrap()));
        }
        outcomes
    }
}

fn fresh(done: Done<Vec<WriteOutcome>>) -> Vec<WriteOutcome> {
    let Done::Fresh(outcomes) = done else { panic!("replayed") };
    outcomes
}

/// Rows that meet one another: few contacts, fewer badges, which are unique.
fn pieces(dice: &mut Dice, count: usize) -> Vec<Vec<[String; 4]>> {
    let mut cell = |sides: u64, name: &str| match dice.roll(sides + 1) {
        0 => String::new(),
        number => format!("{name}{number}"),
    };
    let mut row = || {
        let [key, badge, name, score] = [cell(9, "k"), cell(5, "c"), cell(3, "N"), cell(3, "")];
        [if key.is_empty() { "k0".to_owned() } else { key }, badge, name, score]
    };
    (0..count).map(|_| (0..7).map(|_| row()).collect()).collect()
}

/// What an outcome says that does not depend on when and under which id.
fn said(outcome: &WriteOutcome) -> String {
    match outcome {
        Ok(written) => {
            let values: Vec<_> = written.contact.values.iter().collect();
            format!("{} {} {values:?}", written.created, written.contact.version)
        }
        Err(refusal) => refusal.code().to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn is_what_comes_of_one_piece_after_another() {
    let accounts = [Account::new().await, Account::new().await];
    for account in &accounts {
        storm::prepare(account).await;
    }
    let (ahead, plain) = (Importer::of(&accounts[0]).await, Importer::of(&accounts[1]).await);
    for seed in 0..10 {
        let pieces = pieces(&mut Dice::new(seed), 12);
        let (one, other) = (ahead.import(&pieces).await, plain.one_after_another(&pieces).await);
        let said = |outcomes: &[WriteOutcome]| outcomes.iter().map(said).collect::<Vec<_>>();
        assert_eq!(said(&one), said(&other), "{pieces:?}");
        assert!(one.iter().any(Result::is_err) && one.iter().any(Result::is_ok), "rows that don't meet");
    }
    let [one, other] = accounts.map(|account| async move {
        let feed = Reader::all_of(&account).await;
        Replay::of(&feed).expect_state_of(&account, PROPERTIES).await;
        feed.iter().map(|entry| json!([entry["type"], entry["actor"], entry["changed"]])).collect::<Vec<_>>()
    });
    assert_eq!(one.await, other.await);
}

#[tokio::test(flavor = "multi_thread")]
async fn is_one_story_with_what_others_write() {
    let server = Server::on_own_database("pipeline", |_| {});
    let account = Account::on(&server);
    storm::prepare(&account).await;
    let importer = Importer::of(&account).await;
    let log = Arc::new(Log::default());
    let writers: Vec<_> =
        (0..3).map(|seed| tokio::spawn(storm::write(account.clone(), Arc::clone(&log), seed, usize::MAX))).collect();
    let mut written = 0;
    for seed in 0..15 {
        let outcomes = importer.import(&pieces(&mut Dice::new(seed), 8)).await;
        written += outcomes.iter().flatten().filter(|written| written.contact.version > 1 || written.created).count();
    }
    log.stop();
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(log.acknowledged() > 30 && written > 100, "{} and {written}: they hardly met", log.acknowledged());
    let feed = Reader::all_of(&account).await;
    let of_import = feed.iter().filter(|entry| entry["actor"] == "importer").count();
    assert!(of_import > 50, "{of_import}");
    Replay::of(&feed).expect_state_of(&account, PROPERTIES).await;
}
