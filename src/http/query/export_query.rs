//! The query of an export.

use super::query_issues::QueryIssues;
use super::query_string::{QueryString, parse_bool};
use crate::fields::{InvalidValue, Issue, IssueCode, Registry, Selection};
use crate::http::error::ApiError;

/// The media type of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum ExportMediaType {
    Csv,
    Ndjson,
}

/// The query of an export.
pub(in crate::http) struct ExportQuery {
    pub format: ExportMediaType,
    /// The fields to return: all fields, if the query names none.
    pub selection: Selection,
    /// Whether no cell of a CSV file begins a formula.
    pub is_spreadsheet_safe: bool,
}

impl ExportQuery {
    pub(in crate::http) fn parse(query: &QueryString, registry: &Registry) -> Result<Self, ApiError> {
        let mut issues = QueryIssues::for_query(query);
        let format = query.single("format", parse_format);
        let format = issues.required("format", "is required: csv or ndjson", format);
        let is_spreadsheet_safe = issues.or_default(false, query.single("spreadsheet_safe", parse_bool));
        if is_spreadsheet_safe && format == Some(ExportMediaType::Ndjson) {
            issues.push(Issue::new("spreadsheet_safe", IssueCode::InvalidFormat, "applies only to format=csv"));
        }
        let selection = match query.contains("properties") {
            true => query.selection(registry),
            false => Ok(Selection::all(registry)),
        };
        let selection = issues.into_result_with(selection)?;
        // Without a format there is an issue.
        Ok(Self { format: format.unwrap_or(ExportMediaType::Csv), selection, is_spreadsheet_safe })
    }
}

fn parse_format(text: &str) -> Result<ExportMediaType, InvalidValue> {
    match text {
        "csv" => Ok(ExportMediaType::Csv),
        "ndjson" => Ok(ExportMediaType::Ndjson),
        _ => Err(InvalidValue::new(IssueCode::InvalidOption, "must be csv or ndjson")),
    }
}
