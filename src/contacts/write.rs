//! One write of a contact, as a caller asks for it, and why it can be refused (contract §5, §6).

use uuid::Uuid;

use super::{Collision, Draft, Precondition, UniqueKey};
use crate::fields::{Field, FieldId, Issue, IssueCode, Registry, Value};
use crate::json::Object;

/// The contact that a write is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The one with this id, active or archived.
    Id(Uuid),
    /// The active one that holds this key.
    Key(UniqueKey),
}

/// A write that has been checked against a registry.
#[derive(Debug, Clone)]
pub enum Write {
    /// A new contact.
    Create(Draft),
    /// The fields sent change, and no other. Equal values change nothing.
    Update {
        /// Which contact.
        target: Target,
        /// What changes.
        draft: Draft,
        /// What must hold of the contact as it is.
        precondition: Precondition,
    },
    /// An update of the contact that holds a key, or its creation.
    Upsert(Upsert),
    /// The contact gives up its unique keys.
    Archive {
        /// Which contact.
        target: Target,
        /// What must hold of the contact as it is.
        precondition: Precondition,
    },
    /// An archived contact is active again.
    Restore {
        /// Which contact.
        id: Uuid,
        /// What must hold of the contact as it is.
        precondition: Precondition,
    },
    /// The contact and every value of it are gone for good.
    Purge {
        /// Which contact.
        id: Uuid,
    },
}

/// A write to the contact that holds a key, whether it is there already or not (contract §6).
#[derive(Debug, Clone)]
pub struct Upsert {
    /// The key, in the form it is compared by.
    pub key: UniqueKey,
    /// The field of the key, and its value as the caller spelt it: a new contact gets it.
    pub named: (FieldId, Value),
    /// What changes.
    pub draft: Draft,
    /// What must hold of the contact as it is. Without a contact only [`Precondition::None`] holds.
    pub precondition: Precondition,
    /// What must not hold of it (`If-None-Match`).
    pub unless: Precondition,
}

impl Upsert {
    /// Reads the content of `fields` for the contact that a value of `property` names.
    ///
    /// # Errors
    /// An issue for each key that is refused, the named one too.
    pub fn parse(
        property: &Field,
        named: Result<Value, Issue>,
        fields: &Object<'_>,
        registry: &Registry,
    ) -> Result<Self, Vec<Issue>> {
        match (Draft::parse(fields, registry), named) {
            (Ok(draft), Ok(named)) => Self::of(property, named, draft).map_err(|issue| vec![issue]),
            (Ok(_), Err(issue)) => Err(vec![issue]),
            (Err(issues), Err(issue)) => Err([issues, vec![issue]].concat()),
            (Err(mut issues), Ok(named)) => {
                // What is wrong with other keys must not hide that this one names another contact.
                let is_own = |(name, _): &&(_, _)| *name == property.internal_name;
                let own = Draft::parse(&fields.iter().filter(is_own).cloned().collect(), registry);
                issues.extend(own.ok().and_then(|own| Self::of(property, named, own).err()));
                Err(issues)
            }
        }
    }

    /// The upsert of the contact that this value of `property` names, without preconditions. The same field can be sent
    /// again, if it means the same.
    ///
    /// # Errors
    /// The draft sends another value of it.
    pub fn of(property: &Field, named: Value, draft: Draft) -> Result<Self, Issue> {
        let key = UniqueKey::of(property, &named);
        let is_same = |value| UniqueKey::of(property, value) == key;
        if draft.get(property.id).is_some_and(|sent| !sent.is_some_and(is_same)) {
            let message = "must be what the request names the contact by: leave it out";
            return Err(Issue::new(&*property.internal_name, IssueCode::ForbiddenField, message));
        }
        let (precondition, unless) = (Precondition::None, Precondition::None);
        Ok(Self { key, named: (property.id, named), draft, precondition, unless })
    }
}

impl Write {
    /// The contact that it names.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        match self {
            Self::Create(_) => None,
            Self::Update { target, .. } | Self::Archive { target, .. } => Some(target.clone()),
            Self::Upsert(upsert) => Some(Target::Key(upsert.key.clone())),
            Self::Restore { id, .. } | Self::Purge { id } => Some(Target::Id(*id)),
        }
    }

    /// The keys that it may claim, as far as that can be told without the contact.
    #[must_use]
    pub fn claims(&self, registry: &Registry) -> Vec<UniqueKey> {
        match self {
            Self::Create(draft) | Self::Update { draft, .. } => draft.keys(registry),
            Self::Upsert(upsert) => upsert.draft.keys(registry),
            Self::Archive { .. } | Self::Restore { .. } | Self::Purge { .. } => vec![],
        }
    }
}

/// Why a write of a contact is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefusal {
    /// The account has no such contact (or where only active ones count: no active one).
    #[error("no such contact")]
    NotFound,
    /// The contact is archived.
    #[error("the contact is archived")]
    Archived,
    /// The caller's precondition does not hold.
    #[error("the precondition does not hold")]
    PreconditionFailed,
    /// A new contact would have neither an email nor a name.
    #[error("a new contact needs an email or a name")]
    Incomplete,
    /// These keys belong to other active contacts.
    #[error("unique keys are taken")]
    Duplicate(Vec<Collision>),
    /// Another write that it stands or falls with was refused.
    #[error("another write of the same unit was refused")]
    NotApplied,
}

impl WriteRefusal {
    /// The code that callers know it by (contract §2).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Archived => "contact_archived",
            Self::PreconditionFailed => "precondition_failed",
            Self::Incomplete => "validation_failed",
            Self::Duplicate(_) => "duplicate_contact",
            Self::NotApplied => "not_applied",
        }
    }
}
