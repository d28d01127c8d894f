//! Finding patients by number or name, though both lie sealed.
//!
//! A number is found by its hash. Of a name only a hash of how it begins is kept (two letters, Mandarin by its pinyin; of several
//! words the last one's too), so that few names need be opened, and the hashes tell no more than how common initials are.

use aftercall_core::id::PatientId;
use aftercall_core::patient::Patient;
use aftercall_core::pinyin;
use aftercall_core::staff::Wards;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::key::Keys;
use super::patient::{name_of, patient};
use super::row::Columns;
use super::scope::seen;
use super::sealed::{KEY, Seal, key_of};
use super::site::{Indexed, Site};
use super::{Store, StoreError};
use crate::vault::Class;

/// At most so many are found.
const MOST: usize = 50;
/// Letters of a name's beginning that are hashed.
const LETTERS: usize = 2;

impl Store {
    /// The patient whose number is `text`; where it is nobody's, those whose name begins with it, or its last word (Eleanor
    /// Whitfield), or its pinyin without tones. At most 50 by name, each with the wards of her stays. A single Latin letter
    /// is looked for in every name, some microseconds a patient.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn find_patients(
        &self,
        text: &str,
        wards: &Wards,
    ) -> Result<Vec<(Patient, Vec<String>)>, StoreError> {
        let site = self.site().await?;
        let number = site.index(Indexed::Number, text);
        let mut connection = self.pool.acquire().await?;
        let mut ids = with_number(&mut connection, &number, wards).await?;
        if ids.is_empty() {
            ids = with_name(&mut connection, (&self.keys, &site), text.trim(), wards).await?;
        }
        let mut found = Vec::new();
        for id in ids.into_iter().take(MOST) {
            found.push((patient(&mut connection, &self.keys, &id).await?, Vec::new()));
        }
        drop(connection);
        for (patient, wards) in &mut found {
            *wards = self
                .wards_of_patient(&patient.id.0)
                .await?
                .unwrap_or_default();
        }
        Ok(found)
    }

    /// Gives names of earlier versions their hashes, some rows a transaction.
    pub(super) async fn index_names(&self, at_once: i64) -> Result<(), StoreError> {
        let select = format!(
            "select p.id, p.name, {KEY} from patient p {} \
             where p.id > $1 and p.name_index is null and p.name <> '' order by p.id limit $2",
            key_of("p.id")
        );
        let mut after = String::new();
        loop {
            let mut tx = self.begin().await?;
            let rows = sqlx::query(AssertSqlSafe(select.clone()))
                .bind(&after)
                .bind(at_once)
                .fetch_all(&mut *tx)
                .await?;
            if rows.is_empty() {
                return Ok(());
            }
            let site = Site::of(&mut tx, &self.keys).await?;
            for row in &rows {
                let seal = Seal::of_row(&mut tx, &self.keys, row, Class::Identity).await?;
                let row = Columns(row);
                after = row.text("id")?;
                let name = seal.open(&row, "name", &name_of(&PatientId(after.clone())))?;
                let begins = Begins::of(&name, &site);
                sqlx::query(
                    "update patient set name_index = $2, family_index = $3 where id = $1 and name = $4",
                )
                .bind(&after)
                .bind(begins.name)
                .bind(begins.family)
                .bind(row.text("name")?)
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await?;
        }
    }
}

/// What a name is found by.
pub(super) struct Begins {
    pub(super) name: String,
    pub(super) family: Option<String>,
}

impl Begins {
    pub(super) fn of(name: &str, site: &Site) -> Self {
        let name = folded(name);
        let hash = |word: &str| site.index(Indexed::Name, &beginning(word));
        Self {
            name: hash(&name),
            family: last_word(&name).map(hash),
        }
    }
}

/// `lü` is typed `lv`.
fn folded(text: &str) -> String {
    text.trim().to_lowercase().replace('ü', "v")
}

/// Characters that are read otherwise as surnames.
const SURNAMES: [(char, &str); 12] = [
    ('曾', "zeng"),
    ('单', "shan"),
    ('解', "xie"),
    ('仇', "qiu"),
    ('覃', "qin"),
    ('查', "zha"),
    ('区', "ou"),
    ('盖', "ge"),
    ('朴', "piao"),
    ('尉', "wei"),
    ('乐', "yue"),
    ('缪', "miao"),
];

/// A character of Mandarin without its tone, as it is read at the beginning of a name or further on.
fn syllable(written: char, is_first: bool) -> Option<String> {
    let surname = SURNAMES.iter().find(|(c, _)| is_first && *c == written);
    match surname {
        Some((_, read)) => Some((*read).to_owned()),
        None => pinyin::reading(written).map(|reading| folded(reading.plain)),
    }
}

/// Of a folded name of several words.
fn last_word(name: &str) -> Option<&str> {
    let mut words = name.split([' ', ',']).filter(|word| !word.is_empty());
    words.next()?;
    words.next_back()
}

/// The first letters of a folded word. Readings of `pinyin` are on disk in this form: should they change, `vault.swept` and
/// the hashes must be put back.
fn beginning(word: &str) -> String {
    let first = word.chars().next();
    let read = first.and_then(|first| syllable(first, true));
    let letters = read.as_deref().unwrap_or(word);
    letters.chars().take(LETTERS).collect()
}

