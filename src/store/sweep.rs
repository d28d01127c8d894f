//! What earlier versions left open is sealed once, when a newer one opens the database: some rows a transaction, each as
//! it stands only, so that a pass that was broken off goes on and two at once do no harm. Names are given what they are
//! looked up by (`find.rs`).
//!
//! PostgreSQL keeps the old versions of rows until it vacuums; the tables are written anew at the end.

use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use tracing::info;

use super::key;
use super::row::Columns;
use super::sealed::{MARK, Seal};
use super::site::{INDEX_MARK, Indexed, Site};
use super::{Backend, Store, StoreError};
use crate::vault::Class;

/// Rows a transaction.
const AT_ONCE: i64 = 500;
/// Whose key seals a row, and of which class.
const OF_PATIENT: (&str, Class) = ("patient_id", Class::Identity);
const OF_SITE: (&str, Class) = ("'site'", Class::Identity);
const OF_ATTEMPT: (&str, Class) = ("coalesce(sealed_by, patient_id, id)", Class::Record);
const OF_CALL: (&str, Class) = (
    "(select coalesce(a.sealed_by, a.patient_id, a.id) from attempt a where a.id = attempt_id)",
    Class::Record,
);
/// A message is of whom its number names.
const OF_MESSAGE: (&str, Class) = (
    "coalesce((select min(p.id) from patient p where p.number_index = feed_message.number_index), 'site')",
    Class::Identity,
);

/// A column that lay open.
struct Open {
    table: &'static str,
    /// What names a row, as the place of its seal does; and the column by which it is found.
    id: &'static str,
    row: &'static str,
    /// Whose key seals it.
    owner: &'static str,
    class: Class,
    /// Where the text stands that lay open.
    from: &'static str,
    /// Where it is sealed.
    to: &'static str,
    /// Before the row's id in the place of the seal.
    place: &'static str,
    /// What stays in `from`, where it is sealed elsewhere.
    leaves: Leaves,
}

#[derive(Clone, Copy)]
enum Leaves {
    /// The text was sealed where it stood.
    Nothing,
    /// And it is kept whose key sealed it.
    Owner,
    Index(Indexed),
    /// The year of a date.
    Year,
}

/// A number that stands in several rows, which are known by it.
struct Key {
    table: &'static str,
    index: &'static str,
    what: Indexed,
    /// Where it is sealed under the hospital's key, and for which place.
    sealed: Option<(&'static str, &'static str)>,
}

const NUMBERS: [Key; 6] = [
    Key {
        table: "feed_message",
        index: "digest",
        what: Indexed::Message,
        sealed: None,
    },
    Key {
        table: "merged_number",
        index: "number_index",
        what: Indexed::Number,
        sealed: None,
    },
    Key {
        table: "feed_message",
        index: "number_index",
        what: Indexed::Number,
        sealed: None,
    },
    Key {
        table: "feed_visit",
        index: "number_index",
        what: Indexed::Number,
        sealed: None,
    },
    Key {
        table: "feed_visit",
        index: "encounter_index",
        what: Indexed::Encounter,
        sealed: Some(("encounter", "visit")),
    },
    Key {
        table: "do_not_call",
        index: "phone_index",
        what: Indexed::Phone,
        sealed: Some(("phone", "do_not_call/phone")),
    },
];

const fn of_patient(from: &'static str, to: &'static str, leaves: Leaves) -> Open {
    Open {
        table: "patient",
        id: "id",
        row: "id",
        owner: "id",
        class: Class::Identity,
        from,
        to,
        place: to,
        leaves,
    }
}

