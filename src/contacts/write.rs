//! One write of a contact: its content, its result, and the reasons to reject it (`docs/api-reference.md#contacts`).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Collision, Contact, ContactPatch, MAX_CONTACT_BYTES, PatchedValue, Preconditions, UniqueKey, UnmetPrecondition,
};
use crate::fields::{CustomSelection, Field, FieldId, Issue, IssueCode, Issues, Registry, Value, system};
use crate::json::Object;

/// The contact that a write addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContactTarget {
    /// The contact with this id, active or archived.
    Id(Uuid),
    /// The active contact that holds this key.
    Key(UniqueKey),
}

/// A write that has been validated against a registry.
#[derive(Debug, Clone)]
pub enum Write {
    /// Creates a contact.
    Create(ContactPatch),
    /// Changes only the fields in the patch. Equal values change nothing.
    Update {
        /// The contact.
        target: ContactTarget,
        /// The changes.
        patch: ContactPatch,
        /// The conditions on the current state of the contact.
        preconditions: Preconditions,
        /// The time that the caller's system gave the change. A change that is older than another of the same actor
        /// changes nothing.
        source_updated_at: Option<DateTime<Utc>>,
    },
    /// Updates the contact that holds a key, or creates a contact with the key.
    Upsert(Upsert),
    /// Archives an active contact, which releases its unique keys.
    Archive {
        /// The contact.
        target: ContactTarget,
        /// The conditions on the current state of the contact.
        preconditions: Preconditions,
    },
    /// Makes an archived contact active again.
    Restore {
        /// The id of the contact.
        id: Uuid,
        /// The conditions on the current state of the contact.
        preconditions: Preconditions,
    },
    /// Deletes the contact and all its values permanently.
    Purge {
        /// The id of the contact.
        id: Uuid,
        /// The conditions on the current state of the contact.
        preconditions: Preconditions,
    },
}

/// A write that updates the contact that holds a key, or creates the contact (`docs/api-reference.md#upsert`).
#[derive(Debug, Clone)]
pub struct Upsert {
    /// The key that identifies the contact, in the form that is compared.
    pub key: UniqueKey,
    /// The field of the key, and its value as the caller sent it. A new contact gets this value.
    pub property_value: (FieldId, Value),
    /// The changes.
    pub patch: ContactPatch,
    /// The conditions on the current state of the contact.
    pub preconditions: Preconditions,
    /// The time that the caller's system gave the change, as for an update.
    pub source_updated_at: Option<DateTime<Utc>>,
    /// What happens if only an archived contact has the key.
    pub on_archived: OnArchived,
    /// Whether a new contact without an email and a name gets its company as last name, as in address books.
    pub named_by_company: bool,
}

/// What an upsert does if no active contact has its key, but an archived contact does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnArchived {
    /// Creates a new contact.
    #[default]
    Create,
    /// Restores the archived contact, and updates it.
    Restore,
    /// Rejects the write.
    Refuse,
}

impl OnArchived {
    /// Returns the action with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "create" => Some(Self::Create),
            "restore" => Some(Self::Restore),
            "refuse" => Some(Self::Refuse),
            _ => None,
        }
    }
}

impl Upsert {
    /// Returns the memory of the values that the write sets, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.patch.memory_bytes()
    }

    /// Parses the content of `fields` for the contact that `value`, a value of `property`, identifies.
    ///
    /// # Errors
    /// Returns an issue for each rejected key, `property` included.
    pub fn parse(
        property: &Field,
        value: Result<Value, Issue>,
        fields: &Object<'_>,
        registry: &Registry,
    ) -> Result<Self, Issues> {
        let value = value.and_then(|value| property.check_storable(Some(&value)).map(|()| value));
        match (ContactPatch::parse(fields, registry), value) {
            (Ok(patch), Ok(value)) => Self::new(property, value, patch).map_err(|issue| [issue].into()),
            (Ok(_), Err(issue)) => Err([issue].into()),
            // The body can contain the same rejected value.
            (Err(issues), Err(issue)) if issues.contains(&issue) => Err(issues),
            (Err(mut issues), Err(issue)) => {
                issues.push(issue);
                Err(issues)
            }
            (Err(mut issues), Ok(value)) => {
                // Report a conflicting value of `property` even if other keys are invalid.
                let is_property = |(name, _): &&(_, _)| *name == property.internal_name;
                let patch = ContactPatch::parse(&fields.iter().filter(is_property).cloned().collect(), registry);
                issues.extend(patch.ok().and_then(|patch| Self::new(property, value, patch).err()));
                Err(issues)
            }
        }
    }

    /// Creates an upsert, without preconditions, options and a time, of the contact that `value`, a value of `property`, identifies. The
    /// patch may contain the same field with an equal value.
    ///
    /// # Errors
    /// Returns an issue if the patch contains another value of `property`.
    pub fn new(property: &Field, value: Value, patch: ContactPatch) -> Result<Self, Issue> {
        let key = UniqueKey::from_value(property, &value);
        let is_consistent = match patch.get(property.id) {
            PatchedValue::Absent => true,
            PatchedValue::Null => false,
            PatchedValue::Value(sent) => UniqueKey::from_value(property, sent) == key,
        };
        if !is_consistent {
            let message = "must equal the value that identifies the contact: leave it out, or send the same value";
            return Err(Issue::new(&*property.internal_name, IssueCode::ForbiddenField, message));
        }
        Ok(Self {
            key,
            property_value: (property.id, value),
            patch,
            preconditions: Preconditions::default(),
            source_updated_at: None,
            on_archived: OnArchived::default(),
            named_by_company: false,
        })
    }
}

