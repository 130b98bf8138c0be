//! `/contacts/batch/*`: up to a thousand inputs in one call, each with an answer of its own (contract §6).

mod envelope;
mod results;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::App;
use super::answer::Answer;
use super::caller::Caller;
use super::error::ApiError;
use super::extract::{self, Payload};
use super::idempotency::{RequestKey, replay};
use super::openapi::parameters::{DryRun, IdempotencyKey};
use super::openapi::responses::{BatchAnswer, KeyReused, PartialAnswer};
use super::openapi::schemas::{BatchIds, BatchNew, BatchUpdates, BatchUpserts};
use super::query::Query;
use super::write::WriteRequest;
use crate::contacts::{Target, WriteOutcome};
use crate::json::Object;
use crate::repository::{Done, Keep, Unit, Work, WriteError};
use envelope::{Action, Envelope};
use results::{Batch, ResultOf};

/// Create contacts
///
/// As many calls of `POST /contacts` would, one after another, but far cheaper.
#[utoipa::path(post, path = "/contacts/batch/create", tag = "batch", operation_id = "batchCreate", security(("bearer" = [])),
    params(DryRun, IdempotencyKey), request_body = BatchNew, responses(BatchAnswer, PartialAnswer, KeyReused))]
pub(super) async fn create(caller: Caller, request: WriteRequest) -> Result<Response, ApiError> {
    write(caller, request, Action::Create).await
}

/// Change contacts
///
/// As many calls of `PATCH /contacts/{contactId}` would, one after another.
#[utoipa::path(post, path = "/contacts/batch/update", tag = "batch", operation_id = "batchUpdate", security(("bearer" = [])),
    params(DryRun, IdempotencyKey), request_body = BatchUpdates, responses(BatchAnswer, PartialAnswer, KeyReused))]
pub(super) async fn update(caller: Caller, request: WriteRequest) -> Result<Response, ApiError> {
    write(caller, request, Action::Update).await
}

/// Create or change contacts by a unique property
///
/// As many calls of `PUT /contacts/{contactId}` would, one after another.
#[utoipa::path(post, path = "/contacts/batch/upsert", tag = "batch", operation_id = "batchUpsert", security(("bearer" = [])),
    params(DryRun, IdempotencyKey), request_body = BatchUpserts, responses(BatchAnswer, PartialAnswer, KeyReused))]
pub(super) async fn upsert(caller: Caller, request: WriteRequest) -> Result<Response, ApiError> {
    write(caller, request, Action::Upsert).await
}

/// Archive contacts
///
/// As many calls of `DELETE /contacts/{contactId}` would, one after another.
#[utoipa::path(post, path = "/contacts/batch/archive", tag = "batch", operation_id = "batchArchive", security(("bearer" = [])),
    params(DryRun, IdempotencyKey), request_body = BatchIds, responses(BatchAnswer, PartialAnswer, KeyReused))]
pub(super) async fn archive(caller: Caller, request: WriteRequest) -> Result<Response, ApiError> {
    write(caller, request, Action::Archive).await
}

/// Read contacts
///
/// By their ids, or by the values of a unique property.
#[utoipa::path(post, path = "/contacts/batch/read", tag = "batch", operation_id = "batchRead", security(("bearer" = [])),
    params(DryRun), request_body = BatchIds, responses(BatchAnswer, PartialAnswer))]
pub(super) async fn read(
    State(app): State<App>,
    caller: Caller,
    query: Query,
    payload: Payload,
) -> Result<Response, ApiError> {
    let account = caller.account;
    let registry = app.registry(account).await?;
    query.batch()?;
    let bytes = payload.read().await?;
    let body = extract::object(&bytes)?;
    let envelope = Envelope::parse(&body, Action::Read, &registry)?;
    caller.pay_for_inputs(&app, envelope.inputs.len())?;
    let targets: Vec<_> = envelope.inputs.iter().map(|input| envelope.target(input)).collect();
    let (mut ids, mut keys) = (vec![], vec![]);
    for target in targets.iter().flatten() {
        match target {
            Target::Id(id) => ids.push(*id),
            Target::Key(key) => keys.push(key.clone()),
        }
    }
    let mut found = app.repository().contacts_by_id(account, &ids).await?.into_iter();
    if !keys.is_empty() {
        found = app.repository().contacts_by_key(account, &keys).await?.into_iter();
    }
    let found = targets.into_iter().map(|target| target.and_then(|_| found.next().flatten().ok_or(ApiError::NotFound)));
    let mut found: Vec<_> = found.collect();
    if envelope.atomic && found.iter().any(Result::is_err) {
        found.iter_mut().filter(|contact| contact.is_ok()).for_each(|contact| *contact = Err(ApiError::NotApplied));
    }
    let results = found.iter().map(|contact| match contact {
        Ok(contact) => ResultOf::contact(StatusCode::OK, contact.show(&envelope.selection)),
        Err(error) => ResultOf::error(error),
    });
    Ok(results::answer(results)?.into_response())
}

/// Does the writes of a batch.
async fn write(caller: Caller, request: WriteRequest, action: Action) -> Result<Response, ApiError> {
    let WriteRequest { app, query, idempotency, payload, .. } = request;
    let account = caller.account;
    let mut registry = app.registry(account).await?;
    let dry_run = query.batch()?;
    let bytes = payload.read().await?;
    let body: Object<'_> = extract::object(&bytes)?;
    let mut is_paid = false;
    loop {
        let envelope = Envelope::parse(&body, action, &registry)?;
        let key = idempotency.of(&caller, &bytes, &envelope.selection)?;
        if !std::mem::replace(&mut is_paid, true) {
            caller.pay_for_inputs(&app, envelope.inputs.len())?;
        }
        let (checked, writes) = split(envelope.inputs.iter().map(|input| envelope.write(input, action, &registry)));
        let unit = match (envelope.atomic, checked.iter().all(Result::is_ok)) {
            (false, _) => Unit::Each,
            (true, true) => Unit::AllOrNothing,
            (true, false) => Unit::Nothing,
        };
        let batch =
            Arc::new(Batch { checked, selection: envelope.selection, registry: Arc::clone(&registry), dry_run });
        let work = Work {
            account,
            registry: Arc::clone(&registry),
            actor: caller.actor.as_deref().map(Arc::from),
            writes,
            unit,
            dry_run,
            keep: key.map(|key| keep(key, &batch)),
        };
        match app.repository().write(work).await {
            Err(WriteError::RegistryChanged) => registry = app.repository().reload_registry(account).await?,
            Err(error) => return Err(error.into()),
            Ok(Done::Replayed(answer)) => return replay(&answer),
            Ok(Done::Fresh(outcomes)) => return Ok(batch.answer(&outcomes)?.into_response()),
        }
    }
}

/// The writes that passed their checks, and for each input whether it is among them.
fn split<T>(inputs: impl Iterator<Item = Result<T, ApiError>>) -> (Vec<Result<(), ApiError>>, Vec<T>) {
    let (mut checked, mut writes) = (vec![], vec![]);
    for input in inputs {
        checked.push(input.map(|write| writes.push(write)));
    }
    (checked, writes)
}

fn keep(RequestKey { key, fingerprint }: RequestKey, batch: &Arc<Batch>) -> Keep<[WriteOutcome]> {
    let batch = Arc::clone(batch);
    let answer = move |outcomes: &[WriteOutcome]| batch.answer(outcomes).ok().as_ref().map(Answer::to_bytes);
    Keep { key, fingerprint, answer: Box::new(answer) }
}