const COLUMNS: [Open; 16] = [
    of_patient("number_index", "number", Leaves::Index(Indexed::Number)),
    of_patient("birth_year", "birth_date", Leaves::Year),
    of_patient("phone_index", "phone", Leaves::Index(Indexed::Phone)),
    Open {
        table: "contact",
        id: "patient_id || '/' || position",
        row: "patient_id",
        owner: "patient_id",
        class: Class::Identity,
        from: "phone_index",
        to: "phone",
        place: "phone",
        leaves: Leaves::Index(Indexed::Phone),
    },
    Open {
        table: "episode",
        id: "id",
        row: "id",
        owner: "coalesce(sealed_by, patient_id)",
        class: Class::Identity,
        from: "encounter_index",
        to: "encounter",
        place: "encounter",
        leaves: Leaves::Index(Indexed::Encounter),
    },
    Open {
        table: "attempt",
        id: "id",
        row: "id",
        owner: "coalesce(sealed_by, patient_id, id)",
        class: Class::Record,
        from: "phone_index",
        to: "phone",
        place: "phone",
        leaves: Leaves::Index(Indexed::Phone),
    },
    in_place("attempt", ("id", "id"), ("dialog", "dialog"), OF_ATTEMPT),
    in_place(
        "review",
        ("attempt_id || '/' || reviewer", "attempt_id"),
        ("body", "review"),
        OF_CALL,
    ),
    in_place(
        "audit_item",
        ("id", "id"),
        ("note", "audit_item/note"),
        OF_CALL,
    ),
    in_place(
        "patient_message",
        ("id", "id"),
        ("phone", "message/phone"),
        OF_PATIENT,
    ),
    in_place(
        "patient_message",
        ("id", "id"),
        ("reason", "message/reason"),
        OF_PATIENT,
    ),
    in_place(
        "legal_hold",
        ("id", "id"),
        ("reason", "legal_hold"),
        OF_PATIENT,
    ),
    in_place(
        "do_not_call",
        ("phone_index", "phone_index"),
        ("why", "do_not_call/why"),
        OF_SITE,
    ),
    in_place("staff", ("id", "id"), ("totp", "totp"), OF_SITE),
    in_place("staff", ("id", "id"), ("totp_pending", "totp"), OF_SITE),
    Open {
        leaves: Leaves::Owner,
        ..in_place(
            "feed_message",
            ("id", "id"),
            ("content", "content"),
            OF_MESSAGE,
        )
    },
];

