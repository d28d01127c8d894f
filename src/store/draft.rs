//! Changes of scripts that people work on in the pages, and which version is in force. Every change names the revision that
//! it was made on, so that nobody overwrites what somebody else has written meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use aftercall_core::signature::Signature;
use aftercall_core::staff::Role;
use aftercall_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::row::{Columns, json, word};
use super::{Store, StoreError, ms, new_id};

/// How far a draft has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DraftState {
    Draft,
    /// It waits for a clinician.
    Submitted,
    Signed,
    Withdrawn,
}

/// A changed script.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub id: String,
    pub script: String,
    pub note: String,
    /// Texts by their name below the folder of scripts; what is not here is as the folder has it.
    pub files: BTreeMap<String, String>,
    /// What is signed, with the folder as it was then.
    pub hash: String,
    /// The hash of the version it was begun from.
    pub based_on: String,
    pub state: DraftState,
    /// Everybody who changed it.
    pub edited_by: BTreeSet<String>,
    pub changed_at: Timestamp,
    pub submitted_by: Option<String>,
    pub submitted_at: Option<Timestamp>,
    pub signature: Option<Signature>,
    pub signed_by: Option<String>,
    pub signed_role: Option<Role>,
    pub signed_at: Option<Timestamp>,
    /// Counts changes.
    pub revision: i64,
}

/// A version that was put in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// `None`: the folder's.
    pub draft: Option<String>,
    pub why: String,
    pub by: String,
    pub at: Timestamp,
}

/// A change of a draft's texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    pub note: String,
    pub files: BTreeMap<String, String>,
    pub hash: String,
    pub by: String,
}

const DRAFT: &str = "select id, script, note, files, hash, based_on, state, edited_by, changed_at_ms, submitted_by, \
     submitted_at_ms, signature, signed_by, signed_role, signed_at_ms, revision from script_draft";

/// The number of each script's last publication, by script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published(Vec<(String, i64)>);

