//! What the columns of a file mean, and the write that each of its rows asks for.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Refusal, cell};
use crate::contacts::{Draft, Upsert, Write};
use crate::fields::{Field, Issue, IssueCode, MAX_CUSTOM_FIELDS, NewField, Registry, system};
use crate::json::Json;

/// How the caller wants columns to be understood.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// Headers, each with the internal name it stands for; an empty one leaves the column out.
    pub maps: Vec<(String, String)>,
    /// The unique property whose column names the contact of each row.
    pub property: String,
    /// Whether an unknown header makes a text field.
    pub create_fields: bool,
}

/// Why a header can't be used: a line for each problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct HeaderError(pub Vec<String>);

/// The columns of a file, by one version of an account's registry.
#[derive(Debug)]
pub struct Columns {
    registry: Arc<Registry>,
    columns: Vec<Column>,
    /// Which of them names the contact.
    property: usize,
    new: Vec<NewField>,
    left_out: Vec<String>,
}

/// What becomes of the cells of a column.
#[derive(Debug, Clone)]
enum Column {
    /// Values of a field.
    Field(Arc<Field>),
    /// Values of a field that is yet to be made: they can be checked.
    New(Box<Field>),
    /// Nothing.
    LeftOut,
}

impl Columns {
    /// Reads a header.
    ///
    /// # Errors
    /// Every problem: unknown headers, two columns for one field, no column for the property, and what `naming` itself
    /// has wrong.
    pub fn read(header: &[String], naming: &Naming, registry: &Arc<Registry>) -> Result<Self, HeaderError> {
        let mut reading = Reading { naming, registry, new: vec![], left_out: vec![], problems: vec![] };
        reading.check_maps(header);
        let columns: Vec<_> = header.iter().map(|name| reading.column(name.trim())).collect();
        reading.check_twins(header, &columns);
        let property = reading.property(&columns);
        let custom = registry.fields().iter().filter(|field| !field.system).count();
        if custom + reading.new.len() > MAX_CUSTOM_FIELDS {
            let problem = format!("an account can have at most {MAX_CUSTOM_FIELDS} custom fields: it has {custom}");
            reading.problems.push(problem);
        }
        let Reading { new, left_out, problems, .. } = reading;
        match property {
            Some(property) if problems.is_empty() => {
                Ok(Self { registry: Arc::clone(registry), columns, property, new, left_out })
            }
            _ => Err(HeaderError(problems)),
        }
    }

    /// The registry that it was read by.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The fields that have to be made before rows can be written. Until then their cells are checked, and left out.
    #[must_use]
    pub fn new_fields(&self) -> &[NewField] {
        &self.new
    }

    /// The headers of columns that are left out, for they belong to the system.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The write that a row asks for: an upsert by its property.
    ///
    /// # Errors
    /// Every problem of every cell.
    pub fn write<'a>(&self, cells: impl ExactSizeIterator<Item = &'a str>) -> Result<Write, Refusal> {
        if cells.len() != self.columns.len() {
            return Err(Refusal::of_width(cells.len(), self.columns.len()));
        }
        let (mut changes, mut named, mut issues) = (Vec::with_capacity(self.columns.len()), None, vec![]);
        for (index, (column, text)) in self.columns.iter().zip(cells).enumerate() {
            match column {
                Column::LeftOut => {}
                Column::New(field) => issues.extend(cell::parse(field, text).err()),
                Column::Field(field) => match cell::parse(field, text) {
                    Ok(None) => {}
                    Ok(value) if index == self.property => named = value,
                    Ok(value) => changes.push((field.id, value)),
                    Err(issue) => issues.push(issue),
                },
            }
        }
        match (&self.columns[self.property], named) {
            (Column::Field(property), Some(named)) if issues.is_empty() => {
                let upsert = Upsert::of(property, named, Draft::of(changes));
                upsert.map(Write::Upsert).map_err(|issue| Refusal::of_issues(&[issue]))
            }
            (Column::Field(property), None) if issues.iter().all(|issue| issue.field != property.internal_name) => {
                let message = "names the contact: a row needs a value of it";
                issues.push(Issue::new(&*property.internal_name, IssueCode::Required, message));
                Err(Refusal::of_issues(&issues))
            }
            _ => Err(Refusal::of_issues(&issues)),
        }
    }
}

/// A header that is being read; collects what is wrong with it.
struct Reading<'a> {
    naming: &'a Naming,
    registry: &'a Registry,
    new: Vec<NewField>,
    left_out: Vec<String>,
    problems: Vec<String>,
}

