//! `/contacts/batch/*`: up to 1,000 inputs in one call, each with its own result (`docs/api-reference.md#batch`).

mod envelope;
mod results;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use uuid::Uuid;

use super::app::App;
use super::array_response::read_to_end;
use super::authentication::Caller;
use super::error::ApiError;
use super::extractors::{Payload, object_from_json};
use super::idempotency;
use super::json_response::JsonResponse;
use super::openapi::batch_schemas::{BatchArchivals, BatchIds, BatchNew, BatchUpdates, BatchUpserts};
use super::openapi::parameters::{DryRun, IdempotencyKey, Prefer};
use super::openapi::responses::{self, KeyReused, PartialBatchResponse};
use super::query::QueryString;
use super::write_request::{ValidatedWrites, WriteAttempt, WriteRequest};
use crate::contacts::{Contact, ContactTarget, Write, WriteOutcome};
use crate::fields::{CustomSelection, Selection};
use crate::json::{Json, JsonError, Object};
use crate::repository::{Atomicity, Idempotent, Outcomes, Repository, RowStream, StorageError};
pub(super) use envelope::MAX_INPUTS;
use envelope::{BatchAction, BatchEnvelope, INPUTS_LIMIT, ParsedInput, invalid_input_count};
use results::{BatchResponse, BatchResult, InputLabel, ValidatedBatch};

/// Create contacts
///
/// Like `POST /contacts` for each input, one after another, but at far lower cost.
#[utoipa::path(post, path = "/contacts/batch/create", tag = "batch", operation_id = "batchCreate", security(("bearer" = [])),
    params(DryRun, IdempotencyKey, Prefer), request_body = BatchNew,
    responses(responses::BatchResponse, PartialBatchResponse, KeyReused))]
pub(super) async fn create_batch(request: WriteRequest) -> Result<Response, ApiError> {
    write_batch(request, BatchAction::Create).await
}

/// Update contacts
///
/// Like `PATCH /contacts/{contactId}` for each input, one after another.
#[utoipa::path(post, path = "/contacts/batch/update", tag = "batch", operation_id = "batchUpdate", security(("bearer" = [])),
    params(DryRun, IdempotencyKey, Prefer), request_body = BatchUpdates,
    responses(responses::BatchResponse, PartialBatchResponse, KeyReused))]
pub(super) async fn update_batch(request: WriteRequest) -> Result<Response, ApiError> {
    write_batch(request, BatchAction::Update).await
}

/// Create or update contacts by a unique property
///
/// Like `PUT /contacts/{contactId}` for each input, one after another.
#[utoipa::path(post, path = "/contacts/batch/upsert", tag = "batch", operation_id = "batchUpsert", security(("bearer" = [])),
    params(DryRun, IdempotencyKey, Prefer), request_body = BatchUpserts,
    responses(responses::BatchResponse, PartialBatchResponse, KeyReused))]
pub(super) async fn upsert_batch(request: WriteRequest) -> Result<Response, ApiError> {
    write_batch(request, BatchAction::Upsert).await
}

/// Archive contacts
///
/// Like `DELETE /contacts/{contactId}` for each input, one after another.
#[utoipa::path(post, path = "/contacts/batch/archive", tag = "batch", operation_id = "batchArchive", security(("bearer" = [])),
    params(DryRun, IdempotencyKey, Prefer), request_body = BatchArchivals,
    responses(responses::BatchResponse, PartialBatchResponse, KeyReused))]
pub(super) async fn archive_batch(request: WriteRequest) -> Result<Response, ApiError> {
    write_batch(request, BatchAction::Archive).await
}

/// Read contacts
///
/// Reads contacts by their ids, or by the values of a unique property.
#[utoipa::path(post, path = "/contacts/batch/read", tag = "batch", operation_id = "batchRead", security(("bearer" = [])),
    params(DryRun), request_body = BatchIds,
    responses(responses::BatchResponse, PartialBatchResponse))]
