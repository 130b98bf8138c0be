//! A problem with one field of a request. All problems are collected, never only the first (contract §2).

use std::borrow::Cow;

/// The machine-readable part of a problem: the detail codes of contract §2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueCode {
    /// The account has no such field.
    UnknownField,
    /// The field belongs to the system, or can't be changed this way.
    ForbiddenField,
    /// Another JSON type than the field takes. Nothing is coerced.
    InvalidType,
    /// The right JSON type, but not in the form the field takes.
    InvalidFormat,
    /// Not one of the field's options.
    InvalidOption,
    /// More characters (or items) than the field holds.
    TooLong,
    /// A number or a time that can't be represented.
    OutOfRange,
    /// Missing.
    Required,
}

impl IssueCode {
    /// The code as it stands in an answer.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownField => "unknown_field",
            Self::ForbiddenField => "forbidden_field",
            Self::InvalidType => "invalid_type",
            Self::InvalidFormat => "invalid_format",
            Self::InvalidOption => "invalid_option",
            Self::TooLong => "too_long",
            Self::OutOfRange => "out_of_range",
            Self::Required => "required",
        }
    }
}

/// Why a value is refused, before it is known for which field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of problem it is.
    pub code: IssueCode,
    /// How to mend it, for the caller.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with this code and advice.
    pub fn new(code: IssueCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// The same problem, pinned to a field.
    #[must_use]
    pub fn of(self, field: impl Into<String>) -> Issue {
        Issue { field: field.into(), code: self.code, message: self.message }
    }
}

/// A problem with one named field (or key of a body).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The name as the caller sent it.
    pub field: String,
    /// What kind of problem it is.
    pub code: IssueCode,
    /// How to mend it, for the caller.
    pub message: Cow<'static, str>,
}

impl Issue {
    /// An issue of `field` with this code and advice.
    pub fn new(field: impl Into<String>, code: IssueCode, message: impl Into<Cow<'static, str>>) -> Self {
        Refusal::new(code, message).of(field)
    }
}
