//! The audit log: who did what to which record, when, and why. A chain (`aftercall_core::audit_chain`); ids, never
//! names or numbers.

use std::time::Duration;

use aftercall_core::audit_chain::{Entry, Fault, Hashing, Head, Walk, link};
use aftercall_core::time::Timestamp;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::conditions::Conditions;
use super::outbox::post_with;
use super::page::{Page, PageRequest};
use super::row::Columns;
use super::{Store, StoreError, ms, new_id};

/// What is written down.
#[derive(Clone, Copy, Debug)]
pub struct AuditLine<'a> {
    /// An account's or a token's name, or `engine`, `command_line`.
    pub who: &'a str,
    /// `recording.listen`, `work_order.acknowledge`, `patient.read`, …
    pub what: &'a str,
    /// The id of the record.
    pub subject: &'a str,
    /// Ids, codes and counts only.
    pub detail: &'a str,
    /// Why, in the caller's words.
    pub reason: Option<&'a str>,
}

/// One line of the log, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub id: String,
    /// Its place in the chain, from 1.
    pub seq: u64,
    pub at: Timestamp,
    pub who: String,
    pub what: String,
    pub subject: String,
    pub detail: String,
    pub reason: Option<String>,
    /// Hexadecimal.
    pub hash: String,
}

/// Which lines of the log; all that is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditFilter<'a> {
    /// The id of one record.
    pub subject: Option<&'a str>,
    pub who: Option<&'a str>,
    pub what: Option<&'a str>,
    pub newest_first: bool,
}

/// Entries read at once while the chain is walked.
const AT_ONCE: i64 = 1_000;

const ENTRY: &str =
    "select id, seq, at_ms, who, what, subject, detail, reason, hash from audit_log";

impl Store {
    /// Appends a line without a reason.
    ///
    /// # Errors
    /// As [`Store::append_audit`].
    pub async fn audit(
        &self,
        who: &str,
        what: &str,
        subject: &str,
        detail: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let line = AuditLine {
            who,
            what,
            subject,
            detail,
            reason: None,
        };
        self.append_audit(&line, now).await
    }

    /// Appends a line to the chain.
    ///
    /// # Errors
    /// When the database refuses; the caller must then refuse what it was about to show or do.
    pub async fn append_audit(
        &self,
        line: &AuditLine<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        // The row's lock is held to the commit: on both databases one appends after the other.
        let row =
            sqlx::query("update audit_head set seq = seq + 1 where id = 1 returning seq, hash")
                .fetch_one(&mut *tx)
                .await?;
        let row = Columns(&row);
        let entry = Entry {
            seq: row.count("seq")?,
            at: now,
            who: line.who,
            what: line.what,
            subject: line.subject,
            detail: line.detail,
            reason: line.reason,
        };
        let hash = link(self.keys.hashing(), &row.text("hash")?, &entry);
        sqlx::query(
            "insert into audit_log (id, seq, at_ms, who, what, subject, detail, reason, hash) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(new_id())
        .bind(row.int("seq")?)
        .bind(ms(now))
        .bind(line.who)
        .bind(line.what)
        .bind(line.subject)
        .bind(line.detail)
        .bind(line.reason)
        .bind(&hash)
        .execute(&mut *tx)
        .await?;
        sqlx::query("update audit_head set hash = $1 where id = 1")
            .bind(&hash)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
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
        let filter = AuditFilter {
            subject,
            ..AuditFilter::default()
        };
        self.audit_log_of(&filter, page).await
    }

    /// The lines that an auditor asks for.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn audit_log_of(
        &self,
        filter: &AuditFilter<'_>,
        page: &PageRequest,
    ) -> Result<Page<AuditEntry>, StoreError> {
        let (first, further, order) = if filter.newest_first {
            (i64::MAX, "<", "desc")
        } else {
            (0, ">", "asc")
        };
        let ([after], _) = page.keys::<1>()?.unwrap_or(([first], ""));
        let mut conditions = Conditions::from(3);
        for (condition, value) in [
            ("subject = ?", filter.subject),
            ("who = ?", filter.who),
            ("what = ?", filter.what),
        ] {
            conditions.add(condition, value.map(str::to_owned));
        }
        let sql = format!(
            "{ENTRY} where seq {further} $1{} order by seq {order} limit $2",
            conditions.sql()
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(page.fetch());
        let rows = conditions.bind(query).fetch_all(&self.pool).await?;
        let entries = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let key = |entry: &AuditEntry| {
            let seq = i64::try_from(entry.seq).unwrap_or(i64::MAX);
            (vec![seq], entry.id.clone())
        };
        Ok(page.cut(entries, key))
    }

    /// The last link of the chain.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn audit_head(&self) -> Result<Head, StoreError> {
        let row = sqlx::query("select seq, hash from audit_head where id = 1")
            .fetch_one(&self.pool)
            .await?;
        read_head(&row)
    }

