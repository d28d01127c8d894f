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

/// A mapping of headings, saved by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedMapping {
    pub name: String,
    /// TOML, as it was written.
    pub content: String,
    pub saved_by: String,
    pub saved_at: Timestamp,
}

impl Store {
    /// Saves a mapping in the place of one of that name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn save_mapping(&self, mapping: &SavedMapping) -> Result<(), StoreError> {
        sqlx::query(
            "insert into import_mapping (name, content, saved_by, saved_at_ms) values ($1, $2, $3, $4) \
             on conflict (name) do update set content = excluded.content, saved_by = excluded.saved_by, \
             saved_at_ms = excluded.saved_at_ms",
        )
        .bind(&mapping.name)
        .bind(&mapping.content)
        .bind(&mapping.saved_by)
        .bind(ms(mapping.saved_at))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// All mappings by name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn mappings(&self) -> Result<Vec<SavedMapping>, StoreError> {
        let rows = sqlx::query(
            "select name, content, saved_by, saved_at_ms from import_mapping order by name",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_mapping).collect()
    }

    /// One mapping.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none of that name.
    pub async fn mapping(&self, name: &str) -> Result<SavedMapping, StoreError> {
        let row = sqlx::query(
            "select name, content, saved_by, saved_at_ms from import_mapping where name = $1",
        )
        .bind(name)
        .fetch_optional(&self.pool)
        .await?;
        let found = row.as_ref().map(read_mapping).transpose()?;
        found.ok_or_else(|| StoreError::NotFound {
            what: "mapping",
            id: name.to_owned(),
        })
    }
}

fn read_mapping(row: &AnyRow) -> Result<SavedMapping, StoreError> {
    let row = Columns(row);
    Ok(SavedMapping {
        name: row.text("name")?,
        content: row.text("content")?,
        saved_by: row.text("saved_by")?,
        saved_at: row.time("saved_at_ms")?,
    })
}
