//! Jobs and writes for the unit tests.

use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::write_job::{AccountWrites, Atomicity, WriteJob, WriteReply};
use crate::contacts::{ContactPatch, ContactTarget, OnArchived, Preconditions, UniqueKey, Upsert, Write};
use crate::fields::{CustomSelection, FieldId, Value, registry_fixtures, system};
use crate::repository::ContentMemory;
use crate::repository::change_notifier::ChangeNotifier;

/// The account of all jobs.
pub(super) const ACCOUNT: Uuid = Uuid::from_u128(1);

/// Returns a job with these writes, and the receiver of its reply.
pub(super) fn job(writes: Vec<Write>, atomicity: Atomicity) -> (WriteJob, oneshot::Receiver<WriteReply>) {
    let request = AccountWrites {
        account: ACCOUNT,
        registry: Arc::new(registry_fixtures::registry()),
        actor: None,
        writes,
        atomicity,
        dry_run: false,
        custom_fields: CustomSelection::default(),
        idempotent_request: None,
        memory: ContentMemory::default(),
    };
    WriteJob::new(request, &Arc::new(ChangeNotifier::default()))
}

/// Returns the contact with an external id.
pub(super) fn by_external_id(external_id: &str) -> ContactTarget {
    ContactTarget::Key(UniqueKey { field: system::EXTERNAL_ID, key: external_id.to_owned() })
}

fn patch(field: FieldId) -> ContactPatch {
    ContactPatch::new(vec![(field, Some(Value::Text("x".into())))])
}

/// Returns a creation with a value of a field.
pub(super) fn create(field: FieldId) -> Write {
    Write::Create(patch(field))
}

/// Returns an update of a field.
pub(super) fn update(target: ContactTarget, field: FieldId) -> Write {
    let preconditions = Preconditions::default();
    Write::Update { target, patch: patch(field), preconditions, source_updated_at: None }
}

/// Returns an upsert of a field by an external id.
pub(super) fn upsert(external_id: &str, field: FieldId) -> Write {
    Write::Upsert(Upsert {
        key: UniqueKey { field: system::EXTERNAL_ID, key: external_id.to_owned() },
        property_value: (system::EXTERNAL_ID, Value::Text(external_id.into())),
        patch: patch(field),
        preconditions: Preconditions::default(),
        source_updated_at: None,
        on_archived: OnArchived::default(),
        named_by_company: false,
    })
}
