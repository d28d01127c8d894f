//! Imports: when, by whom, and the report a row.

use aftercall_core::time::Timestamp;
use sqlx::any::AnyRow;

use super::page::{Page, PageRequest};
use super::row::Columns;
use super::{Store, StoreError, ms};

/// One import and its report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub id: String,
    pub at: Timestamp,
    pub who: String,
    pub accepted: u64,
    pub refused: u64,
    /// JSON; line numbers, codes and ids, no PHI.
    pub report: String,
}

impl Store {
    /// Saves the report of an import.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn save_import(&self, import: &Import) -> Result<(), StoreError> {
        sqlx::query("insert into import (id, at_ms, who, accepted, refused, report) values ($1, $2, $3, $4, $5, $6)")
            .bind(&import.id)
            .bind(ms(import.at))
            .bind(&import.who)
            .bind(i64::try_from(import.accepted).unwrap_or(i64::MAX))
            .bind(i64::try_from(import.refused).unwrap_or(i64::MAX))
            .bind(&import.report)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Imports, oldest first.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn imports(&self, page: &PageRequest) -> Result<Page<Import>, StoreError> {
        let after = page
            .keys::<0>()?
            .map(|(_, id)| id.to_owned())
            .unwrap_or_default();
        let rows = sqlx::query(
            "select id, at_ms, who, accepted, refused, report from import where id > $1 order by id limit $2",
        )
        .bind(after)
        .bind(page.fetch())
        .fetch_all(&self.pool)
        .await?;
        let imports = rows
            .iter()
            .map(read_import)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(imports, |import| (vec![], import.id.clone())))
    }
}

fn read_import(row: &AnyRow) -> Result<Import, StoreError> {
    let row = Columns(row);
    Ok(Import {
        id: row.text("id")?,
        at: row.time("at_ms")?,
        who: row.text("who")?,
        accepted: row.count("accepted")?,
        refused: row.count("refused")?,
        report: row.text("report")?,
    })
}
