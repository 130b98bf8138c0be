//! Excel workbooks for tests.

use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;

/// Returns an Excel workbook with a sheet of these rows.
pub fn workbook(rows: &[&[&str]]) -> Vec<u8> {
    workbook_of("", rows)
}

/// Returns an Excel workbook with a sheet of these rows, after these `<sheet>` elements. The relationship `e` is a summary without
/// contacts.
pub fn workbook_of(sheets: &str, rows: &[&[&str]]) -> Vec<u8> {
    let cell = |text: &&str| format!(r#"<c t="inlineStr"><is><t>{}</t></is></c>"#, text.replace('&', "&amp;"));
    let row = |row: &&[&str]| format!("<row>{}</row>", row.iter().map(cell).collect::<String>());
    let main = r#"xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main""#;
    let relationships = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let files = [
        (
            "_rels/.rels",
            format!(
                r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r" Type="{relationships}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                r#"<workbook {main} xmlns:r="{relationships}"><sheets>{sheets}<sheet name="People" sheetId="1" r:id="s"/><sheet name="Old" sheetId="2" r:id="s"/></sheets></workbook>"#
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="s" Type="{relationships}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="e" Type="{relationships}/worksheet" Target="worksheets/sheet2.xml"/></Relationships>"#
            ),
        ),
        (
            "xl/worksheets/sheet2.xml",
            format!(
                r#"<worksheet {main}><sheetData><row><c t="inlineStr"><is><t>Summary of our contacts</t></is></c></row></sheetData></worksheet>"#
            ),
        ),
        (
            "xl/worksheets/sheet1.xml",
            format!(
                "<worksheet {main}><sheetData>{}</sheetData></worksheet>",
                rows.iter().map(row).collect::<String>()
            ),
        ),
    ];
    let mut archive = zip::ZipWriter::new(Cursor::new(vec![]));
    for (name, text) in files {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}