impl Store {
    /// Begins a draft.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn begin_draft(
        &self,
        script: &str,
        based_on: &str,
        edit: &Edit,
        now: Timestamp,
    ) -> Result<Draft, StoreError> {
        let id = new_id();
        sqlx::query(
            "insert into script_draft (id, script, note, files, hash, based_on, state, edited_by, changed_at_ms) \
             values ($1, $2, $3, $4, $5, $6, 'draft', $7, $8)",
        )
        .bind(&id)
        .bind(script)
        .bind(&edit.note)
        .bind(json(&edit.files))
        .bind(&edit.hash)
        .bind(based_on)
        .bind(json(&[&edit.by]))
        .bind(ms(now))
        .execute(&self.pool)
        .await?;
        self.draft(&id).await
    }

    /// One draft.
    ///
    /// # Errors
    /// When there is none of this id.
    pub async fn draft(&self, id: &str) -> Result<Draft, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("{DRAFT} where id = $1")))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        let draft = row.as_ref().map(read_draft).transpose()?;
        draft.ok_or_else(|| StoreError::NotFound {
            what: "draft",
            id: id.to_owned(),
        })
    }

    /// A script's drafts, the newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn drafts(&self, script: &str) -> Result<Vec<Draft>, StoreError> {
        let sql =
            format!("{DRAFT} where script = $1 order by changed_at_ms desc, id desc limit 100");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(script)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_draft).collect()
    }

    /// Writes an open draft anew.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where somebody changed it since `revision`, or it is no longer open.
    pub async fn edit_draft(
        &self,
        id: &str,
        revision: i64,
        edit: &Edit,
        now: Timestamp,
    ) -> Result<Draft, StoreError> {
        let mut edited_by = self.draft(id).await?.edited_by;
        edited_by.insert(edit.by.clone());
        let done = sqlx::query(
            "update script_draft set note = $3, files = $4, hash = $5, edited_by = $6, changed_at_ms = $7, \
             revision = revision + 1 where id = $1 and revision = $2 and state = 'draft'",
        )
        .bind(id)
        .bind(revision)
        .bind(&edit.note)
        .bind(json(&edit.files))
        .bind(&edit.hash)
        .bind(json(&edited_by))
        .bind(ms(now))
        .execute(&self.pool)
        .await?;
        self.changed_draft(id, done.rows_affected()).await
    }

    /// Hands a draft in; it can be changed no more.
    ///
    /// # Errors
    /// As [`Store::edit_draft`].
    pub async fn submit_draft(
        &self,
        id: &str,
        revision: i64,
        by: &str,
        now: Timestamp,
    ) -> Result<Draft, StoreError> {
        let done = sqlx::query(
            "update script_draft set state = 'submitted', submitted_by = $3, submitted_at_ms = $4, \
             revision = revision + 1 where id = $1 and revision = $2 and state = 'draft'",
        )
        .bind(id)
        .bind(revision)
        .bind(by)
        .bind(ms(now))
        .execute(&self.pool)
        .await?;
        self.changed_draft(id, done.rows_affected()).await
    }

    /// Gives a submitted draft back to its authors, or lays it aside; a signed one stays as it is.
    ///
    /// # Errors
    /// As [`Store::edit_draft`].
    pub async fn return_draft(
        &self,
        id: &str,
        revision: i64,
        to: DraftState,
    ) -> Result<Draft, StoreError> {
        let done = sqlx::query(
            "update script_draft set state = $3, submitted_by = null, submitted_at_ms = null, revision = revision + 1 \
             where id = $1 and revision = $2 and state in ('draft', 'submitted') and $3 in ('draft', 'withdrawn')",
        )
        .bind(id)
        .bind(revision)
        .bind(word(&to))
        .execute(&self.pool)
        .await?;
        self.changed_draft(id, done.rows_affected()).await
    }

    /// Keeps a signature that holds. Nobody signs what they changed: that is looked at once more here.
    ///
    /// # Errors
    /// As [`Store::edit_draft`]; also for one's own edit.
    pub async fn sign_draft(
        &self,
        id: &str,
        revision: i64,
        signature: &Signature,
        by: (&str, Role),
        now: Timestamp,
    ) -> Result<Draft, StoreError> {
        let draft = self.draft(id).await?;
        let mut changed = 0;
        if !draft.edited_by.contains(by.0) && draft.submitted_by.as_deref() != Some(by.0) {
            let done = sqlx::query(
                "update script_draft set state = 'signed', signature = $3, signed_by = $4, signed_role = $5, \
                 signed_at_ms = $6, revision = revision + 1 \
                 where id = $1 and revision = $2 and state = 'submitted' and hash = $7",
            )
            .bind(id)
            .bind(revision)
            .bind(json(signature))
            .bind(by.0)
            .bind(word(&by.1))
            .bind(ms(now))
            .bind(&signature.content_sha256)
            .execute(&self.pool)
            .await?;
            changed = done.rows_affected();
        }
        self.changed_draft(id, changed).await
    }

    async fn changed_draft(&self, id: &str, rows: u64) -> Result<Draft, StoreError> {
        let draft = self.draft(id).await?;
        if rows == 1 {
            return Ok(draft);
        }
        Err(StoreError::Conflict {
            what: "draft",
            id: id.to_owned(),
            state: "changed".to_owned(),
        })
    }

    /// Puts a signed draft, or the folder's version, in force from the next start on.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the draft is not signed.
    pub async fn publish_draft(
        &self,
        script: &str,
        publication: &Publication,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "insert into script_publication (script, position, draft_id, why, published_by, published_at_ms) \
             select $1, (select coalesce(max(position), 0) + 1 from script_publication where script = $1), $2, $3, $4, $5 \
             from (select 1 as one) o where $6 = '' \
             or exists (select 1 from script_draft d where d.id = $6 and d.script = $1 and d.state = 'signed')",
        )
        .bind(script)
        .bind(publication.draft.clone())
        .bind(&publication.why)
        .bind(&publication.by)
        .bind(ms(publication.at))
        .bind(publication.draft.clone().unwrap_or_default())
        .execute(&self.pool)
        .await?;
        if done.rows_affected() == 1 {
            return Ok(());
        }
        Err(StoreError::Conflict {
            what: "draft",
            id: publication.draft.clone().unwrap_or_default(),
            state: "not signed".to_owned(),
        })
    }

    /// How many publications each script has had: while this stays as it is, so does what is in force.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn published(&self) -> Result<Published, StoreError> {
        let rows = sqlx::query(
            "select script, max(position) as position from script_publication group by script order by script",
        )
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &AnyRow| Ok((Columns(row).text("script")?, Columns(row).int("position")?));
        let all = rows.iter().map(read).collect::<Result<_, StoreError>>()?;
        Ok(Published(all))
    }

    /// What was put in force of a script, the newest first: the first is in force.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn publications(&self, script: &str) -> Result<Vec<Publication>, StoreError> {
        let rows = sqlx::query(
            "select draft_id, why, published_by, published_at_ms from script_publication where script = $1 \
             order by position desc",
        )
        .bind(script)
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &AnyRow| {
            let row = Columns(row);
            Ok(Publication {
                draft: row.text_or_null("draft_id")?,
                why: row.text("why")?,
                by: row.text("published_by")?,
                at: row.time("published_at_ms")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The drafts in force, one a script at most.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn drafts_in_force(&self) -> Result<Vec<Draft>, StoreError> {
        let sql = format!(
            "{DRAFT} d where exists (select 1 from script_publication p where p.draft_id = d.id and p.position = \
             (select max(position) from script_publication o where o.script = p.script)) order by script"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_draft).collect()
    }
}

fn read_draft(row: &AnyRow) -> Result<Draft, StoreError> {
    let row = Columns(row);
    Ok(Draft {
        id: row.text("id")?,
        script: row.text("script")?,
        note: row.text("note")?,
        files: row.json("files")?,
        hash: row.text("hash")?,
        based_on: row.text("based_on")?,
        state: row.word("state")?,
        edited_by: row.json("edited_by")?,
        changed_at: row.time("changed_at_ms")?,
        submitted_by: row.text_or_null("submitted_by")?,
        submitted_at: row.time_or_null("submitted_at_ms")?,
        signature: row.json_or_null("signature")?,
        signed_by: row.text_or_null("signed_by")?,
        signed_role: row.word_or_null("signed_role")?,
        signed_at: row.time_or_null("signed_at_ms")?,
        revision: row.int("revision")?,
    })
}
