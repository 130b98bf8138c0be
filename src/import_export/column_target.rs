//! What happens to the cells of a column.

use std::sync::Arc;

use super::cell_values::CellRules;
use super::full_name::NameOrder;
use super::organization_names::OrganizationNames;
use crate::fields::Field;

/// The target of a column.
#[derive(Debug, Clone)]
pub(super) enum ColumnTarget {
    /// An existing field.
    Field(Arc<Field>, CellRules),
    /// A field that does not exist yet. Its cells are only validated.
    NewField(Box<Field>, CellRules),
    /// The first and the last name, in rows in which these are empty otherwise.
    FullName(NameRules),
    /// None: the cells are ignored.
    LeftOut(LeftOut),
}

impl ColumnTarget {
    pub(super) fn is_full_name(&self) -> bool {
        matches!(self, Self::FullName(_))
    }
}

/// How the complete names of a column are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameRules {
    pub(super) order: NameOrder,
    /// Whether a name without the first or the last name of its row is the other part, as below `Name`.
    pub(super) may_be_part: bool,
    /// Which of them are not split.
    pub(super) organizations: OrganizationNames,
}

/// The reason why a column is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// The user has chosen it.
    Chosen,
    /// The column belongs to a report of refused rows.
    Report,
    /// The field is read-only.
    ReadOnly,
    /// The column has no header.
    NoHeader,
    /// No field has this name.
    Unknown,
    /// The account has a field of this name, but of a type that this version does not know.
    Unsupported(String),
    /// The field takes its values from the column with this index.
    OtherColumn(String, usize),
    /// The values have another form than the field with this name needs.
    OtherForm(String),
    /// The values are forms of address or roles of users.
    NoJobTitles,
    /// It marks the rows that are companies. It is used, but not stored.
    CompanyFlag,
    /// Rows with different contacts have the same value, so it identifies none of them.
    SharedIds,
    /// The column has no values, so no field is created for it.
    Empty,
}

/// How a header names its field. The best way wins if several columns name one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MatchRank {
    /// The user has chosen the field.
    Chosen,
    /// By its internal name, exactly.
    ExactName,
    /// By its internal name.
    InternalName,
    /// By its label.
    Label,
    /// By a name that other programs give it.
    Alias,
    /// By a name that often means something else.
    WeakAlias,
    /// By a name with other words, such as `Your job title`.
    ReducedAlias,
    /// By its values.
    Values,
}
