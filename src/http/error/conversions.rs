//! Conversions of errors of other modules into errors of the API.

use super::api_error::{ApiError, Duplicate};
use crate::contacts::{Collision, WriteRejection, contact_too_large_issue, missing_identity_issues};
use crate::fields::Registry;
use crate::memory_budget::OutOfMemory;
use crate::repository::{FeedError, FieldError, StorageError, WriteError};

impl ApiError {
    /// Converts a rejected write. The registry supplies the names of the fields.
    pub(in crate::http) fn from_rejection(rejection: &WriteRejection, registry: &Registry) -> Self {
        let duplicate = |collision: &Collision| {
            let field = registry.by_id(collision.field).map(|field| field.internal_name.clone()).unwrap_or_default();
            Duplicate { field, existing_id: collision.existing_id }
        };
        match rejection {
            WriteRejection::NotFound => Self::ContactNotFound,
            WriteRejection::Archived => Self::ContactArchived,
            WriteRejection::ArchivedHolder(collision) => Self::ArchivedHolder(duplicate(collision)),
            WriteRejection::PreconditionFailed(unmet) => Self::PreconditionFailed(*unmet),
            WriteRejection::Incomplete => Self::ValidationFailed(missing_identity_issues().into()),
            WriteRejection::TooLarge => Self::ValidationFailed([contact_too_large_issue()].into()),
            WriteRejection::Duplicate(collisions) => Self::DuplicateContact(collisions.iter().map(duplicate).collect()),
            WriteRejection::NotApplied => Self::NotApplied,
        }
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::RegistryChanged => Self::Unavailable("the fields of the account keep changing".into()),
            WriteError::KeyReused => Self::IdempotencyKeyReused,
            WriteError::ResponsePurged => Self::ContactNotFound,
            WriteError::TooLarge => Self::BatchTooLarge,
            WriteError::Storage(error) => error.into(),
        }
    }
}

impl From<OutOfMemory> for ApiError {
    fn from(error: OutOfMemory) -> Self {
        Self::Unavailable(error.to_string().into())
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
            StorageError::SlowSearch => Self::SlowSearch,
            _ => Self::Unavailable(error.to_string().into()),
        }
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        match error {
            FieldError::NotFound => Self::FieldNotFound,
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
    use crate::contacts::UnmetPrecondition;
    use crate::fields::{registry_fixtures as fixtures, system};

    #[test]
    fn rejection_and_its_api_error_have_the_same_code() {
        for rejection in [
            WriteRejection::NotFound,
            WriteRejection::Archived,
            WriteRejection::ArchivedHolder(Collision { field: system::EMAIL, existing_id: None }),
            WriteRejection::PreconditionFailed(UnmetPrecondition::Missing),
            WriteRejection::Incomplete,
            WriteRejection::TooLarge,
            WriteRejection::Duplicate(vec![]),
            WriteRejection::NotApplied,
        ] {
            let error = ApiError::from_rejection(&rejection, &fixtures::registry());
            assert_eq!(error.code(), rejection.code(), "{rejection:?}");
        }
    }
}
