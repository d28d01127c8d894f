//! A hospital's own headings and words for our columns, as an admin writes them in TOML.
//!
//! ```toml
//! version = 1
//! [columns]            # the file's heading = our column; other headings are not read
//! "病案号" = "hospital_number"
//! [fixed]              # what the file does not say
//! language = "zh"
//! [words.consent]      # the file's word = ours
//! "已签" = "written"
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::Column;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    pub version: u32,
    #[serde(default)]
    pub columns: BTreeMap<String, Column>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed: BTreeMap<Column, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<Column, BTreeMap<String, String>>,
}

/// Why a mapping was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The reader's words name line and column.
    #[error("the mapping cannot be read: {0}")]
    Syntax(String),
    #[error("the mapping has version {0}; write version = 1")]
    Version(u32),
    #[error("column {} is fed by two headings", name(*.0))]
    Twice(Column),
    #[error("column {} is both in the file and fixed", name(*.0))]
    Fixed(Column),
}

fn name(column: Column) -> &'static str {
    column.name()
}

impl Mapping {
    /// Reads a mapping and proves that each column has one source.
    ///
    /// # Errors
    /// As [`MappingError`].
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        let mapping: Self =
            toml::from_str(text).map_err(|error| MappingError::Syntax(error.to_string()))?;
        if mapping.version != 1 {
            return Err(MappingError::Version(mapping.version));
        }
        for column in Column::ALL {
            let headings = mapping.columns.values().filter(|found| **found == column);
            match headings.count() {
                0 => {}
                1 if mapping.fixed.contains_key(&column) => {
                    return Err(MappingError::Fixed(column));
                }
                1 => {}
                _ => return Err(MappingError::Twice(column)),
            }
        }
        Ok(mapping)
    }

    /// Which column a heading is.
    pub fn column(&self, heading: &str) -> Option<Column> {
        let wanted = plain(heading);
        let found = self
            .columns
            .iter()
            .find(|(known, _)| plain(known) == wanted);
        found.map(|(_, column)| *column)
    }
}

/// A mapping of the headings that are known words for a column, for an admin to mend and save.
pub fn suggest(headings: &[&str]) -> Mapping {
    let mut mapping = Mapping {
        version: 1,
        ..Mapping::default()
    };
    for heading in headings.iter().map(|heading| heading.trim()) {
        let Some(column) = column_of(heading) else {
            continue;
        };
        if !mapping.columns.values().any(|taken| *taken == column) {
            mapping.columns.insert(heading.to_owned(), column);
        }
    }
    mapping
}

/// Without case, spaces and signs: `Patient Name`, `patient_name` and `患者 姓名：` of an export are one heading.
pub(super) fn plain(heading: &str) -> String {
    heading
        .nfkc()
        .filter(|c| c.is_alphanumeric())
        .collect::<String>()
        .to_lowercase()
}

/// The column that a heading commonly means.
pub(super) fn column_of(heading: &str) -> Option<Column> {
    let wanted = plain(heading);
    let known = |(column, words): &(Column, &[&str])| {
        (plain(column.name()) == wanted || words.contains(&wanted.as_str())).then_some(*column)
    };
    COMMON.iter().find_map(known)
}