impl Reading<'_> {
    fn check_maps(&mut self, header: &[String]) {
        for (mapped, name) in &self.naming.maps {
            if !header.iter().any(|header| header.trim() == mapped) {
                self.problems.push(format!("--map \"{mapped}={name}\": the file has no such column"));
            }
        }
    }

    fn column(&mut self, header: &str) -> Column {
        let mapped = self.naming.maps.iter().find(|(mapped, _)| mapped == header).map(|(_, name)| name.as_str());
        match mapped.unwrap_or(header) {
            "" if mapped.is_some() => Column::LeftOut,
            "" => self.refuse("a column has no header: give it one".to_owned()),
            name => match self.registry.get(name) {
                Some(field) if field.writable => Column::Field(Arc::clone(field)),
                Some(_) => self.system_owned(header, mapped),
                None if system::is_system_owned(name) => self.system_owned(header, mapped),
                None if self.naming.create_fields => self.new_column(header, mapped),
                None => self.unknown(header, mapped),
            },
        }
    }

    fn refuse(&mut self, problem: String) -> Column {
        self.problems.push(problem);
        Column::LeftOut
    }

    /// An export has such columns; who asks for one by name expects something else.
    fn system_owned(&mut self, header: &str, mapped: Option<&str>) -> Column {
        if let Some(name) = mapped {
            return self
                .refuse(format!("--map \"{header}={name}\": {name} is set by the system, and can't be imported"));
        }
        self.left_out.push(header.to_owned());
        Column::LeftOut
    }

    fn unknown(&mut self, header: &str, mapped: Option<&str>) -> Column {
        if let Some(name) = mapped {
            return self.refuse(format!("--map \"{header}={name}\": there is no field {name}"));
        }
        let meant = definition(header, None).ok().filter(|new| self.registry.get(&new.internal_name).is_some());
        let advice = match meant {
            Some(new) => format!("if it is {0}, say --map \"{header}={0}\"", new.internal_name),
            None if header.contains([';', '\t']) => "columns have to be separated by commas".to_owned(),
            None => format!("say --map \"{header}=…\" to name one, or --create-fields to make it"),
        };
        self.refuse(format!("there is no field \"{header}\": {advice}"))
    }

    /// A column whose header makes a field, or has made it when the same file was imported before.
    fn new_column(&mut self, header: &str, mapped: Option<&str>) -> Column {
        let new = match definition(header, mapped) {
            Ok(new) => new,
            Err(issues) => {
                let problem = issues.first().map(|issue| format!("{} {}", issue.field, issue.message));
                return self.refuse(format!("\"{header}\" can't be made a field: {}", problem.unwrap_or_default()));
            }
        };
        match self.registry.get(&new.internal_name) {
            Some(field) if field.writable && field.label == new.label && !field.system => {
                Column::Field(Arc::clone(field))
            }
            Some(taken) => {
                let name = &taken.internal_name;
                self.refuse(format!(
                    "\"{header}\" can't be made a field: there is a field {name}. If it is meant, say --map \"{header}={name}\""
                ))
            }
            None => {
                let field = new.clone().into_unsaved();
                self.new.push(new);
                Column::New(Box::new(field))
            }
        }
    }

    /// Two columns of one field would leave open which of them counts.
    fn check_twins(&mut self, header: &[String], columns: &[Column]) {
        let mut seen = HashSet::new();
        for (header, column) in header.iter().zip(columns) {
            let name = match column {
                Column::Field(field) => &field.internal_name,
                Column::New(field) => &field.internal_name,
                Column::LeftOut => continue,
            };
            if !seen.insert(name) {
                self.problems.push(format!(
                    "\"{}\" is a second column of the field {name}: leave one out, with --map \"…=\" if need be",
                    header.trim()
                ));
            }
        }
    }

    fn property(&mut self, columns: &[Column]) -> Option<usize> {
        let name = &self.naming.property;
        let is_unique = |field: &Arc<Field>| field.unique && field.writable;
        if !self.registry.get(name).is_some_and(is_unique) {
            let names: Vec<_> = self.registry.unique_fields().iter().map(|field| &*field.internal_name).collect();
            self.problems.push(format!("--match {name} is no unique field: use one of {}", names.join(", ")));
            return None;
        }
        let found =
            columns.iter().position(|column| matches!(column, Column::Field(field) if field.internal_name == *name));
        if found.is_none() {
            self.problems.push(format!("the file has no column {name}, by which --match finds contacts"));
        }
        found
    }
}