pub(super) async fn read_batch(
    State(app): State<App>,
    caller: Caller,
    query: QueryString,
    payload: Payload,
) -> Result<JsonResponse, ApiError> {
    let account = caller.account;
    let registry = app.registry(account).await?;
    query.parse_dry_run()?;
    let body = payload.read(caller.account).await?;
    let parse = |body: &Object<'_>| {
        let envelope = BatchEnvelope::parse(body, BatchAction::Read, &registry)?;
        caller.charge_batch(&app, envelope.inputs.len())?;
        let parse = |input| ParsedInput::new(input, || envelope.parse_id_only(input));
        let inputs: Vec<_> = envelope.inputs.iter().copied().map(parse).collect();
        Ok((inputs, envelope.selection, envelope.is_atomic))
    };
    let convert = |json: Json<'_>| parse(&object_from_json(json)?);
    let parser = &app.limits().body_parser;
    let parsed = parser.parse_counted(account, &body, Some(INPUTS_LIMIT), convert, |(inputs, ..)| input_bytes(inputs));
    let ((inputs, selection, is_atomic), _memory) = parsed.await.map_err(name_input_limit)?;
    let custom_fields = CustomSelection::from(&selection);
    let contacts = read_targets(app.repository(), account, &inputs, &custom_fields).await?;
    let mut response = BatchResponse::new(&app.limits().responses, account)?;
    let results = render_contacts(&mut response, &inputs, contacts, &selection).await?;
    if is_atomic && results.iter().any(|(_, error)| error.is_some()) {
        response.clear();
        for (label, (id, error)) in labels(&inputs).zip(results) {
            response.push(&BatchResult::from_error(label, id, error.unwrap_or(&ApiError::NotApplied))).await?;
        }
    }
    response.finish()
}

/// Renders the result of each input: its contact as it arrives, or its error. From the first contact that does not fit
/// into the response on, every result is an error. Returns the contact and the error of each input.
async fn render_contacts<'i>(
    response: &mut BatchResponse<'_>,
    inputs: &'i [ParsedInput<ContactTarget>],
    mut contacts: RowStream<Option<Contact>>,
    selection: &Selection,
) -> Result<Vec<(Option<Uuid>, Option<&'i ApiError>)>, ApiError> {
    let (mut results, mut is_full) = (vec![], false);
    for (label, input) in labels(inputs).zip(inputs) {
        let (id, error) = match &input.parsed {
            _ if is_full => (None, Some(&ApiError::ResponseTooLarge)),
            Err(error) => (None, Some(error)),
            Ok(_) => match contacts.try_next().await?.flatten() {
                None => (None, Some(&ApiError::ContactNotFound)),
                Some(contact) => {
                    is_full = !response.push_if_fits(&BatchResult::from_contact(label, &contact, selection)).await?;
                    (Some(contact.id), is_full.then_some(&ApiError::ResponseTooLarge))
                }
            },
        };
        if let Some(error) = error {
            response.push(&BatchResult::from_error(label, id, error)).await?;
        }
        results.push((id, error));
    }
    if !is_full {
        read_to_end(contacts).await?;
    }
    Ok(results)
}

/// Returns the label of each input.
fn labels<T>(inputs: &[ParsedInput<T>]) -> impl Iterator<Item = InputLabel<'_>> {
    inputs.iter().enumerate().map(|(index, input)| InputLabel { index, reference: input.reference.as_deref() })
}

/// Reads the contacts that the valid inputs identify, in order. All targets are ids, or all are unique keys.
async fn read_targets(
    repository: &Repository,
    account: Uuid,
    inputs: &[ParsedInput<ContactTarget>],
    custom_fields: &CustomSelection,
) -> Result<RowStream<Option<Contact>>, StorageError> {
    let (mut ids, mut keys) = (vec![], vec![]);
    for target in inputs.iter().flat_map(|input| &input.parsed) {
        match target {
            ContactTarget::Id(id) => ids.push(*id),
            ContactTarget::Key(key) => keys.push(key.clone()),
        }
    }
    if keys.is_empty() {
        repository.contacts_by_id(account, &ids, custom_fields).await
    } else {
        repository.contacts_by_key(account, &keys, custom_fields).await
    }
}

