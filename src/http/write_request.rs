//! Requests that write contacts: their extraction, their validation against the registry, and their commit.
//!
//! A write is validated against one version of the account's registry, and committed only if this is still the current
//! version. If the registry has changed, the request is validated again against the new version.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::RequestPartsExt;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::app::App;
use super::authentication::Caller;
use super::conditional_headers::ConditionalHeaders;
use super::error::ApiError;
use super::extractors::{ContactPath, Payload, fields_from_json};
use super::idempotency::{self, IdempotencyHeader, RequestFingerprint};
use super::json_response::JsonResponse;
use super::limits::ResponseMemory;
use super::query::{ContactQuery, QueryString, RouteParameters};
use super::return_preference::ReturnPreference;
use crate::contacts::{ContactTarget, Preconditions, Write, WriteOutcome, WrittenContact, max_rendered_bytes};
use crate::fields::{CustomSelection, Field, Issues, Registry, Selection};
use crate::json::{ArrayLimit, Json, Object};
use crate::repository::{AccountWrites, Atomicity, ContentMemory, Outcomes, WriteError};

/// A request that writes contacts. Its extraction runs the checks up to the encoding of the query
/// (`docs/api-reference.md#order-of-checks`).
pub(super) struct WriteRequest {
    app: App,
    caller: Caller,
    /// `None` on a route whose path identifies no contact.
    path: Option<ContactPath>,
    query: QueryString,
    conditional_headers: ConditionalHeaders,
    idempotency_header: IdempotencyHeader,
    return_preference: ReturnPreference,
    /// The body, until it is read.
    payload: Mutex<Option<Payload>>,
    /// The bytes of the body, once it is read.
    body: OnceCell<Bytes>,
}

impl FromRequest<App> for WriteRequest {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let caller: Caller = parts.extract_with_state(app).await?;
        let path: Option<ContactPath> = parts.extract_with_state(app).await?;
        let query: QueryString = parts.extract_with_state(app).await?;
        let Ok(conditional_headers) = parts.extract_with_state::<ConditionalHeaders, _>(app).await;
        let Ok(idempotency_header) = parts.extract_with_state::<IdempotencyHeader, _>(app).await;
        let Ok(return_preference) = parts.extract_with_state::<ReturnPreference, _>(app).await;
        let payload = Payload::from_request(Request::from_parts(parts, body), app).await?;
        Ok(Self {
            app: app.clone(),
            caller,
            path,
            query,
            conditional_headers,
            idempotency_header,
            return_preference,
            payload: Mutex::new(Some(payload)),
            body: OnceCell::new(),
        })
    }
}

impl WriteRequest {
    /// Runs `attempt`, which validates and commits the request, with the account's registry. Runs it again with the new
    /// registry whenever the registry has changed before the commit.
    pub(super) async fn retry_on_registry_change<F>(
        self,
        mut attempt: impl FnMut(WriteAttempt) -> F,
    ) -> Result<Response, ApiError>
    where
        F: Future<Output = Result<Response, AttemptError>>,
    {
        let request = Arc::new(self);
        let account = request.caller.account;
        let mut registry = request.app.registry(account).await?;
        let mut is_retry = false;
        loop {
            match attempt(WriteAttempt::new(Arc::clone(&request), registry, is_retry)).await {
                Ok(response) => return Ok(response),
                Err(AttemptError::Failed(error)) => return Err(error),
                Err(AttemptError::RegistryChanged) => {
                    registry = request.app.repository().reload_registry(account).await?;
                    is_retry = true;
                }
            }
        }
    }

    /// Returns the body. The first call reads it.
    async fn body(&self) -> Result<&Bytes, ApiError> {
        let read = async || {
            let payload = self.payload.lock().unwrap_or_else(PoisonError::into_inner).take();
            payload
                .ok_or(ApiError::Internal("the body was taken by an earlier attempt".into()))?
                .read(self.caller.account)
                .await
        };
        self.body.get_or_try_init(read).await
    }
}