/// What folded words may begin with to be found; `None` where that is anything.
fn beginnings(asked: &str) -> Option<Vec<String>> {
    let begins = beginning(asked);
    let is_han = asked.chars().next().and_then(pinyin::reading).is_some();
    if is_han {
        return Some(vec![begins]);
    }
    // 鄂 is written with one letter, and 鄂尔 then begins with two.
    let one: String = begins.chars().take(1).collect();
    (begins.chars().count() == LETTERS).then(|| vec![begins, one])
}

/// Whether a folded name is one that was asked for.
fn fits(name: &str, asked: &str) -> bool {
    let spoken = || {
        let letters: String = asked.chars().filter(|c| c.is_alphanumeric()).collect();
        let read: String = name
            .char_indices()
            .filter_map(|(at, written)| syllable(written, at == 0))
            .collect();
        !letters.is_empty() && read.starts_with(&letters)
    };
    name.starts_with(asked)
        || last_word(name).is_some_and(|word| word.starts_with(asked))
        || spoken()
}

/// Who of these wards has a number with this hash, at whatever hospital.
async fn with_number(
    connection: &mut AnyConnection,
    number: &str,
    wards: &Wards,
) -> Result<Vec<PatientId>, StoreError> {
    let (seen, names) = seen(wards, "p.id", 2);
    // The index on numbers begins with the hospital: it is asked once for each there is.
    let sql = format!(
        "with recursive house (id) as (select min(hospital) from patient union all \
         select (select min(hospital) from patient where hospital > house.id) from house where house.id is not null) \
         select p.id from house join patient p on p.hospital = house.id and p.number_index = $1 \
         where not exists (select 1 from erasure x where x.patient_id = p.id){seen} order by p.id"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(number);
    let rows = names
        .iter()
        .fold(query, |query, name| query.bind(name))
        .fetch_all(connection)
        .await?;
    let id = |row| Columns(row).text("id").map(PatientId);
    rows.iter().map(id).collect()
}

/// Whose name of these wards was asked for, by name: those that begin alike are opened.
async fn with_name(
    connection: &mut AnyConnection,
    (keys, site): (&Keys, &Site),
    asked: &str,
    wards: &Wards,
) -> Result<Vec<PatientId>, StoreError> {
    let asked = folded(asked);
    let hashes: Vec<String> = beginnings(&asked)
        .unwrap_or_default()
        .iter()
        .map(|begins| site.index(Indexed::Name, begins))
        .collect();
    let alike = match hashes.len() {
        0 => String::new(),
        n => {
            let places: Vec<String> = (1..=n).map(|at| format!("${at}")).collect();
            let among = places.join(", ");
            format!(
                " and (p.name_index in ({among}) or p.family_index in ({among}) or p.name_index is null)"
            )
        }
    };
    let (seen, names) = seen(wards, "p.id", hashes.len() + 1);
    let sql = format!(
        "select p.id, p.name, {KEY} from patient p {} \
         where not exists (select 1 from erasure x where x.patient_id = p.id){alike}{seen}",
        key_of("p.id")
    );
    let rows = hashes
        .iter()
        .chain(names)
        .fold(sqlx::query(AssertSqlSafe(sql)), |query, text| {
            query.bind(text)
        })
        .fetch_all(&mut *connection)
        .await?;
    let mut found = Vec::new();
    for row in &rows {
        let seal = Seal::of_row(connection, keys, row, Class::Identity).await?;
        let row = Columns(row);
        let id = PatientId(row.text("id")?);
        let name = folded(&seal.open(&row, "name", &name_of(&id))?);
        if fits(&name, &asked) {
            found.push((name, id));
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, id)| id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_for_is_among_those_that_begin_alike() {
        for (name, asked, is) in [
            ("王建国", "王", true),
            ("王建国", "王建", true),
            ("王建国", "wang", true),
            ("王建国", "Wang Jian", true),
            ("王建国", "wangjianguo", true),
            ("王建国", "wa", true),
            ("王建国", "汪建国", false),
            ("王建国", "建国", false),
            ("曾志伟", "zeng", true),
            ("曾志伟", "曾", true),
            ("吕丽", "lv", true),
            ("鄂尔", "鄂", true),
            ("鄂尔", "eer", true),
            ("Eleanor Whitfield", "eleanor w", true),
            ("Eleanor Whitfield", "Whit", true),
            ("Whitfield, Eleanor", "eleanor", true),
            ("Eleanor Whitfield", "field", false),
            ("O'Neil", "o'", true),
            ("Wang", "王", false),
        ] {
            let (name, asked) = (folded(name), folded(asked));
            assert_eq!(fits(&name, &asked), is, "{name} {asked}");
            let words = [Some(name.as_str()), last_word(&name)];
            let kept: Vec<String> = words.into_iter().flatten().map(beginning).collect();
            let looked = beginnings(&asked).expect("more than a letter");
            let is_opened = looked.iter().any(|begins| kept.contains(begins));
            assert!(is_opened || !is, "{name} {asked}");
        }
        assert_eq!(beginnings("w"), None);
    }

    /// Their hashes are on disk: a reading that changes would leave patients unfound.
    #[test]
    fn the_commonest_surnames_begin_as_ever() {
        let surnames = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤";
        let begins: String = surnames
            .chars()
            .map(|c| beginning(&c.to_string()))
            .collect();
        assert_eq!(
            begins,
            "walizhlichyahuzhwuzhxusumazhhuguhegaliluzhlixisotaxuhafedecapezexitidoyupayujicayuduyechsuwelvdi\
             reshyalujicuzhtaluwafajishlijixiwefufabazomexiqiqijiyixuyaduleholoshtalihegumahagoshwaqiyaqiwuda\
             mokoxita"
        );
    }
}
