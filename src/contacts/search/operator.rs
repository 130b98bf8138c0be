//! The operators of filters, and the field types that support them.

use crate::fields::Kind;

/// The operator of a filter.
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

    /// Returns the operator with this name.
    pub(super) fn from_str(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.as_str() == name)
    }

    /// Returns the name in requests.
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

    /// Returns whether fields of this type support the operator. A set value of `archived` compares as a datetime.
    pub(super) fn is_supported_by(self, kind: Kind) -> bool {
        match self {
            Self::Eq | Self::Neq | Self::In | Self::NotIn | Self::HasValue | Self::HasNoValue => true,
            Self::Lt | Self::Lte | Self::Gt | Self::Gte | Self::Between => {
                matches!(kind, Kind::Number | Kind::Date | Kind::Datetime | Kind::Archived)
            }
            Self::Contains => is_text(kind) || kind == Kind::MultiSelect,
            Self::StartsWith => is_text(kind),
        }
    }

    /// Returns the names of all operators that fields of this type support.
    pub(super) fn names_for(kind: Kind) -> String {
        let supported = Self::ALL.into_iter().filter(|operator| operator.is_supported_by(kind));
        supported.map(Self::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Returns the names of all operators.
    pub(super) fn all_names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

/// Returns whether the values of this type are texts that can be searched by a part. Dates, ids and names of options
/// cannot.
fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Email | Kind::Phone | Kind::Url | Kind::User)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supported_operators_of_each_type_match_the_reference() {
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
    fn operator_is_parsed_by_its_exact_name() {
        assert_eq!(Operator::from_str("not_in"), Some(Operator::NotIn));
        for other in ["", "EQ", "=", "eq ", "like"] {
            assert_eq!(Operator::from_str(other), None);
        }
    }
}