/// The error of an attempt to validate and commit a request.
pub(super) enum AttemptError {
    /// The registry has changed since the request was validated against it.
    RegistryChanged,
    /// The request failed.
    Failed(ApiError),
}

impl From<ApiError> for AttemptError {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl From<WriteError> for AttemptError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::RegistryChanged => Self::RegistryChanged,
            error => Self::Failed(error.into()),
        }
    }
}

/// A request, and the version of the account's registry that it is validated against.
pub(super) struct WriteAttempt {
    request: Arc<WriteRequest>,
    registry: Arc<Registry>,
    is_retry: bool,
    /// The memory of the converted body.
    content_memory: OnceLock<ContentMemory>,
}

/// The writes of a request, ready to commit.
pub(super) struct ValidatedWrites {
    pub writes: Vec<Write>,
    pub atomicity: Atomicity,
    pub is_dry_run: bool,
    pub fingerprint: Option<RequestFingerprint>,
    /// The custom fields in the response.
    pub custom_fields: CustomSelection,
}

/// Builds the response to a write from the contact, the query, and what the caller wants to be returned.
pub(super) type BuildResponse = fn(&WrittenContact, &ContactQuery, ReturnPreference) -> Result<JsonResponse, ApiError>;

impl WriteAttempt {
    fn new(request: Arc<WriteRequest>, registry: Arc<Registry>, is_retry: bool) -> Self {
        Self { request, registry, is_retry, content_memory: OnceLock::new() }
    }

    /// Returns the registry that the request is validated against.
    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Returns the part of the path that identifies the contact.
    pub(super) fn path(&self) -> Result<&ContactPath, ApiError> {
        self.request.path.as_ref().ok_or(ApiError::MissingContactId)
    }

    /// Returns the contact that the path identifies, by its id or by this property. If the path is invalid, a request
    /// with an idempotency key gets an id that no contact has: the key is checked before the contact is looked up.
    pub(super) fn target(&self, property: Option<&Field>) -> Result<ContactTarget, ApiError> {
        let target = self.path()?.target(property);
        let has_key = self.request.idempotency_header.is_sent();
        target.or_else(|error| if has_key { Ok(ContactTarget::Id(Uuid::nil())) } else { Err(error) })
    }

    /// Parses the query of a route for one contact.
    pub(super) fn contact_query(&self, parameters: RouteParameters) -> Result<ContactQuery, ApiError> {
        ContactQuery::parse(&self.request.query, &self.registry, parameters)
    }

    /// Parses the query of a batch. Returns whether the batch is a dry run.
    pub(super) fn parse_batch_dry_run(&self) -> Result<bool, ApiError> {
        self.request.query.parse_dry_run()
    }