impl Write {
    /// Returns the contact that the write addresses; `None` for a creation.
    #[must_use]
    pub fn target(&self) -> Option<ContactTarget> {
        match self {
            Self::Create(_) => None,
            Self::Update { target, .. } | Self::Archive { target, .. } => Some(target.clone()),
            Self::Upsert(upsert) => Some(ContactTarget::Key(upsert.key.clone())),
            Self::Restore { id, .. } | Self::Purge { id, .. } => Some(ContactTarget::Id(*id)),
        }
    }

    /// Returns the changes of fields; `None` for a write that changes no fields.
    #[must_use]
    pub fn patch(&self) -> Option<&ContactPatch> {
        match self {
            Self::Create(patch) | Self::Update { patch, .. } => Some(patch),
            Self::Upsert(upsert) => Some(&upsert.patch),
            Self::Archive { .. } | Self::Restore { .. } | Self::Purge { .. } => None,
        }
    }

    /// Returns the time that the caller's system gave the change.
    #[must_use]
    pub fn source_updated_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Update { source_updated_at, .. } => *source_updated_at,
            Self::Upsert(upsert) => upsert.source_updated_at,
            Self::Create(_) | Self::Archive { .. } | Self::Restore { .. } | Self::Purge { .. } => None,
        }
    }

    /// Returns whether the write makes an archived contact active, if it addresses one.
    #[must_use]
    pub fn restores(&self) -> bool {
        match self {
            Self::Restore { .. } => true,
            Self::Upsert(upsert) => upsert.on_archived == OnArchived::Restore,
            Self::Create(_) | Self::Update { .. } | Self::Archive { .. } | Self::Purge { .. } => false,
        }
    }

    /// Returns the memory of the values that the write sets, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.patch().map_or(0, ContactPatch::memory_bytes)
    }

    /// Returns whether the write addresses a contact by a unique key.
    #[must_use]
    pub fn is_by_key(&self) -> bool {
        match self {
            Self::Update { target, .. } | Self::Archive { target, .. } => matches!(target, ContactTarget::Key(_)),
            Self::Upsert(_) => true,
            Self::Create(_) | Self::Restore { .. } | Self::Purge { .. } => false,
        }
    }

    /// Adds the custom fields whose stored values the write depends on: those that it changes, and those whose unique
    /// keys it claims or releases.
    pub fn add_required_custom_fields(&self, registry: &Registry, required: &mut CustomSelection) {
        required.add(self.patch().into_iter().flat_map(ContactPatch::fields));
        if self.restores() || matches!(self, Self::Archive { .. } | Self::Purge { .. }) {
            required.add(registry.unique_fields().iter().map(|field| field.id));
        }
    }

    /// Returns whether the write sets or clears unique fields.
    #[must_use]
    pub fn changes_unique_fields(&self, registry: &Registry) -> bool {
        let is_unique = |id| registry.unique_fields().iter().any(|field| field.id == id);
        self.patch().is_some_and(|patch| patch.fields().any(is_unique))
    }

    /// Returns the keys that the write may claim. The keys that a restore claims are not included, because they depend
    /// on the contact.
    #[must_use]
    pub fn claimed_keys(&self, registry: &Registry) -> Vec<UniqueKey> {
        self.patch().map(|patch| patch.unique_keys(registry)).unwrap_or_default()
    }
}

