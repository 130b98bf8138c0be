//! Converts vCards (RFC 2426, RFC 6350) to rows. Cards of version 2.1 are read, too.

mod content_line;

use content_line::ContentLine;

/// The headers of the rows.
pub const VCARD_HEADERS: [&str; 16] = [
    "First name",
    "Last name",
    "Full name",
    "Email",
    "Phone",
    "Mobile phone",
    "Company name",
    "Job title",
    "Website",
    "UID",
    "Nickname",
    "Birthday",
    "Address",
    "Department",
    "Categories",
    "Note",
];

/// The content of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VCardContent {
    /// A row with the cells of [`VCARD_HEADERS`].
    Contact(Vec<String>),
    /// A group of contacts, with its name.
    Group(String),
}

/// The separator between several values of a property, as Google Contacts writes them in CSV files.
const LIST_SEPARATOR: &str = " ::: ";

/// Converts the lines between `BEGIN:VCARD` and `END:VCARD` to a row.
#[must_use]
pub fn parse_vcard(text: &str) -> VCardContent {
    let lines: Vec<_> = content_line::unfold(text).iter().filter_map(|line| ContentLine::parse(line)).collect();
    let has_kind = |line: &ContentLine| {
        matches!(&*line.name, "KIND" | "X-ADDRESSBOOKSERVER-KIND") && line.text().eq_ignore_ascii_case("group")
    };
    let card = CardProperties { lines: &lines };
    if lines.iter().any(has_kind) {
        return VCardContent::Group(card.first("FN"));
    }
    let name = card.components("N");
    let organization = card.components("ORG");
    let component = |components: &[String], index: usize| components.get(index).cloned().unwrap_or_default();
    let (first_name, mut last_name, mut full_name) = (component(&name, 1), component(&name, 0), card.first("FN"));
    if first_name.is_empty() && last_name.is_empty() && full_name == component(&organization, 0) {
        // The card of a company. Its name is not the name of a person, which would be split.
        last_name = std::mem::take(&mut full_name);
    }
    VCardContent::Contact(vec![
        first_name,
        last_name,
        full_name,
        card.list("EMAIL", |_| true),
        card.list("TEL", |line| !line.has_type("CELL") && !line.has_type("FAX") && !line.has_type("PAGER")),
        card.list("TEL", |line| line.has_type("CELL") && !line.has_type("FAX")),
        component(&organization, 0),
        card.first("TITLE"),
        card.list("URL", |_| true),
        card.first("UID"),
        card.first("NICKNAME"),
        card.first("BDAY"),
        card.address(),
        organization.iter().skip(1).filter(|unit| !unit.is_empty()).cloned().collect::<Vec<_>>().join(", "),
        card.list("CATEGORIES", |_| true),
        card.first("NOTE"),
    ])
}

/// The properties of a card.
struct CardProperties<'a> {
    lines: &'a [ContentLine],
}