    /// Reads and parses a body that must be exactly `{"fields": {…}}`, and converts the content of `fields`.
    /// `memory_bytes` returns the memory of the result.
    pub(super) async fn parse_fields<T>(
        &self,
        convert: impl FnOnce(&Object<'_>) -> Result<T, Issues> + Send,
        memory_bytes: impl FnOnce(&T) -> usize + Send,
    ) -> Result<T, ApiError> {
        let convert = |json: Json<'_>| convert(&fields_from_json(json)?).map_err(ApiError::ValidationFailed);
        self.parse(None, convert, memory_bytes).await
    }

    /// Reads and parses a body, in which an array has a limit, and converts the JSON. `memory_bytes` returns the memory of
    /// the result.
    pub(super) async fn parse_body<T>(
        &self,
        limit: ArrayLimit,
        convert: impl FnOnce(Json<'_>) -> Result<T, ApiError> + Send,
        memory_bytes: impl FnOnce(&T) -> usize + Send,
    ) -> Result<T, ApiError> {
        self.parse(Some(limit), convert, memory_bytes).await
    }

    async fn parse<T>(
        &self,
        limit: Option<ArrayLimit>,
        convert: impl FnOnce(Json<'_>) -> Result<T, ApiError> + Send,
        memory_bytes: impl FnOnce(&T) -> usize + Send,
    ) -> Result<T, ApiError> {
        let (parser, account) = (&self.request.app.limits().body_parser, self.request.caller.account);
        let body = self.request.body().await?;
        let (converted, memory) = parser.parse_counted(account, body, limit, convert, memory_bytes).await?;
        // An attempt parses its body once.
        let _ = self.content_memory.set(memory);
        Ok(converted)
    }

    /// Returns what the caller wants to be returned.
    pub(super) fn return_preference(&self) -> ReturnPreference {
        self.request.return_preference
    }

    /// Returns the conditions of `If-Match` and `If-None-Match`.
    pub(super) fn preconditions(&self) -> Preconditions {
        self.request.conditional_headers.preconditions().clone()
    }

    /// Returns the idempotency key and the fingerprint of the request. On routes that do not read the body, the
    /// fingerprint has an empty body.
    pub(super) fn fingerprint(&self, selection: &Selection) -> Result<Option<RequestFingerprint>, ApiError> {
        let body = self.request.body.get().map(AsRef::as_ref).unwrap_or_default();
        self.request.idempotency_header.fingerprint(&self.request.caller, body, selection)
    }

    /// Charges the account for a batch with this number of inputs, in the first attempt only.
    pub(super) fn charge_batch(&self, inputs: usize) -> Result<(), ApiError> {
        if self.is_retry { Ok(()) } else { self.request.caller.charge_batch(&self.request.app, inputs) }
    }

    /// Commits the write of one contact, and returns its response.
    pub(super) async fn commit_contact(
        &self,
        query: ContactQuery,
        write: Write,
        build_response: BuildResponse,
    ) -> Result<Response, AttemptError> {
        let fingerprint = self.fingerprint(&query.selection)?;
        // The memory for the response is reserved before the write, so that a write without a response is not applied.
        let (responses, account) = self.response_memory();
        let memory = responses.reserve(account, max_rendered_bytes(&query.selection)).await?;
        let (registry, preference) = (Arc::clone(&self.registry), self.return_preference());
        let (is_dry_run, custom_fields) = (query.is_dry_run, preference.custom_fields(&query.selection));
        let build_response = move |outcomes: &[WriteOutcome]| {
            let outcome = outcomes.first().ok_or(ApiError::Internal("the write has no outcome".into()))?;
            let written = outcome.as_ref().map_err(|rejected| ApiError::from_rejection(&rejected.reason, &registry))?;
            build_response(written, &query, preference)
        };
        let atomicity = Atomicity::Independent;
        let writes = ValidatedWrites { writes: vec![write], atomicity, is_dry_run, fingerprint, custom_fields };
        let outcomes = self.commit(writes, build_response.clone()).await?;
        let response = idempotency::stored_or_new_response(outcomes, |outcomes| build_response(outcomes))?;
        Ok(response.with_permit(memory).into_response())
    }

    /// Commits writes, and returns their outcomes. If the request has an idempotency key, the response that
    /// `build_response` returns for the outcomes is stored. If the request repeats an earlier one, returns the stored
    /// response instead.
    pub(super) async fn commit(
        &self,
        validated: ValidatedWrites,
        build_response: impl Fn(&[WriteOutcome]) -> Result<JsonResponse, ApiError> + Send + Sync + 'static,
    ) -> Result<Outcomes, AttemptError> {
        let caller = &self.request.caller;
        let writes = AccountWrites {
            account: caller.account,
            registry: Arc::clone(&self.registry),
            actor: caller.actor.as_deref().map(Arc::from),
            writes: validated.writes,
            atomicity: validated.atomicity,
            dry_run: validated.is_dry_run,
            custom_fields: validated.custom_fields,
            idempotent_request: validated
                .fingerprint
                .map(|fingerprint| fingerprint.into_idempotent_request(build_response)),
            memory: self.content_memory.get().cloned().unwrap_or_default(),
        };
        Ok(self.request.app.repository().write_contacts(writes).await?)
    }

    /// Returns the memory for responses, and the account of the request.
    pub(super) fn response_memory(&self) -> (&ResponseMemory, Uuid) {
        (&self.request.app.limits().responses, self.request.caller.account)
    }
}