    /// Puts the chain's head into the outbox as `audit.head`, with a signature where `sign` gives one: where
    /// `every` has passed since the last one, and anything was written since.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn post_audit_head(
        &self,
        every: Duration,
        sign: impl Fn(&Head) -> Option<String> + Send,
        now: Timestamp,
    ) -> Result<Option<Head>, StoreError> {
        let before = ms(now).saturating_sub(i64::try_from(every.as_millis()).unwrap_or(i64::MAX));
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "update audit_head set posted_at_ms = $1, posted_seq = seq \
             where id = 1 and posted_at_ms <= $2 and posted_seq < seq returning seq, hash",
        )
        .bind(ms(now))
        .bind(before)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let head = read_head(&row)?;
        let mut payload = serde_json::Map::new();
        payload.insert("seq".to_owned(), head.seq.into());
        payload.insert("hash".to_owned(), head.hash.clone().into());
        payload.insert("signature".to_owned(), sign(&head).into());
        post_with(&mut tx, "audit.head", "", payload, now).await?;
        tx.commit().await?;
        Ok(Some(head))
    }

    /// Walks the whole chain; `known` is a head that was kept outside. `progress` hears how many entries were seen.
    ///
    /// # Errors
    /// When the database refuses. A broken chain is an answer, not an error.
    pub async fn verify_audit(
        &self,
        known: Option<Head>,
        mut progress: impl FnMut(u64),
    ) -> Result<Result<Head, Fault>, StoreError> {
        // Not `Store::begin`: on SQLite that would keep every writer waiting for the length of the walk.
        let mut tx = self.pool.begin().await?;
        if let super::Backend::Postgres = self.backend {
            sqlx::query("set transaction isolation level repeatable read")
                .execute(&mut *tx)
                .await?;
        }
        let head = sqlx::query("select seq, hash from audit_head where id = 1")
            .fetch_one(&mut *tx)
            .await?;
        let head = read_head(&head)?;
        let mut walk = Walk::new(known);
        let (mut after, mut seen) = (0_i64, 0_u64);
        loop {
            let sql = format!("{ENTRY} where seq > $1 order by seq limit $2");
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(after)
                .bind(AT_ONCE)
                .fetch_all(&mut *tx)
                .await?;
            let whole = rows.len();
            for row in &rows {
                let entry = read(row)?;
                after = Columns(row).int("seq")?;
                seen += 1;
                if !walk.take(&entry.link(), &entry.hash) {
                    return Ok(walk.finish(&head, 0));
                }
            }
            progress(seen);
            if i64::try_from(whole).unwrap_or(0) < AT_ONCE {
                break;
            }
        }
        // A number below the first one is no way around the chain.
        let outside =
            sqlx::query("select count(*) as entries from audit_log where seq is null or seq < 1")
                .fetch_one(&mut *tx)
                .await?;
        let outside = Columns(&outside).count("entries")?;
        Ok(walk.finish(&head, outside))
    }
}

/// Takes what was written before there was a chain into it, once, in the order written.
pub(super) async fn adopt(connection: &mut AnyConnection) -> Result<(), StoreError> {
    // On PostgreSQL the lock of this row keeps a second engine waiting; on SQLite the transaction does.
    let row = sqlx::query("update audit_head set seq = seq where id = 1 returning seq, hash")
        .fetch_one(&mut *connection)
        .await?;
    let mut head = read_head(&row)?;
    if head.seq > 0 {
        return Ok(());
    }
    let rows = sqlx::query(
        "select id, at_ms, who, what, subject, detail from audit_log where seq is null order by id",
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        let row = Columns(row);
        let (who, what) = (row.text("who")?, row.text("what")?);
        let (subject, detail) = (row.text("subject")?, row.text("detail")?);
        let entry = Entry {
            seq: head.seq + 1,
            at: row.time("at_ms")?,
            who: &who,
            what: &what,
            subject: &subject,
            detail: &detail,
            reason: None,
        };
        head = Head {
            seq: entry.seq,
            hash: link(Hashing::Sha256, &head.hash, &entry),
        };
        sqlx::query("update audit_log set seq = $2, hash = $3 where id = $1")
            .bind(row.text("id")?)
            .bind(i64::try_from(head.seq).unwrap_or(i64::MAX))
            .bind(&head.hash)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("update audit_head set seq = $1, hash = $2 where id = 1")
        .bind(i64::try_from(head.seq).unwrap_or(i64::MAX))
        .bind(&head.hash)
        .execute(connection)
        .await?;
    Ok(())
}

impl AuditEntry {
    fn link(&self) -> Entry<'_> {
        Entry {
            seq: self.seq,
            at: self.at,
            who: &self.who,
            what: &self.what,
            subject: &self.subject,
            detail: &self.detail,
            reason: self.reason.as_deref(),
        }
    }
}

fn read(row: &AnyRow) -> Result<AuditEntry, StoreError> {
    let row = Columns(row);
    Ok(AuditEntry {
        id: row.text("id")?,
        seq: row.count("seq")?,
        at: row.time("at_ms")?,
        who: row.text("who")?,
        what: row.text("what")?,
        subject: row.text("subject")?,
        detail: row.text("detail")?,
        reason: row.text_or_null("reason")?,
        hash: row.text_or_null("hash")?.unwrap_or_default(),
    })
}

fn read_head(row: &AnyRow) -> Result<Head, StoreError> {
    let row = Columns(row);
    Ok(Head {
        seq: row.count("seq")?,
        hash: row.text("hash")?,
    })
}