const fn in_place(
    table: &'static str,
    (id, row): (&'static str, &'static str),
    (column, place): (&'static str, &'static str),
    (owner, class): (&'static str, Class),
) -> Open {
    Open {
        table,
        id,
        row,
        owner,
        class,
        from: column,
        to: column,
        place,
        leaves: Leaves::Nothing,
    }
}

/// A stay without a number is found by none.
fn index_of(site: &Site, what: Indexed, plain: &str) -> String {
    match what {
        Indexed::Encounter => site.encounter(plain),
        Indexed::Phone | Indexed::Number | Indexed::Name | Indexed::Message => {
            site.index(what, plain)
        }
    }
}

impl Store {
    /// Seals what lies open, where that was not done before.
    ///
    /// # Errors
    /// When the database refuses, or there is something to seal and no master key.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let row = sqlx::query("select swept from vault where id = 1")
            .fetch_one(&self.pool)
            .await?;
        if Columns(&row).flag("swept")? {
            return Ok(());
        }
        let mut sealed = 0;
        for number in &NUMBERS {
            sealed += self.sweep_number(number).await?;
        }
        for column in &COLUMNS {
            sealed += self.sweep_column(column).await?;
        }
        self.index_names(AT_ONCE).await?;
        sqlx::query("update vault set swept = 1 where id = 1")
            .execute(&self.pool)
            .await?;
        if sealed > 0 {
            self.forget_old_rows().await?;
            info!(sealed, "what an earlier version left open is sealed");
        }
        Ok(())
    }

    /// Seals one column, some rows a transaction. Rows whose key was destroyed hold nothing any more.
    async fn sweep_column(&self, column: &Open) -> Result<u64, StoreError> {
        let Open {
            table,
            id,
            row,
            owner,
            from,
            to,
            ..
        } = column;
        let lies_open = match column.leaves {
            Leaves::Nothing | Leaves::Owner => {
                format!("{from} is not null and {from} <> '' and substr({from}, 1, 3) <> '{MARK}'")
            }
            Leaves::Index(_) | Leaves::Year => {
                format!("{to} is null and {from} is not null and {from} not like 'erased/%'")
            }
        };
        let select = format!(
            "select {id} as id, {row} as row_id, {owner} as owner, {from} as plain from {table} where {id} > $1 and {lies_open} order by 1 limit $2"
        );
        let (mut after, mut sealed) = (String::new(), 0);
        loop {
            let mut tx = self.begin().await?;
            let rows = sqlx::query(AssertSqlSafe(select.clone()))
                .bind(&after)
                .bind(AT_ONCE)
                .fetch_all(&mut *tx)
                .await?;
            for row in &rows {
                let row = Columns(row);
                after = row.text("id")?;
                sealed += self.seal_row(&mut tx, column, &row, &after).await?;
            }
            tx.commit().await?;
            if rows.is_empty() {
                return Ok(sealed);
            }
            info!(table, column = to, sealed, "sealing what lies open");
        }
    }

    async fn seal_row(
        &self,
        connection: &mut AnyConnection,
        column: &Open,
        row: &Columns<'_>,
        id: &str,
    ) -> Result<u64, StoreError> {
        let Open {
            table, from, to, ..
        } = column;
        let (owner, plain) = (row.text("owner")?, row.text("plain")?);
        let sealed = match key::key(connection, &self.keys, &owner, column.class).await {
            Err(StoreError::Destroyed { .. }) => None,
            key => Some(Seal::by(key?).text(&format!("{}/{id}", column.place), &plain)?),
        };
        let (stays, value) = match column.leaves {
            Leaves::Nothing | Leaves::Owner if sealed.is_none() => return Ok(0),
            Leaves::Nothing => (column.row, row.text("row_id")?),
            Leaves::Owner => ("sealed_by", owner),
            Leaves::Index(_) if sealed.is_none() => (*from, format!("erased/{id}")),
            Leaves::Index(what) => {
                let site = Site::of(connection, &self.keys).await?;
                (*from, index_of(&site, what, &plain))
            }
            Leaves::Year => (*from, plain.chars().take(4).collect()),
        };
        let sql = format!(
            "update {table} set {to} = $2, {stays} = $3 where {} = $4 and {} = $1 and {from} = $5",
            column.row, column.id
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .bind(sealed)
            .bind(value)
            .bind(row.text("row_id")?)
            .bind(plain)
            .execute(connection)
            .await?;
        Ok(done.rows_affected())
    }

    /// Replaces numbers by their hashes, wherever they stand.
    async fn sweep_number(&self, key: &Key) -> Result<u64, StoreError> {
        let Key { table, index, .. } = key;
        let select = format!(
            "select distinct {index} as plain from {table} where {index} <> '' and substr({index}, 1, 1) <> '{INDEX_MARK}' limit $1"
        );
        let mut sealed = 0;
        loop {
            let mut tx = self.begin().await?;
            let rows = sqlx::query(AssertSqlSafe(select.clone()))
                .bind(AT_ONCE)
                .fetch_all(&mut *tx)
                .await?;
            if rows.is_empty() {
                return Ok(sealed);
            }
            let site = Site::of(&mut tx, &self.keys).await?;
            for row in &rows {
                let plain: String = row.try_get("plain")?;
                let hash = site.index(key.what, &plain);
                let beside = match key.sealed {
                    Some((column, _)) => format!(", {column} = $3"),
                    None => String::new(),
                };
                let sql = format!("update {table} set {index} = $2{beside} where {index} = $1");
                let query = sqlx::query(AssertSqlSafe(sql)).bind(&plain).bind(&hash);
                let query = match key.sealed {
                    Some((_, place)) => {
                        query.bind(site.seal().text(&format!("{place}/{hash}"), &plain)?)
                    }
                    None => query,
                };
                sealed += query.execute(&mut *tx).await?.rows_affected();
            }
            tx.commit().await?;
            info!(table, column = index, sealed, "sealing what lies open");
        }
    }

    /// Sees that what lay open is gone from the files too.
    async fn forget_old_rows(&self) -> Result<(), StoreError> {
        if self.backend == Backend::Postgres {
            let tables = COLUMNS.iter().map(|column| column.table);
            let mut tables: Vec<&str> = tables.chain(NUMBERS.iter().map(|key| key.table)).collect();
            tables.sort_unstable();
            tables.dedup();
            for table in tables {
                let sql = format!("vacuum full {table}");
                sqlx::query(AssertSqlSafe(sql)).execute(&self.pool).await?;
            }
        }
        self.scrub().await
    }
}
