//! What narrows a list: only conditions that are asked for stand in the statement, so that an index can serve each of them
//! (`$3 = '' or patient_id = $3` would read the whole table).

use aftercall_core::staff::Wards;
use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use super::scope::seen;

/// Conditions of one list with what their places are bound to, from `$first` on.
pub(super) struct Conditions {
    sql: String,
    bound: Vec<String>,
    first: usize,
}

impl Conditions {
    /// The places before `first` are the list's own, and bound before these.
    pub(super) fn from(first: usize) -> Self {
        Self {
            sql: String::new(),
            bound: Vec::new(),
            first,
        }
    }

    /// Adds a condition in which `?` stands for the value, where there is one.
    pub(super) fn add(&mut self, condition: &str, value: Option<String>) {
        let Some(value) = value else { return };
        let place = self.place(value);
        self.plain(&condition.replace('?', &place));
    }

    /// One of several values; of none, nothing fits.
    pub(super) fn among(&mut self, column: &str, values: impl Iterator<Item = String>) {
        let places: Vec<String> = values.map(|value| self.place(value)).collect();
        match places.is_empty() {
            true => self.plain("1 = 0"),
            false => self.plain(&format!("{column} in ({})", places.join(", "))),
        }
    }

    /// A condition without a value.
    pub(super) fn plain(&mut self, condition: &str) {
        self.sql.push_str(" and ");
        self.sql.push_str(condition);
    }

    /// Only what is of these wards; `patient` is the column that names whom a row is about.
    pub(super) fn seen(&mut self, wards: &Wards, patient: &str) {
        let (sql, names) = seen(wards, patient, self.first + self.bound.len());
        self.sql.push_str(&sql);
        self.bound.extend_from_slice(names);
    }

    /// To stand behind a condition of the list's own.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    pub(super) fn bind<'q>(
        &'q self,
        query: Query<'q, Any, AnyArguments>,
    ) -> Query<'q, Any, AnyArguments> {
        self.bound
            .iter()
            .fold(query, |query, text| query.bind(text))
    }

    fn place(&mut self, value: String) -> String {
        self.bound.push(value);
        format!("${}", self.first + self.bound.len() - 1)
    }
}
