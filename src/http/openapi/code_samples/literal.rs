//! JSON values as literals of a programming language, laid out for reading.

use serde_json::Value;

/// The width up to which a list or object stays on one line.
const WIDTH: usize = 72;

/// How a language writes literals.
pub(super) struct Notation {
    pub(super) null: &'static str,
    pub(super) no: &'static str,
    pub(super) yes: &'static str,
    /// The blanks of each level.
    pub(super) indent: usize,
}

/// The notation of JSON, which is also that of TypeScript.
pub(super) const JSON: Notation = Notation { null: "null", no: "false", yes: "true", indent: 2 };

/// Returns a value as a literal. Its lines after the first are indented by `indent` blanks.
pub(super) fn literal(value: &Value, notation: &Notation, indent: usize) -> String {
    let line = one_line(value, notation);
    if indent + line.len() <= WIDTH {
        return line;
    }
    let (inner, outer) = (" ".repeat(indent + notation.indent), " ".repeat(indent));
    match value {
        Value::Array(items) => {
            let items = items.iter().map(|item| format!("{inner}{}", literal(item, notation, inner.len())));
            format!("[\n{}\n{outer}]", items.collect::<Vec<_>>().join(",\n"))
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{inner}{}: {}", quote(name), literal(value, notation, inner.len())));
            format!("{{\n{}\n{outer}}}", members.collect::<Vec<_>>().join(",\n"))
        }
        _ => line,
    }
}

fn one_line(value: &Value, notation: &Notation) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Null => notation.null.to_owned(),
        Value::Bool(false) => notation.no.to_owned(),
        Value::Bool(true) => notation.yes.to_owned(),
        Value::Array(items) => format!("[{}]", join(items.iter().map(|item| one_line(item, notation)).collect())),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{}: {}", quote(name), one_line(value, notation)));
            format!("{{{}}}", join(members.collect()))
        }
        other => other.to_string(),
    }
}

/// Returns a string literal, which is the same in JSON, Python and TypeScript.
pub(super) fn quote(text: &str) -> String {
    Value::from(text).to_string()
}
