//! Tests of the rules that divide a batch among several transactions.

use tokio::sync::oneshot;
use uuid::Uuid;

use super::super::{AccountBatch, AccountState};
use crate::contacts::{Contact, ContactPatch, ContactTarget, LastChange, Preconditions, Write};
use crate::fields::{Value, registry_fixtures, system};
use crate::repository::WriteError;
use crate::repository::idempotency::Idempotent;
use crate::repository::writer::fixtures::{self, ACCOUNT};
use crate::repository::writer::transaction_memory::{TransactionMemory, WriteMemory};
use crate::repository::writer::write_job::{Atomicity, JobResult, WriteJob, WriteReply};

/// The memory of a contact of which three fit into a transaction.
const LARGE: usize = 7 * 1024 * 1024;

fn target(id: u128) -> ContactTarget {
    ContactTarget::Id(Uuid::from_u128(id))
}

/// Returns a write that sets a name of this length.
fn update(id: u128, length: usize) -> Write {
    let patch = ContactPatch::new(vec![(system::LAST_NAME, Some(Value::Text("x".repeat(length).into())))]);
    Write::Update { target: target(id), patch, preconditions: Preconditions::default(), source_updated_at: None }
}

fn archive(id: u128) -> Write {
    Write::Archive { target: target(id), preconditions: Preconditions::default() }
}

/// Returns a job that archives these contacts.
fn job(ids: impl IntoIterator<Item = u128>, atomicity: Atomicity) -> (WriteJob, oneshot::Receiver<WriteReply>) {
    fixtures::job(ids.into_iter().map(archive).collect(), atomicity)
}

fn batch(jobs: impl IntoIterator<Item = WriteJob>) -> AccountBatch {
    AccountBatch::new(ACCOUNT, jobs.into_iter().collect(), false)
}

/// Loads the contacts that the batch needs, each of this size, until the memory is full.
async fn load(batch: &mut AccountBatch, memory: &mut TransactionMemory, bytes: usize) {
    batch.set_account_state(Some(AccountState { registry: registry_fixtures::registry().version(), position: None }));
    for id in batch.required_lookups().ids {
        let mut contact = Contact::new(&ContactPatch::default().with_id(id));
        contact.values.set(system::FIRST_NAME, Some(Value::Text("x".repeat(bytes).into())));
        if memory.take_for_read(contact.memory_bytes()).await {
            batch.unit_of_work.add_loaded_contact(id, Some(contact));
        }
    }
    if memory.is_full() {
        batch.defer_unloaded_writes();
    }
}

/// Loads and applies a batch in a transaction with new memory, and finishes its jobs. Returns the other jobs, each with the
/// number of its pending writes.
async fn transact(mut batch: AccountBatch, bytes: usize) -> Vec<WriteJob> {
    let mut memory = WriteMemory::new().for_account(ACCOUNT);
    load(&mut batch, &mut memory, bytes).await;
    batch.apply(&mut memory);
    let (results, deferred) = batch.into_results();
    results
        .filter_map(|(job, result)| job.finish(result, LastChange::default()))
        .collect::<Vec<_>>()
        .into_iter()
        .chain(deferred)
        .collect()
}

fn pending(jobs: &[WriteJob]) -> Vec<usize> {
    jobs.iter().map(|job| job.pending_writes().len()).collect()
}

#[tokio::test]
async fn job_continues_in_the_next_transaction_and_its_outcomes_are_collected() {
    let (large, mut reply) = job([9, 4, 7, 2, 5, 1, 8], Atomicity::Independent);
    let (small, mut other_reply) = job([3], Atomicity::Independent);
    let rest = transact(batch([large, small]), LARGE).await;
    assert_eq!(pending(&rest), [4, 1]);
    assert!(rest[0].is_started() && !rest[1].is_started());
    let rest = transact(batch(rest), LARGE).await;
    assert_eq!(pending(&rest), [1, 1]);
    assert!(reply.try_recv().is_err());
    assert!(transact(batch(rest), LARGE).await.is_empty());
    let Ok(Ok(Idempotent::Fresh(outcomes))) = reply.try_recv() else { panic!("the job is not carried out") };
    let ids: Vec<_> = outcomes.iter().flatten().map(|written| written.contact.id.as_u128()).collect();
    assert_eq!(ids, [9, 4, 7, 2, 5, 1, 8]);
    assert!(matches!(other_reply.try_recv(), Ok(Ok(Idempotent::Fresh(_)))));
}