/// The text field that a header makes.
fn definition(header: &str, internal_name: Option<&str>) -> Result<NewField, Vec<Issue>> {
    let mut body = vec![("label".into(), Json::String(header.into())), ("type".into(), Json::String("text".into()))];
    body.extend(internal_name.map(|name| ("internal_name".into(), Json::String(name.into()))));
    NewField::parse(&body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::UniqueKey;
    use crate::fields::{FieldId, Value, registry_samples as samples};

    fn naming(maps: &[(&str, &str)], property: &str, create_fields: bool) -> Naming {
        let maps = maps.iter().map(|(header, name)| ((*header).to_owned(), (*name).to_owned())).collect();
        Naming { maps, property: property.to_owned(), create_fields }
    }

    fn read(header: &[&str], naming: &Naming) -> Result<Columns, HeaderError> {
        let header: Vec<_> = header.iter().map(|name| (*name).to_owned()).collect();
        Columns::read(&header, naming, &Arc::new(samples::registry()))
    }

    fn problems(header: &[&str], naming: &Naming) -> Vec<String> {
        read(header, naming).expect_err("refused").0
    }

    fn write(columns: &Columns, cells: &[&str]) -> Result<Write, Refusal> {
        columns.write(cells.iter().copied())
    }

    #[test]
    fn a_row_is_an_upsert_of_what_its_cells_say() {
        let columns = read(
            &["id", " E-mail ", "shoe_size", "tags", "last_name"],
            &naming(&[("E-mail", "email")], "email", false),
        )
        .expect("known columns");
        assert_eq!(columns.left_out(), ["id"]);
        let Ok(Write::Upsert(upsert)) = write(&columns, &["x", "Ada@b.cd", "38", "", ""]) else { panic!("an upsert") };
        assert_eq!(upsert.key, UniqueKey { field: system::EMAIL, key: "ada@b.cd".into() });
        assert_eq!(upsert.named, (system::EMAIL, Value::Text("Ada@b.cd".into())));
        assert!(upsert.draft.get(FieldId(100)).is_some() && upsert.draft.get(system::LAST_NAME).is_none());
    }

    #[test]
    fn refuses_a_row_with_all_its_problems() {
        let columns = read(&["email", "shoe_size"], &naming(&[], "email", false)).expect("known columns");
        let refusal = |cells: &[&str]| write(&columns, cells).expect_err("refused");
        assert_eq!(refusal(&["a@b.cd"]).code, "invalid_body");
        let both = refusal(&["", "large"]);
        assert!(
            both.message.contains("(invalid_type)") && both.message.contains("email: names the contact"),
            "{both:?}"
        );
        assert_eq!(refusal(&["nobody", "1"]).message.matches("email").count(), 2, "one problem, and its example");
    }

    #[test]
    fn names_every_header_that_is_unknown() {
        let known = naming(&[], "email", false);
        assert_eq!(problems(&["email", "colour", "Shoe size"], &known).len(), 2);
        assert!(problems(&["email", "Shoe size"], &known)[0].contains("--map \"Shoe size=shoe_size\""));
        assert!(problems(&["email;first_name"], &known)[0].contains("commas"));
        assert_eq!(problems(&["email", ""], &known).len(), 1);
    }

    #[test]
    fn refuses_what_leaves_open_which_column_counts() {
        assert_eq!(problems(&["email", "badge", "badge"], &naming(&[], "email", false)).len(), 1);
        assert_eq!(problems(&["email", "E-mail"], &naming(&[("E-mail", "email")], "email", false)).len(), 1);
        assert!(read(&["email", "E-mail"], &naming(&[("E-mail", "")], "email", false)).is_ok());
        assert_eq!(problems(&["email"], &naming(&[("Mail", "email")], "email", false)).len(), 1);
        assert_eq!(problems(&["email", "x"], &naming(&[("x", "nope")], "email", false)).len(), 1);
        assert_eq!(problems(&["email", "x"], &naming(&[("x", "id")], "email", false)).len(), 1);
    }

    #[test]
    fn needs_a_column_of_a_unique_field() {
        for property in ["first_name", "id", "nope", "badge"] {
            assert_eq!(problems(&["email", "first_name"], &naming(&[], property, true)).len(), 1, "{property}");
        }
        assert!(read(&["badge"], &naming(&[], "badge", false)).is_ok());
    }

    #[test]
    fn makes_fields_of_unknown_headers_when_told_to() {
        let columns =
            read(&["email", "Favourite colour", "x"], &naming(&[("x", "extra")], "email", true)).expect("fields");
        let names: Vec<_> = columns.new_fields().iter().map(|new| (&*new.internal_name, &*new.label)).collect();
        assert_eq!(names, [("favourite_colour", "Favourite colour"), ("extra", "x")]);
        let long = "y".repeat(4_097);
        assert!(write(&columns, &["a@b.cd", "red", ""]).is_ok());
        assert!(write(&columns, &["a@b.cd", &long, ""]).expect_err("too long").message.contains("(too_long)"));
        // The samples' labels are their names: `tags` is one that an earlier import could have made.
        assert!(read(&["email", "tags"], &naming(&[], "email", true)).expect("known").new_fields().is_empty());
        for taken in ["Email", "Tags", "error", "!"] {
            let found = read(&["email", taken], &naming(&[], "email", true));
            assert_eq!(found.is_err(), taken != "!", "{taken}");
        }
        assert_eq!(problems(&["email", "a b", "a-b"], &naming(&[], "email", true)).len(), 1);
    }
}