/// Headings of hospitals' exports, as [`plain`] leaves them.
const COMMON: [(Column, &[&str]); 23] = [
    (
        Column::HospitalNumber,
        &[
            "病案号",
            "病历号",
            "患者编号",
            "患者id",
            "病人id",
            "登记号",
            "住院病历号",
            "mrn",
            "patientid",
            "patientnumber",
            "medicalrecordnumber",
            "recordnumber",
        ],
    ),
    (
        Column::Name,
        &["姓名", "患者姓名", "病人姓名", "patientname", "fullname"],
    ),
    (
        Column::BirthDate,
        &[
            "出生日期",
            "出生年月日",
            "生日",
            "dob",
            "dateofbirth",
            "birthday",
        ],
    ),
    (
        Column::Phone,
        &[
            "电话",
            "手机",
            "手机号",
            "手机号码",
            "联系电话",
            "电话号码",
            "患者电话",
            "本人电话",
            "phonenumber",
            "mobile",
            "mobilephone",
            "telephone",
            "tel",
            "cell",
            "homephone",
        ],
    ),
    (
        Column::Language,
        &["语言", "语种", "lang", "preferredlanguage"],
    ),
    (Column::Dialect, &["方言"]),
    (Column::Hearing, &["听力"]),
    (Column::Zone, &["时区", "timezone", "tz"]),
    (
        Column::Pathway,
        &[
            "随访路径",
            "随访方案",
            "路径",
            "随访模板",
            "carepathway",
            "followuppathway",
        ],
    ),
    (
        Column::Department,
        &[
            "科室",
            "出院科室",
            "科别",
            "dept",
            "dischargedepartment",
            "service",
        ],
    ),
    (
        Column::Ward,
        &["病区", "病房", "出院病区", "unit", "nursingunit"],
    ),
    (
        Column::Discharged,
        &[
            "出院日期",
            "出院时间",
            "离院时间",
            "dischargedate",
            "dischargetime",
            "dischargedatetime",
            "dischargedon",
        ],
    ),
    (
        Column::Encounter,
        &[
            "住院号",
            "就诊号",
            "住院流水号",
            "就诊流水号",
            "住院次号",
            "encounterid",
            "encounternumber",
            "visitnumber",
            "visitid",
            "admissionnumber",
            "fin",
        ],
    ),
    (
        Column::Life,
        &["生存状态", "是否死亡", "存活状态", "vitalstatus"],
    ),
    (
        Column::Admission,
        &["在院状态", "住院状态", "admissionstatus"],
    ),
    (
        Column::Consent,
        &[
            "随访同意",
            "同意随访",
            "知情同意",
            "consentbasis",
            "callconsent",
        ],
    ),
    (
        Column::ConsentText,
        &[
            "同意书版本",
            "知情同意书版本",
            "consentversion",
            "consentform",
        ],
    ),
    (Column::RecordingConsent, &["录音同意", "同意录音"]),
    (
        Column::KnowsDiagnosis,
        &["知晓诊断", "是否知情", "患者知情"],
    ),
    (Column::HighRisk, &["高危", "高风险", "是否高危"]),
    (
        Column::Contacts,
        &["联系人", "家属", "nextofkin", "emergencycontacts"],
    ),
    (
        Column::Diagnoses,
        &[
            "诊断编码",
            "出院诊断编码",
            "主要诊断编码",
            "icd",
            "icd10",
            "icd编码",
            "疾病编码",
            "diagnosiscode",
            "diagnosiscodes",
            "diagnosis",
        ],
    ),
    (
        Column::Risk,
        &[
            "风险等级",
            "危险分层",
            "风险分层",
            "风险",
            "risktier",
            "risklevel",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::{Mapping, MappingError, suggest};
    use crate::import::Column;

    #[test]
    fn common_headings_are_recognised_in_both_languages() {
        let mapping = suggest(&[
            "病案号",
            " 患者姓名：",
            "Date of Birth",
            "联系电话",
            "性别",
            "Discharge_Date",
            "住院号",
        ]);
        let found: Vec<Column> = mapping.columns.values().copied().collect();
        for column in [
            Column::HospitalNumber,
            Column::Name,
            Column::BirthDate,
            Column::Phone,
            Column::Discharged,
            Column::Encounter,
        ] {
            assert!(found.contains(&column), "{column:?}");
        }
        assert_eq!(found.len(), 6, "sex is no column of ours");
        let text = toml::to_string(&mapping).expect("TOML");
        assert_eq!(Mapping::parse(&text), Ok(mapping));
    }

    #[test]
    fn every_column_is_suggested_for_its_own_name() {
        for column in Column::ALL {
            let mapping = suggest(&[column.name()]);
            assert_eq!(
                mapping.columns.values().copied().collect::<Vec<_>>(),
                [column]
            );
        }
    }

    #[test]
    fn a_broken_mapping_says_where() {
        let refused = Mapping::parse("version = 1\n[columns]\n\"姓名\" = \"nmae\"\n")
            .expect_err("no such column");
        let MappingError::Syntax(words) = &refused else {
            panic!("{refused}");
        };
        assert!(words.contains("line 3"), "{words}");
        let twice = "version = 1\n[columns]\na = \"name\"\nb = \"name\"\n";
        assert_eq!(
            Mapping::parse(twice),
            Err(MappingError::Twice(Column::Name))
        );
        let fixed = "version = 1\n[columns]\na = \"name\"\n[fixed]\nname = \"x\"\n";
        assert_eq!(
            Mapping::parse(fixed),
            Err(MappingError::Fixed(Column::Name))
        );
        assert_eq!(
            Mapping::parse("version = 2\n"),
            Err(MappingError::Version(2))
        );
    }
}