#[tokio::test]
async fn job_that_cannot_be_divided_is_deferred_to_a_transaction_of_its_own() {
    let (first, _reply) = job([1, 2], Atomicity::Independent);
    let (second, mut second_reply) = job([3, 4], Atomicity::AllOrNothing);
    let rest = transact(batch([first, second]), LARGE).await;
    assert_eq!(pending(&rest), [2]);
    assert!(transact(batch(rest), LARGE).await.is_empty());
    assert!(matches!(second_reply.try_recv(), Ok(Ok(Idempotent::Fresh(_)))));
}

#[tokio::test]
async fn batch_of_which_nothing_is_loaded_is_reduced_to_one_write() {
    let jobs = [job(1..=5, Atomicity::Independent).0, job([6], Atomicity::Independent).0];
    let mut batch = batch(jobs);
    let mut sizes = vec![];
    loop {
        let mut memory = WriteMemory::new().for_account(ACCOUNT);
        // Something else has taken all memory for what is read.
        assert!(memory.take_for_read(24 * 1024 * 1024).await);
        load(&mut batch, &mut memory, 10).await;
        assert!(batch.is_unloaded());
        let is_single_write = batch.reduce();
        sizes.push(batch.required_lookups().ids.len());
        if is_single_write {
            break;
        }
    }
    assert_eq!(sizes, [5, 2, 1]);
    let mut memory = WriteMemory::new().for_account(ACCOUNT);
    load(&mut batch, &mut memory, 10).await;
    batch.apply(&mut memory);
    let (results, deferred) = batch.into_results();
    let unfinished: Vec<_> = results.filter_map(|(job, result)| job.finish(result, LastChange::default())).collect();
    assert_eq!((pending(&unfinished), pending(&deferred)), (vec![4], vec![1]));
}

#[tokio::test]
async fn job_that_cannot_be_divided_and_does_not_fit_fails() {
    for atomicity in [Atomicity::AllOrNothing, Atomicity::RejectAll] {
        let (large, mut reply) = job(1..=4, atomicity);
        let (other, _other_reply) = job([5], Atomicity::Independent);
        let mut batch = batch([large, other]);
        let mut memory = WriteMemory::new().for_account(ACCOUNT);
        load(&mut batch, &mut memory, LARGE).await;
        assert!(batch.is_unloaded());
        assert!(!batch.reduce() && !batch.is_too_large());
        memory.clear();
        load(&mut batch, &mut memory, LARGE).await;
        assert!(batch.is_unloaded());
        assert!(!batch.reduce() && batch.is_too_large());
        batch.apply(&mut memory);
        let (results, deferred) = batch.into_results();
        assert_eq!(results.filter_map(|(job, result)| job.finish(result, LastChange::default())).count(), 0);
        assert_eq!(pending(&deferred), [1]);
        assert!(matches!(reply.try_recv(), Ok(Err(WriteError::TooLarge))));
    }
}

#[tokio::test]
async fn new_values_that_do_not_fit_are_deferred() {
    let job = |atomicity| {
        let (mut job, reply) = job([], atomicity);
        job.request.writes = (1..=4).map(|id| update(id, 2 * LARGE)).collect();
        (job, reply)
    };
    let (divisible, _reply) = job(Atomicity::Independent);
    assert_eq!(pending(&transact(batch([divisible]), 10).await), [2]);
    let (indivisible, mut reply) = job(Atomicity::AllOrNothing);
    assert!(transact(batch([indivisible]), 10).await.is_empty());
    assert!(matches!(reply.try_recv(), Ok(Err(WriteError::TooLarge))));
}

#[tokio::test]
async fn transaction_that_is_not_committed_is_applied_again() {
    let (job, _reply) = job(1..=4, Atomicity::Independent);
    let mut batch = batch([job]);
    let mut memory = WriteMemory::new().for_account(ACCOUNT);
    load(&mut batch, &mut memory, LARGE).await;
    batch.apply(&mut memory);
    assert!(matches!(batch.results[..], [JobResult::PartlyApplied]));
    let jobs = batch.into_jobs();
    assert_eq!(pending(&jobs), [4]);
    let rest = transact(self::batch(jobs), LARGE).await;
    assert_eq!((pending(&rest), rest[0].outcomes.len()), (vec![1], 3));
}
