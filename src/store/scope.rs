//! Wards: which records a caller of some wards sees.

use aftercall_core::staff::Wards;
use sqlx::any::AnyRow;

use super::row::Columns;
use super::{Store, StoreError};

impl Store {
    /// The wards of a patient's stays; `None` where there is none, so that nobody loses sight of the record.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn wards_of_patient(&self, id: &str) -> Result<Option<Vec<String>>, StoreError> {
        self.wards(
            "select distinct ward from episode where patient_id = $1",
            id,
        )
        .await
    }

    /// The wards of the patient of a stay: as [`Store::wards_of_patient`].
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn wards_of_episode(&self, id: &str) -> Result<Option<Vec<String>>, StoreError> {
        self.wards(
            "select distinct e.ward from episode x join episode e on e.patient_id = x.patient_id where x.id = $1",
            id,
        )
        .await
    }

    /// The wards of the patient of a call.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn wards_of_attempt(&self, id: &str) -> Result<Option<Vec<String>>, StoreError> {
        self.wards(
            "select distinct e.ward from attempt x join episode e on e.patient_id = x.patient_id where x.id = $1",
            id,
        )
        .await
    }

    /// The wards of the patient of a work order; one of nobody known belongs to everybody.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn wards_of_order(&self, id: &str) -> Result<Option<Vec<String>>, StoreError> {
        self.wards(
            "select distinct e.ward from work_order x join episode e on e.patient_id = x.patient_id where x.id = $1",
            id,
        )
        .await
    }

    /// The wards of the patient of an item of the audit sample.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn wards_of_audit_item(&self, id: &str) -> Result<Option<Vec<String>>, StoreError> {
        self.wards(
            "select distinct e.ward from audit_item x join attempt a on a.id = x.attempt_id \
             join episode e on e.patient_id = a.patient_id where x.id = $1",
            id,
        )
        .await
    }

    /// The wards of the patient of a message.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn wards_of_message(&self, id: &str) -> Result<Option<Vec<String>>, StoreError> {
        self.wards(
            "select distinct e.ward from patient_message x join episode e on e.patient_id = x.patient_id where x.id = $1",
            id,
        )
        .await
    }

    async fn wards(&self, sql: &'static str, id: &str) -> Result<Option<Vec<String>>, StoreError> {
        let rows = sqlx::query(sql).bind(id).fetch_all(&self.pool).await?;
        let ward = |row: &AnyRow| Columns(row).text("ward");
        let wards = rows.iter().map(ward).collect::<Result<Vec<_>, _>>()?;
        Ok((!wards.is_empty()).then_some(wards))
    }
}

/// The condition that `patient`, a column, is of the wards that `wards` names, and what its places from `$first` on
/// are bound to. As for one record: a patient without a stay, and no patient, is seen by all.
pub(super) fn seen<'a>(wards: &'a Wards, patient: &str, first: usize) -> (String, &'a [String]) {
    let Some(names) = wards.names() else {
        return (String::new(), &[]);
    };
    let places: Vec<String> = (first..first + names.len())
        .map(|at| format!("${at}"))
        .collect();
    let among = if places.is_empty() {
        "1 = 0".to_owned()
    } else {
        format!("s.ward in ({})", places.join(", "))
    };
    let sql = format!(
        " and (not exists (select 1 from episode s where s.patient_id = {patient}) \
         or exists (select 1 from episode s where s.patient_id = {patient} and {among}))"
    );
    (sql, names)
}
