//! The operators, and the kinds of fields that they fit.

use crate::fields::Kind;

/// How a filter compares a field with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Eq,
    Neq,
    In,
    NotIn,
    HasValue,
    HasNoValue,
    Lt,
    Lte,
    Gt,
    Gte,
    Between,
    Contains,
    StartsWith,
}

impl Operator {
    const ALL: [Self; 13] = [
        Self::Eq,
        Self::Neq,
        Self::In,
        Self::NotIn,
        Self::HasValue,
        Self::HasNoValue,
        Self::Lt,
        Self::Lte,
        Self::Gt,
        Self::Gte,
        Self::Between,
        Self::Contains,
        Self::StartsWith,
    ];

    /// The operator of this name.
    pub(super) fn from_str(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.as_str() == name)
    }

    /// The name as it stands in requests.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Neq => "neq",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::HasValue => "has_value",
            Self::HasNoValue => "has_no_value",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Between => "between",
            Self::Contains => "contains",
            Self::StartsWith => "starts_with",
        }
    }

    /// Whether fields of this kind take it. `archived` is a time where it is set, and compares as one.
    pub(super) fn fits(self, kind: Kind) -> bool {
        match self {
            Self::Eq | Self::Neq | Self::In | Self::NotIn | Self::HasValue | Self::HasNoValue => true,
            Self::Lt | Self::Lte | Self::Gt | Self::Gte | Self::Between => {
                matches!(kind, Kind::Number | Kind::Date | Kind::Datetime | Kind::Archived)
            }
            Self::Contains => is_text(kind) || kind == Kind::MultiSelect,
            Self::StartsWith => is_text(kind),
        }
    }

    /// The names of all that fields of this kind take.
    pub(super) fn names_for(kind: Kind) -> String {
        let fitting = Self::ALL.into_iter().filter(|operator| operator.fits(kind));
        fitting.map(Self::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a part of a value means anything: it does not of dates, ids and the names of options.
fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Email | Kind::Phone | Kind::Url | Kind::User)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fit_the_kinds_of_the_contract() {
        const ALL: &str = "eq, neq, in, not_in, has_value, has_no_value";
        for kind in [Kind::Uuid, Kind::Checkbox, Kind::Dropdown] {
            assert_eq!(Operator::names_for(kind), ALL);
        }
        for kind in [Kind::Text, Kind::Email, Kind::Phone, Kind::Url, Kind::User] {
            assert_eq!(Operator::names_for(kind), format!("{ALL}, contains, starts_with"));
        }
        for kind in [Kind::Number, Kind::Date, Kind::Datetime, Kind::Archived] {
            assert_eq!(Operator::names_for(kind), format!("{ALL}, lt, lte, gt, gte, between"));
        }
        assert_eq!(Operator::names_for(Kind::MultiSelect), format!("{ALL}, contains"));
    }

    #[test]
    fn are_read_by_their_exact_names() {
        assert_eq!(Operator::from_str("not_in"), Some(Operator::NotIn));
        for other in ["", "EQ", "=", "eq ", "like"] {
            assert_eq!(Operator::from_str(other), None);
        }
    }
}