/// Validates and commits a batch of writes.
async fn write_batch(request: WriteRequest, action: BatchAction) -> Result<Response, ApiError> {
    request
        .retry_on_registry_change(move |attempt| async move {
            let is_dry_run = attempt.parse_batch_dry_run()?;
            let parse = |body: &Object<'_>| parse_batch(&attempt, action, is_dry_run, body);
            let convert = |json: Json<'_>| parse(&object_from_json(json)?);
            let (writes, batch) =
                attempt.parse_body(INPUTS_LIMIT, convert, batch_bytes).await.map_err(name_input_limit)?;
            let stored = Arc::clone(&batch);
            let outcomes = attempt.commit(writes, move |outcomes: &[WriteOutcome]| stored.response(outcomes)).await?;
            Ok(batch_response(&attempt, &batch, outcomes).await?.into_response())
        })
        .await
}

/// Returns the response for the outcomes of a batch of writes, or the stored response.
async fn batch_response(
    attempt: &WriteAttempt,
    batch: &ValidatedBatch,
    outcomes: Outcomes,
) -> Result<JsonResponse, ApiError> {
    let (memory, account) = attempt.response_memory();
    match outcomes {
        Idempotent::Fresh(outcomes) => batch.render(&outcomes, BatchResponse::new(memory, account)?).await,
        Idempotent::Stored(ref stored) | Idempotent::Replayed(ref stored) => {
            let permit = memory.reserve(account, stored.len()).await?;
            let response = idempotency::stored_or_new_response(outcomes, |outcomes| batch.response(outcomes))?;
            Ok(response.with_permit(permit))
        }
    }
}

/// Validates the inputs of a batch of writes.
fn parse_batch(
    attempt: &WriteAttempt,
    action: BatchAction,
    is_dry_run: bool,
    body: &Object<'_>,
) -> Result<(ValidatedWrites, Arc<ValidatedBatch>), ApiError> {
    let registry = attempt.registry();
    let envelope = BatchEnvelope::parse(body, action, registry)?;
    let fingerprint = attempt.fingerprint(&envelope.selection)?;
    attempt.charge_batch(envelope.inputs.len())?;
    let parse = |input| ParsedInput::new(input, || envelope.parse_write(input, action, registry));
    let (inputs, writes) = split_writes(envelope.inputs.iter().copied().map(parse));
    let atomicity = match (envelope.is_atomic, inputs.iter().all(|input| input.parsed.is_ok())) {
        (false, _) => Atomicity::Independent,
        (true, true) => Atomicity::AllOrNothing,
        (true, false) => Atomicity::RejectAll,
    };
    let (selection, registry, preference) = (envelope.selection, Arc::clone(registry), attempt.return_preference());
    let custom_fields = preference.custom_fields(&selection);
    let batch = Arc::new(ValidatedBatch { inputs, selection, registry, is_dry_run, preference });
    Ok((ValidatedWrites { writes, atomicity, is_dry_run, fingerprint, custom_fields }, batch))
}

/// Replaces the parser's error for too many inputs.
fn name_input_limit(error: ApiError) -> ApiError {
    match error {
        ApiError::InvalidJson(JsonError::ArrayTooLong) => invalid_input_count(),
        error => error,
    }
}

/// Returns the memory of a validated batch of writes, in bytes.
fn batch_bytes((validated, batch): &(ValidatedWrites, Arc<ValidatedBatch>)) -> usize {
    input_bytes(&batch.inputs) + validated.writes.iter().map(Write::memory_bytes).sum::<usize>()
}

/// Returns the memory of the labels and errors of the inputs, in bytes.
fn input_bytes<T>(inputs: &[ParsedInput<T>]) -> usize {
    inputs.iter().map(ParsedInput::memory_bytes).sum()
}

/// Splits the writes from the inputs.
fn split_writes(inputs: impl Iterator<Item = ParsedInput<Write>>) -> (Vec<ParsedInput<()>>, Vec<Write>) {
    let mut writes = vec![];
    let inputs = inputs.map(|ParsedInput { reference, parsed }| {
        let parsed = parsed.map(|write| writes.push(write));
        ParsedInput { reference, parsed }
    });
    (inputs.collect(), writes)
}
