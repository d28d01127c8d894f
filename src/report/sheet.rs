//! A table of the lexicon as it is shown: its heading comment, its columns and its rows.

/// One TSV file.
#[derive(Debug, Default)]
pub struct Sheet {
    /// The comment lines.
    pub about: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// One row, read by the name of the column.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    sheet: &'a Sheet,
    cells: &'a [String],
}

impl Sheet {
    pub fn read(text: &str) -> Sheet {
        let comment = |line: &&str| line.starts_with('#');
        let about: Vec<&str> = text
            .lines()
            .filter(comment)
            .map(|line| line.trim_start_matches('#').trim())
            .collect();
        let cells = |line: &str| {
            line.split('\t')
                .map(|cell| cell.trim().to_owned())
                .collect()
        };
        let mut lines = text
            .lines()
            .filter(|line| !line.trim().is_empty() && !comment(line));
        Sheet {
            about: about.join(" "),
            columns: lines.next().map_or_else(Vec::new, cells),
            rows: lines.map(cells).collect(),
        }
    }

    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { sheet: self, cells })
    }
}

impl<'a> Row<'a> {
    /// The cell of a column; empty where the sheet has no such column.
    pub fn of(self, column: &str) -> &'a str {
        let at = self.sheet.columns.iter().position(|name| name == column);
        at.and_then(|at| self.cells.get(at))
            .map_or("", String::as_str)
    }

    pub fn cells(self) -> &'a [String] {
        self.cells
    }

    /// The cell's alternatives, parted by `|`.
    pub fn parts(self, column: &str) -> impl Iterator<Item = &'a str> {
        self.of(column)
            .split('|')
            .map(str::trim)
            .filter(|part| !part.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::Sheet;

    #[test]
    fn a_sheet_is_read_by_the_names_of_its_columns() {
        let sheet = Sheet::read("# What it is.\n# More.\nid\twordings\na\tx | y\nb\n\n");
        assert_eq!(sheet.about, "What it is. More.");
        let rows: Vec<_> = sheet.rows().collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].parts("wordings").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(
            (
                rows[1].of("id"),
                rows[1].of("wordings"),
                rows[1].of("no such")
            ),
            ("b", "", "")
        );
    }
}
