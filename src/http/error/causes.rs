//! What errors come from: refusals and failures of the rooms within.

use super::{ApiError, Duplicate};
use crate::contacts::{Collision, WriteRefusal, missing_identity};
use crate::fields::Registry;
use crate::repository::{FeedError, FieldError, StorageError, WriteError};

impl ApiError {
    /// A write that was refused; `registry` names the fields.
    pub(in crate::http) fn of_refusal(refusal: &WriteRefusal, registry: &Registry) -> Self {
        let name = |collision: &Collision| {
            let name = registry.by_id(collision.field).map(|field| field.internal_name.clone()).unwrap_or_default();
            Duplicate { field: name, existing_id: collision.existing_id }
        };
        match refusal {
            WriteRefusal::NotFound => Self::NotFound,
            WriteRefusal::Archived => Self::ContactArchived,
            WriteRefusal::PreconditionFailed => Self::PreconditionFailed,
            WriteRefusal::Incomplete => Self::ValidationFailed(missing_identity().into()),
            WriteRefusal::Duplicate(collisions) => Self::DuplicateContact(collisions.iter().map(name).collect()),
            WriteRefusal::NotApplied => Self::NotApplied,
        }
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::RegistryChanged => Self::Unavailable("the registry keeps changing".into()),
            WriteError::KeyReused => Self::IdempotencyKeyReused,
            WriteError::AnswerPurged => Self::NotFound,
            WriteError::Storage(error) => error.into(),
        }
    }
}

impl From<FeedError> for ApiError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Expired => Self::CursorExpired,
            FeedError::Storage(error) => error.into(),
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Bug(_) => Self::Internal(error.to_string().into()),
            _ => Self::Unavailable(error.to_string().into()),
        }
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        match error {
            FieldError::NotFound => Self::NotFound,
            FieldError::Duplicate => Self::DuplicateField,
            FieldError::TooMany { limit, unique } => Self::TooManyFields { limit, unique },
            FieldError::OptionsInUse(options) => Self::OptionInUse(options),
            FieldError::KeyReused => Self::IdempotencyKeyReused,
            FieldError::Storage(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::registry_samples as samples;

    #[test]
    fn refusals_have_the_codes_that_they_say_they_have() {
        for refusal in [
            WriteRefusal::NotFound,
            WriteRefusal::Archived,
            WriteRefusal::PreconditionFailed,
            WriteRefusal::Incomplete,
            WriteRefusal::Duplicate(vec![]),
            WriteRefusal::NotApplied,
        ] {
            let error = ApiError::of_refusal(&refusal, &samples::registry());
            assert_eq!(error.catalogue().1, refusal.code(), "{refusal:?}");
        }
    }
}