/// A contact after a write.
#[derive(Debug, Clone)]
pub struct WrittenContact {
    /// The contact after the write, or the last state of a purged contact.
    pub contact: Arc<Contact>,
    /// The contact before the write; `None` if the write created it, and in the outcomes of several writes.
    pub before: Option<Arc<Contact>>,
    /// Whether the write created the contact.
    pub created: bool,
    /// The provisional position of the change in the account's feed; `None` if the write changed nothing.
    pub changed_at: Option<i64>,
    /// Whether `contact` has the default properties only, because the outcomes of the request take too much memory.
    pub has_omitted_properties: bool,
    /// Whether the write was ignored, because its `source_updated_at` is older than that of an earlier one.
    pub is_stale: bool,
    /// The archived contact that has the key of an upsert that created a contact.
    pub created_beside: Option<Uuid>,
}

impl WrittenContact {
    /// Returns the result of a write after which the contact has no new state: it is unchanged or purged.
    #[must_use]
    pub fn unchanged(contact: Arc<Contact>) -> Self {
        Self {
            before: Some(Arc::clone(&contact)),
            contact,
            created: false,
            changed_at: None,
            has_omitted_properties: false,
            is_stale: false,
            created_beside: None,
        }
    }

    /// Returns the result of a write that created this contact.
    #[must_use]
    pub fn created(contact: Arc<Contact>) -> Self {
        let changed_at = Some(contact.position);
        Self { before: None, created: true, changed_at, ..Self::unchanged(contact) }
    }

    /// Returns this outcome without the custom values that its caller does not read, and without `before`.
    #[must_use]
    pub fn with_custom_fields_only(self, fields: &CustomSelection) -> Self {
        self.with_values_only(|field| !field.is_custom() || fields.contains(field))
    }

    /// Returns this outcome with the default properties of the contact only.
    #[must_use]
    pub fn with_default_properties_only(self) -> Self {
        let is_default = |id| system::all().iter().any(|field| field.id == id && field.default);
        Self { has_omitted_properties: true, ..self.with_values_only(is_default) }
    }

    fn with_values_only(self, is_kept: impl Fn(FieldId) -> bool) -> Self {
        let has_others = self.contact.values.iter().any(|(field, _)| !is_kept(field));
        let contact = if has_others {
            let mut contact = Contact::clone(&self.contact);
            contact.values.retain(is_kept);
            Arc::new(contact)
        } else {
            self.contact
        };
        Self { contact, before: None, ..self }
    }
}

/// The result of a write.
pub type WriteOutcome = Result<WrittenContact, RejectedWrite>;

/// A rejected write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedWrite {
    /// The reason.
    pub reason: WriteRejection,
    /// The contact that the write addresses; `None` if there is no such contact.
    pub contact: Option<Uuid>,
}

/// The reason why a write of a contact is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteRejection {
    /// The account has no such contact, or the contact is archived and the write needs an active contact.
    #[error("no such contact")]
    NotFound,
    /// The contact is archived.
    #[error("the contact is archived")]
    Archived,
    /// An archived contact has the key of an upsert, which refuses to create another one. `existing_id` is this contact.
    #[error("an archived contact has the same unique value")]
    ArchivedHolder(Collision),
    /// The contact does not meet the caller's preconditions.
    #[error("the contact does not meet the preconditions")]
    PreconditionFailed(UnmetPrecondition),
    /// A new contact would have neither an email nor a name.
    #[error("a new contact needs an email or a name")]
    Incomplete,
    /// The contact would be larger than [`MAX_CONTACT_BYTES`](super::MAX_CONTACT_BYTES).
    #[error("the contact's values together exceed {MAX_CONTACT_BYTES} bytes")]
    TooLarge,
    /// Other active contacts hold these keys.
    #[error("other active contacts hold the same unique values")]
    Duplicate(Vec<Collision>),
    /// Another write of the same atomic batch was rejected.
    #[error("another write of the same atomic batch was rejected")]
    NotApplied,
}

impl From<UnmetPrecondition> for WriteRejection {
    fn from(unmet: UnmetPrecondition) -> Self {
        Self::PreconditionFailed(unmet)
    }
}

impl WriteRejection {
    /// Returns the archived contact because of which an upsert was refused.
    #[must_use]
    pub fn archived_holder(&self) -> Option<Uuid> {
        match self {
            Self::ArchivedHolder(collision) => collision.existing_id,
            _ => None,
        }
    }

    /// Returns the code in responses (`docs/api-reference.md#error-codes`).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Archived | Self::ArchivedHolder(_) => "contact_archived",
            Self::PreconditionFailed(_) => "precondition_failed",
            Self::Incomplete | Self::TooLarge => "validation_failed",
            Self::Duplicate(_) => "duplicate_contact",
            Self::NotApplied => "not_applied",
        }
    }
}
