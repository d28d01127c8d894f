//! A file cut into records: CSV in any usual encoding, or the first filled sheet of a workbook.

use std::io::Cursor;

use aftercall_core::import::Problem;
use calamine::{Data, ExcelDateTime, Reader, open_workbook_auto_from_rs};
use csv::{ReaderBuilder, StringRecord};

use super::encoding::decode;
use super::problem;

/// Records in the order of the file; the first is not yet known to be the header.
#[derive(Debug)]
pub struct Table {
    /// `UTF-8`, `gb18030`, … or the sheet that was read.
    pub source: String,
    pub is_sheet: bool,
    pub records: Vec<(u64, Result<StringRecord, Problem>)>,
}

/// Reads a workbook by its first bytes, everything else as CSV.
///
/// # Errors
/// A workbook that cannot be opened or has no filled sheet.
pub fn read(bytes: &[u8]) -> Result<Table, Problem> {
    const ZIP: &[u8] = b"PK\x03\x04";
    const OLE: &[u8] = b"\xd0\xcf\x11\xe0";
    if bytes.starts_with(ZIP) || bytes.starts_with(OLE) {
        workbook(bytes)
    } else {
        Ok(text(bytes))
    }
}

fn text(bytes: &[u8]) -> Table {
    let (text, source) = decode(bytes);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter(&text))
        .from_reader(text.as_bytes());
    let mut records = Vec::new();
    loop {
        let mut record = StringRecord::new();
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {
                // Blank lines are skipped before a record, so its own position is the right one.
                let line = record.position().map_or(line, csv::Position::line);
                records.push((line, readable(line, record, &source)));
            }
            Err(error) => {
                let broken = problem(line, "(all)", &error.to_string(), "save the file as CSV");
                records.push((line, Err(broken)));
            }
        }
    }
    Table {
        source,
        is_sheet: false,
        records,
    }
}

fn readable(line: u64, record: StringRecord, source: &str) -> Result<StringRecord, Problem> {
    if record.iter().any(|field| field.contains('\u{fffd}')) {
        let fault = format!("is not {source}");
        return Err(problem(line, "(all)", &fault, "save the file as UTF-8"));
    }
    Ok(record)
}

/// What parts the first line most often: spreadsheets write tabs with UTF-16, and semicolons in some countries.
fn delimiter(text: &str) -> u8 {
    let first = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let count = |byte: u8| first.bytes().filter(|found| *found == byte).count();
    let likelier = [b'\t', b';', b'|']
        .into_iter()
        .max_by_key(|byte| count(*byte));
    likelier
        .filter(|byte| count(*byte) > count(b','))
        .unwrap_or(b',')
}

fn workbook(bytes: &[u8]) -> Result<Table, Problem> {
    let whole = |fault: &str, cure: &str| problem(1, "(all)", fault, cure);
    let mut book = open_workbook_auto_from_rs(Cursor::new(bytes)).map_err(|error| {
        whole(
            &format!("the workbook cannot be opened: {error}"),
            "save it as .xlsx without a password",
        )
    })?;
    for name in book.sheet_names() {
        let range = book.worksheet_range(&name).map_err(|error| {
            whole(
                &format!("sheet {name} cannot be read: {error}"),
                "save it as .xlsx",
            )
        })?;
        let Some((first_row, first_column)) = range.start() else {
            continue;
        };
        let mut records = Vec::new();
        for (line, row) in (u64::from(first_row) + 1..).zip(range.rows()) {
            if row.iter().all(|cell| matches!(cell, Data::Empty)) {
                continue;
            }
            records.push((line, cells(line, first_column, row)));
        }
        return Ok(Table {
            source: format!("sheet {name}"),
            is_sheet: true,
            records,
        });
    }
    Err(whole(
        "the workbook has no filled sheet",
        "put the list into its first sheet",
    ))
}

fn cells(line: u64, first_column: u32, row: &[Data]) -> Result<StringRecord, Problem> {
    let mut record = StringRecord::new();
    (0..first_column).for_each(|_| record.push_field(""));
    for cell in row {
        match cell_text(cell) {
            Ok(text) => record.push_field(&text),
            Err((fault, cure)) => {
                let cell = u32::try_from(record.len()).unwrap_or(u32::MAX);
                let name =
                    aftercall_core::import::cell_name(usize::try_from(cell).unwrap_or(0), line);
                return Err(Problem {
                    cell: Some(name),
                    ..problem(line, "(all)", fault, cure)
                });
            }
        }
    }
    Ok(record)
}

/// Numbers from here on have lost digits: a spreadsheet keeps fifteen.
const EXACT: f64 = 1e15;

fn cell_text(cell: &Data) -> Result<String, (&'static str, &'static str)> {
    Ok(match cell {
        Data::Empty => String::new(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text.clone(),
        Data::Bool(value) => value.to_string(),
        Data::Int(value) => value.to_string(),
        Data::Float(value) if value.abs() >= EXACT => {
            return Err((
                "holds a number that a spreadsheet rounds",
                "format the column as text, and fill it in again",
            ));
        }
        Data::Float(value) => value.to_string(),
        Data::DateTime(at) => local(at),
        Data::Error(_) => {
            return Err((
                "holds a formula's error",
                "mend the formula, or write the value",
            ));
        }
    })
}

fn local(at: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    match (hour, minute, second) {
        (0, 0, 0) => date,
        _ => format!("{date} {hour:02}:{minute:02}:{second:02}"),
    }
}
