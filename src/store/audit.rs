//! The audit log: who did what to which record, and when. Append-only; ids, never names or numbers.

use aftercall_core::time::Timestamp;

use super::page::{Page, PageRequest};
use super::row::Columns;
use super::{Store, StoreError, ms, new_id};

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub id: String,
    pub at: Timestamp,
    /// A token's name, or `engine`, `command_line`.
    pub who: String,
    /// `recording.listen`, `work_order.acknowledge`, `patient.read`, …
    pub what: String,
    /// The id of the record.
    pub subject: String,
    /// Ids, codes and counts only.
    pub detail: String,
}

impl Store {
    /// Appends a line.
    ///
    /// # Errors
    /// When the database refuses; the caller must then refuse what it was about to show or do.
    pub async fn audit(
        &self,
        who: &str,
        what: &str,
        subject: &str,
        detail: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("insert into audit_log (id, at_ms, who, what, subject, detail) values ($1, $2, $3, $4, $5, $6)")
            .bind(new_id())
            .bind(ms(now))
            .bind(who)
            .bind(what)
            .bind(subject)
            .bind(detail)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The log of one record, or all of it, in the order written.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn audit_log(
        &self,
        subject: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<AuditEntry>, StoreError> {
        let after = page
            .keys::<0>()?
            .map(|(_, id)| id.to_owned())
            .unwrap_or_default();
        let rows = sqlx::query(
            "select id, at_ms, who, what, subject, detail from audit_log \
             where id > $1 and ($2 = '' or subject = $2) order by id limit $3",
        )
        .bind(after)
        .bind(subject.unwrap_or_default())
        .bind(page.fetch())
        .fetch_all(&self.pool)
        .await?;
        let entries = rows
            .iter()
            .map(|row| {
                let row = Columns(row);
                Ok(AuditEntry {
                    id: row.text("id")?,
                    at: row.time("at_ms")?,
                    who: row.text("who")?,
                    what: row.text("what")?,
                    subject: row.text("subject")?,
                    detail: row.text("detail")?,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Ok(page.cut(entries, |entry| (vec![], entry.id.clone())))
    }
}