impl CardProperties<'_> {
    /// Returns the properties with this name, the preferred ones first.
    fn all(&self, name: &str) -> Vec<&ContentLine> {
        let mut lines: Vec<_> = self.lines.iter().filter(|line| line.name == name).collect();
        lines.sort_by_key(|line| line.preference());
        lines
    }

    /// Returns the text of a property, or an empty text.
    fn first(&self, name: &str) -> String {
        let texts = self.all(name).into_iter().map(ContentLine::text);
        texts.map(|text| text.trim().to_owned()).find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// Returns the texts of a property that several lines can have.
    fn list(&self, name: &str, is_included: impl Fn(&ContentLine) -> bool) -> String {
        let texts = self.all(name).into_iter().filter(|line| is_included(line)).map(ContentLine::text);
        let texts = texts.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut distinct: Vec<String> = vec![];
        for text in texts {
            if !distinct.contains(&text) {
                distinct.push(text);
            }
        }
        distinct.join(LIST_SEPARATOR)
    }

    /// Returns the components of a property that is a list, such as the parts of a name.
    fn components(&self, name: &str) -> Vec<String> {
        self.all(name).first().map(|line| line.components()).unwrap_or_default()
    }

    fn address(&self) -> String {
        let parts = self.components("ADR").into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<(&'static str, String)> {
        let VCardContent::Contact(cells) = parse_vcard(text) else { panic!("a group") };
        assert_eq!(cells.len(), VCARD_HEADERS.len());
        VCARD_HEADERS.into_iter().zip(cells).filter(|(_, cell)| !cell.is_empty()).collect()
    }

    fn expect(text: &str, expected: &[(&str, &str)]) {
        let cells = cells(text);
        let cells: Vec<_> = cells.iter().map(|(header, cell)| (*header, cell.as_str())).collect();
        assert_eq!(cells, expected);
    }

    #[test]
    fn card_of_version_3_with_groups_and_folded_lines_is_read() {
        expect(
            "VERSION:3.0\r\nPRODID:-//Apple Inc.//macOS 14.1//EN\r\nN:Lovelace;Ada;King;;\r\nFN:Ada Lovelace\r\n\
             ORG:Analytical Engines\\, Inc.;Research;\r\nTITLE:Countess\r\n\
             item1.EMAIL;type=INTERNET;type=HOME:home@example.com\r\n\
             EMAIL;type=INTERNET;type=WORK;type=pref:ada@example.com\r\n\
             TEL;type=CELL;type=VOICE:+44 20 1\r\n 234\r\nTEL;type=WORK,FAX:1\r\nitem2.TEL:+44 555 999\r\n\
             item1.URL;type=pref:example.com\r\nitem1.X-ABLabel:_$!<HomePage>!$_\r\n\
             ADR;type=HOME:;;12 St James\\; Sq.;London;;;UK\r\nNOTE:a\\nb\r\nBDAY:1815-12-10\r\n\
             PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQ\r\n AAAAAAAA\r\nUID:u-1\r\n",
            &[
                ("First name", "Ada"),
                ("Last name", "Lovelace"),
                ("Full name", "Ada Lovelace"),
                ("Email", "ada@example.com ::: home@example.com"),
                ("Phone", "+44 555 999"),
                ("Mobile phone", "+44 20 1234"),
                ("Company name", "Analytical Engines, Inc."),
                ("Job title", "Countess"),
                ("Website", "example.com"),
                ("UID", "u-1"),
                ("Birthday", "1815-12-10"),
                ("Address", "12 St James; Sq., London, UK"),
                ("Department", "Research"),
                ("Note", "a\nb"),
            ],
        );
    }

    #[test]
    fn card_of_version_4_is_read() {
        expect(
            "VERSION:4.0\nFN:Grace Hopper\nEMAIL;PREF=2:b@example.com\nEMAIL;PREF=1:a@example.com\n\
             TEL;VALUE=uri;TYPE=\"voice,cell\":tel:+1-555-0100;ext=7\nORG;SORT-AS=\"x:y\":Navy\n",
            &[
                ("Full name", "Grace Hopper"),
                ("Email", "a@example.com ::: b@example.com"),
                ("Mobile phone", "+1-555-0100 ext 7"),
                ("Company name", "Navy"),
            ],
        );
    }

    #[test]
    fn card_of_version_2_1_is_read() {
        expect(
            "VERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=\r\n=B6rg\r\n\
             TEL;CELL:+49 170 1\r\nTEL;WORK;VOICE:+49 30 1\r\nEMAIL;INTERNET:j@example.com\r\n\
             NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET=ISO-8859-1:gr=FC=DFe\r\nTITLE;QUOTED-PRINTABLE:Gr=E4fin\r\n",
            &[
                ("First name", "Jörg"),
                ("Last name", "Müller"),
                ("Email", "j@example.com"),
                ("Phone", "+49 30 1"),
                ("Mobile phone", "+49 170 1"),
                ("Job title", "Gräfin"),
                ("Note", "grüße"),
            ],
        );
    }

    #[test]
    fn card_of_a_company_has_its_name_as_last_name() {
        let expected = [("Last name", "Analytical Engines"), ("Company name", "Analytical Engines")];
        expect("VERSION:3.0\nN:;;;;\nFN:Analytical Engines\nORG:Analytical Engines;\nX-ABShowAs:COMPANY\n", &expected);
    }

    #[test]
    fn group_of_contacts_is_not_a_contact() {
        let group = parse_vcard("VERSION:3.0\nFN:Friends\nX-ADDRESSBOOKSERVER-KIND:group\n");
        assert_eq!(group, VCardContent::Group("Friends".to_owned()));
    }
}
