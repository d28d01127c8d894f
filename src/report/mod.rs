//! The clinician's page: the red-flag lexicon and its scores as one HTML file, to be read, printed and signed.

mod page;
mod rules;
mod sheet;

use aftercall_core::redflag::Lexicon;

use crate::eval::score::Score;
use sheet::Sheet;

pub use rules::RULES;

/// What the page is made of.
pub struct Report<'a> {
    pub lexicon: &'a Lexicon,
    /// Names and texts of the lexicon's files.
    pub files: &'a [(String, String)],
    /// The name of each set and what was scored on it.
    pub sets: &'a [(String, Score)],
}

impl Report<'_> {
    /// The whole page: no script, nothing fetched; the same report gives the same bytes.
    pub fn html(&self) -> String {
        page::page(self).into_string()
    }

    /// A file of the lexicon; empty where there is none.
    fn sheet(&self, name: &str) -> Sheet {
        let text = self.files.iter().find(|(file, _)| file == name);
        text.map_or_else(Sheet::default, |(_, text)| Sheet::read(text))
    }
}
