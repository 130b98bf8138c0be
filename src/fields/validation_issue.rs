//! A problem with one field of a request. Errors list all problems of a request, not only the first
//! (`docs/api-reference.md#errors`).

use std::borrow::Cow;

/// The machine-readable code of a problem (`docs/api-reference.md#detail-codes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueCode {
    /// The account has no such field.
    UnknownField,
    /// The route has no such query parameter.
    UnknownParameter,
    /// The field belongs to the system, or cannot be changed by this request.
    ForbiddenField,
    /// The value has another JSON type than the field. Values are never converted.
    InvalidType,
    /// The JSON type is right, but the format is not.
    InvalidFormat,
    /// The value is not one of the field's options.
    InvalidOption,
    /// The value has too many characters or items.
    TooLong,
    /// The values of a contact are too large together.
    ContactTooLarge,
    /// The number or time cannot be represented.
    OutOfRange,
    /// The value is missing.
    Required,
}

impl IssueCode {
    /// Returns the code in responses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownField => "unknown_field",
            Self::UnknownParameter => "unknown_parameter",
            Self::ForbiddenField => "forbidden_field",
            Self::InvalidType => "invalid_type",
            Self::InvalidFormat => "invalid_format",
            Self::InvalidOption => "invalid_option",
            Self::TooLong => "too_long",
            Self::ContactTooLarge => "contact_too_large",
            Self::OutOfRange => "out_of_range",
            Self::Required => "required",
        }
    }
}

/// The reason why a value is rejected, without the name of its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidValue {
    /// The machine-readable code.
    pub code: IssueCode,
    /// A message for the caller that says how to fix the value.
    pub message: Cow<'static, str>,
}

impl InvalidValue {
    /// Creates a reason with this code and message.
    pub fn new(code: IssueCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// Returns the same problem as an issue of a field.
    #[must_use]
    pub fn for_field(self, field: impl Into<String>) -> Issue {
        Issue { field: field.into(), code: self.code, message: self.message }
    }
}

/// A problem with one named field, or with one key of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The name as the caller sent it.
    pub field: String,
    /// The machine-readable code.
    pub code: IssueCode,
    /// A message for the caller that says how to fix the value.
    pub message: Cow<'static, str>,
}

impl Issue {
    /// Creates an issue of `field` with this code and message.
    pub fn new(field: impl Into<String>, code: IssueCode, message: impl Into<Cow<'static, str>>) -> Self {
        InvalidValue::new(code, message).for_field(field)
    }
}
