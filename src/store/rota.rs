//! The rota: every one that was brought in, the newest of which holds.

use std::sync::{Arc, PoisonError};

use aftercall_core::rota::Rota;
use aftercall_core::time::Timestamp;

use super::row::Columns;
use super::{Store, StoreError, ms};

/// The rota that was read last, and its position.
pub(super) type Known = Option<(i64, Arc<Rota>)>;

impl Store {
    /// The rota that holds; `None` where none was brought in.
    ///
    /// # Errors
    /// When the database refuses, or the text is none that this engine reads.
    pub async fn rota(&self) -> Result<Option<Arc<Rota>>, StoreError> {
        let row = sqlx::query("select coalesce(max(position), 0) as newest from rota")
            .fetch_one(&self.pool)
            .await?;
        let newest = Columns(&row).int("newest")?;
        if newest == 0 {
            return Ok(None);
        }
        if let Some(rota) = self.known_rota(newest) {
            return Ok(Some(rota));
        }
        let Some(text) = self.rota_text().await? else {
            return Ok(None);
        };
        let rota = Rota::parse(&text).map_err(|_| StoreError::Corrupt {
            column: "rota.text",
        })?;
        let rota = Arc::new(rota);
        let mut known = self.rota.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((newest, Arc::clone(&rota)));
        Ok(Some(rota))
    }

    fn known_rota(&self, newest: i64) -> Option<Arc<Rota>> {
        let known = self.rota.lock().unwrap_or_else(PoisonError::into_inner);
        let (position, rota) = known.as_ref()?;
        (*position == newest).then(|| Arc::clone(rota))
    }

    /// The text of the rota that holds, as it was brought in.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn rota_text(&self) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("select text from rota order by position desc limit 1")
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Columns(&row).text("text")).transpose()
    }

    /// Brings in a rota, which holds from now on. Steps that wait for somebody on duty are looked at again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn import_rota(
        &self,
        text: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "insert into rota (position, text, imported_by, imported_at_ms) \
             select coalesce(max(position), 0) + 1, $1, $2, $3 from rota",
        )
        .bind(text)
        .bind(by)
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "update step set next_at_ms = $1 where state = 'planned' and next_at_ms > $1 \
             and reason like 'nobody_on_duty%'",
        )
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}
