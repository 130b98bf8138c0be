//! Describes the target of a column for people.

use super::column_mapping::ColumnMapping;
use super::column_target::{ColumnTarget, LeftOut};
use super::table_sample::TableSample;

/// The description of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnDescription {
    /// The cells are imported into this field.
    Imported(String),
    /// The cells are imported into a field of this name and type, which does not exist yet.
    Created(String),
    /// The column is left out for this reason.
    LeftOut(String),
    /// The column is left out because it is read-only, as every export has such columns.
    ReadOnly,
    /// The column is left out, and nobody needs to know: the user has chosen it, or it belongs to a report.
    Ignored,
}

impl ColumnMapping {
    /// Describes what happens to the cells of a column. `header` is the header of the file.
    #[must_use]
    pub fn describe(&self, index: usize, header: &[String], sample: &TableSample) -> ColumnDescription {
        match &self.targets[index] {
            ColumnTarget::Field(field, _) => ColumnDescription::Imported(field.internal_name.clone()),
            ColumnTarget::NewField(field, _) => {
                ColumnDescription::Created(format!("{} (new {} field)", field.internal_name, field.kind.as_str()))
            }
            ColumnTarget::FullName(_) => ColumnDescription::Imported(self.describe_full_name()),
            ColumnTarget::LeftOut(reason) => describe_left_out(reason, index, header, sample),
        }
    }

    fn describe_full_name(&self) -> String {
        let is_name = |target: &&ColumnTarget| matches!(target, ColumnTarget::Field(field, _) if ["first_name", "last_name"].contains(&&*field.internal_name));
        let condition =
            if self.targets.iter().any(|target| is_name(&target)) { ", in rows without one of them" } else { "" };
        format!("first_name and last_name{condition}")
    }
}

fn describe_left_out(reason: &LeftOut, index: usize, header: &[String], sample: &TableSample) -> ColumnDescription {
    let name = header[index].trim();
    let text = match reason {
        LeftOut::Chosen | LeftOut::Report => return ColumnDescription::Ignored,
        LeftOut::ReadOnly => return ColumnDescription::ReadOnly,
        LeftOut::NoHeader => format!("it has no header. To import it: --map \"#{}=FIELD\"", index + 1),
        LeftOut::Empty => "it has no values, so no field is created".to_owned(),
        LeftOut::Unknown => "no field has this name".to_owned(),
        LeftOut::Unsupported(message) => format!("the field {message}"),
        LeftOut::OtherColumn(field, other) => {
            let at_least = if sample.is_complete { "" } else { "at least " };
            let only_here = match sample.count_rows_with(index, *other) {
                0 => String::new(),
                1 => format!(" ({at_least}1 row has a value only here)"),
                rows => format!(" ({at_least}{rows} rows have a value only here)"),
            };
            let other = header.get(*other).map_or("", |header| header.trim());
            // Columns can have the same header.
            let map = if other == name { format!("#{}", index + 1) } else { name.to_owned() };
            return ColumnDescription::LeftOut(format!(
                "{field} is taken from \"{other}\"{only_here}. To use this column instead: --map \"{map}=FIELD\""
            ));
        }
        LeftOut::OtherForm(field) => match field.as_str() {
            "website" => "its values are not web addresses, which website needs".to_owned(),
            field => format!("its values are not email addresses, which {field} needs"),
        },
        LeftOut::NoJobTitles => "its values are names, forms of address or roles of users, not job titles".to_owned(),
        LeftOut::CompanyFlag => "it is only used to recognize companies".to_owned(),
        LeftOut::SharedIds => "different contacts have the same value, so it identifies none of them".to_owned(),
    };
    ColumnDescription::LeftOut(text)
}
