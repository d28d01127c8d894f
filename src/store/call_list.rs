//! The list of calls that QA looks through: newest first, narrowed by what is asked for, with what was found and said.

use std::collections::BTreeMap;

use aftercall_core::attempt::Disposition;
use aftercall_core::id::{ConceptId, PatientId};
use aftercall_core::phi::Phi;
use aftercall_core::staff::Wards;
use aftercall_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use super::attempt::{ATTEMPT, AttemptRow};
use super::conditions::Conditions;
use super::page::{Page, PageRequest};
use super::row::{Columns, word};
use super::{Store, StoreError, ms};

/// Which calls; what is left out narrows nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallFilter {
    /// The hospital's number of a patient, or how the name begins.
    pub patient: Option<Phi<String>>,
    pub since: Option<Timestamp>,
    /// Not included.
    pub until: Option<Timestamp>,
    pub disposition: Option<Disposition>,
    pub script: Option<String>,
    pub ward: Option<String>,
    /// Heard in the call and not as absent.
    pub concept: Option<ConceptId>,
    /// Only calls that were answered.
    pub answered: bool,
    /// Only calls that have not ended.
    pub live: bool,
    pub reviews: Option<ReviewState>,
}

/// How far a call is reviewed, for who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewState {
    /// By nobody.
    None,
    /// By one other: the second review is due.
    Second,
    /// By who asks.
    Mine,
    /// By two or more.
    Twice,
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct CallLine {
    pub row: AttemptRow,
    pub ward: Option<String>,
    /// What was heard and not as absent, each once.
    pub found: Vec<ConceptId>,
    pub reviews: u32,
    /// Who asks has reviewed it.
    pub mine: bool,
}

impl CallFilter {
    /// `patients` are those that the filter names.
    fn conditions(&self, by: &str, wards: &Wards, patients: &[PatientId]) -> Conditions {
        let mut conditions = Conditions::from(6);
        if self.patient.is_some() {
            let ids = patients.iter().map(|patient| patient.0.clone());
            conditions.among("patient_id", ids);
        }
        conditions.add("disposition = ?", self.disposition.as_ref().map(word));
        conditions.add("script = ?", self.script.clone());
        conditions.add(
            "episode_id in (select e.id from episode e where e.ward = ?)",
            self.ward.clone(),
        );
        conditions.add(
            "id in (select f.attempt_id from finding f where f.concept = ? and f.polarity <> 'absent')",
            self.concept.as_ref().map(|concept| concept.0.clone()),
        );
        if self.answered {
            conditions.plain("answered_at_ms is not null");
        }
        if self.live {
            conditions.plain("state <> 'ended'");
        }
        let reviewed =
            "id in (select r.attempt_id from review r group by r.attempt_id having count(*)";
        match self.reviews {
            None => {}
            Some(ReviewState::None) => conditions
                .plain("not exists (select 1 from review r where r.attempt_id = attempt.id)"),
            Some(ReviewState::Twice) => conditions.plain(&format!("{reviewed} > 1)")),
            Some(ReviewState::Mine) => conditions.add(
                "id in (select r.attempt_id from review r where r.reviewer = ?)",
                Some(by.to_owned()),
            ),
            Some(ReviewState::Second) => conditions.add(
                &format!("{reviewed} = 1 and max(r.reviewer) <> ?)"),
                Some(by.to_owned()),
            ),
        }
        conditions.seen(wards, "attempt.patient_id");
        conditions
    }
}

impl Store {
    /// Calls that `by` may see and asks for, newest first.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn call_list(
        &self,
        filter: &CallFilter,
        by: &str,
        wards: &Wards,
        page: &PageRequest,
    ) -> Result<Page<CallLine>, StoreError> {
        let ([before_ms], before_id) = page.keys::<1>()?.unwrap_or(([i64::MAX], "~"));
        let patients = match &filter.patient {
            Some(text) => self.find_patients(text.expose(), wards).await?,
            None => Vec::new(),
        };
        let patients: Vec<PatientId> = patients.into_iter().map(|(one, _)| one.id).collect();
        let conditions = filter.conditions(by, wards, &patients);
        let sql = format!(
            "{ATTEMPT} where (started_at_ms < $1 or (started_at_ms = $1 and id < $2)) and started_at_ms >= $3 \
             and started_at_ms < $4{} order by started_at_ms desc, id desc limit $5",
            conditions.sql()
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(before_ms)
            .bind(before_id)
            .bind(filter.since.map_or(i64::MIN, ms))
            .bind(filter.until.map_or(i64::MAX, ms))
            .bind(page.fetch());
        let rows = conditions.bind(query).fetch_all(&self.pool).await?;
        let attempts = self.read_attempts(&rows).await?;
        let cut = page.cut(attempts, |row| {
            (vec![ms(row.attempt.started_at)], row.attempt.id.0.clone())
        });
        let ids: Vec<String> = cut
            .items
            .iter()
            .map(|row| row.attempt.id.0.clone())
            .collect();
        let beside = self.beside(&ids, by).await?;
        let line = |row: AttemptRow| {
            let beside = beside.get(&row.attempt.id.0).cloned().unwrap_or_default();
            CallLine {
                row,
                ward: beside.ward,
                found: beside.found,
                reviews: beside.reviews,
                mine: beside.mine,
            }
        };
        Ok(Page {
            items: cut.items.into_iter().map(line).collect(),
            next: cut.next,
        })
    }

    /// What a page's calls have in other tables.
    async fn beside(
        &self,
        ids: &[String],
        by: &str,
    ) -> Result<BTreeMap<String, Beside>, StoreError> {
        let mut beside: BTreeMap<String, Beside> = BTreeMap::new();
        for row in self
            .of_calls(
                "select a.id as call, e.ward as value from attempt a join episode e on e.id = a.episode_id where a.id in",
                "order by a.id",
                ids,
            )
            .await?
        {
            let (call, ward) = pair(&row)?;
            beside.entry(call).or_default().ward = Some(ward);
        }
        for row in self
            .of_calls(
                "select f.attempt_id as call, f.concept as value from finding f where f.polarity <> 'absent' \
                 and f.attempt_id in",
                "order by f.attempt_id, f.position",
                ids,
            )
            .await?
        {
            let (call, concept) = pair(&row)?;
            let found = &mut beside.entry(call).or_default().found;
            if !found.iter().any(|one| one.0 == concept) {
                found.push(ConceptId(concept));
            }
        }
        for row in self
            .of_calls(
                "select r.attempt_id as call, r.reviewer as value from review r where r.attempt_id in",
                "order by r.attempt_id",
                ids,
            )
            .await?
        {
            let (call, reviewer) = pair(&row)?;
            let entry = beside.entry(call).or_default();
            entry.reviews += 1;
            entry.mine |= reviewer == by;
        }
        Ok(beside)
    }

    async fn of_calls(
        &self,
        select: &'static str,
        order: &'static str,
        ids: &[String],
    ) -> Result<Vec<AnyRow>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<String> = (1..=ids.len()).map(|at| format!("${at}")).collect();
        let sql = format!("{select} ({}) {order}", places.join(", "));
        let query = sqlx::query(sqlx::AssertSqlSafe(sql));
        let query = ids.iter().fold(query, |query, id| query.bind(id));
        Ok(query.fetch_all(&self.pool).await?)
    }
}

#[derive(Clone, Default)]
struct Beside {
    ward: Option<String>,
    found: Vec<ConceptId>,
    reviews: u32,
    mine: bool,
}

fn pair(row: &AnyRow) -> Result<(String, String), StoreError> {
    let row = Columns(row);
    Ok((row.text("call")?, row.text("value")?))
}
