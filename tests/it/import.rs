//! Lists as hospitals send them: workbooks, their own headings, the same list again, lists that contradict themselves.

use aftercall::import::{Report, headings, preview, read_discharges, save_discharges};
use aftercall::store::Store;
use aftercall::store::errand::ErrandEnd;
use aftercall::store::import::SavedMapping;
use aftercall::store::page::PageRequest;
use aftercall::store::work_order::{Raise, WorkOrderFilter};
use aftercall_core::import::{Defaults, Mapping, suggest};
use aftercall_core::patient::{EpisodeState, Life};
use aftercall_core::plan::{Pathway, Pathways, StepState};
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Cause, Deadlines, Subject};
use encoding_rs::GB18030;
use jiff::tz::TimeZone;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};

use crate::bad_input::{Desk, aftercall, run, text};
use crate::record::at;

const HEADINGS: [&str; 8] = [
    "病案号",
    "姓名",
    "性别",
    "出生日期",
    "联系电话",
    "出院时间",
    "住院号",
    "科室",
];
const MAPPING: &str = "version = 1
[columns]
\"病案号\" = \"hospital_number\"
\"姓名\" = \"name\"
\"出生日期\" = \"birth_date\"
\"联系电话\" = \"phone\"
\"出院时间\" = \"discharged\"
\"住院号\" = \"encounter\"
\"科室\" = \"department\"
[fixed]
language = \"zh\"
pathway = \"cardiac\"
consent = \"written\"
";

type Line = [&'static str; 8];
const FIRST: Line = [
    "P1",
    "张三",
    "男",
    "1950-02-01",
    "13800138000",
    "2026-11-19 10:30",
    "E1",
    "心内科",
];
const SECOND: Line = [
    "P2",
    "李四",
    "女",
    "1949年3月5日",
    "010-62345678",
    "46345",
    "E2",
    "心内科",
];

/// Diagnosis and risk choose; a script that is named keeps the usual days.
fn pathways() -> Pathways {
    let text = "version = 1
script = \"cardiac\"
reviewed = { by = \"Dr Lin\", on = \"2026-11-01\" }
[when]
diagnoses = [\"I50\"]
risk = [\"middle\"]
[[repeat]]
from = 30
every = 30
until = 60
grace_days = 7
[[step]]
day = 90
grace_days = 14
task = \"quarterly_review\"
";
    let pathway = Pathway::parse("heart.toml", "heart", text).expect("a pathway");
    Pathways {
        list: vec![pathway],
        ..Pathways::default()
    }
}

fn defaults() -> Defaults {
    Defaults {
        hospital: "main".into(),
        zone: "Asia/Shanghai".into(),
        country: "CN".into(),
        base: None,
    }
}

/// A workbook with a title above the table; dates of 19 characters at most become real date cells.
fn workbook(lines: &[Line]) -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    let date = Format::new().set_num_format("yyyy-mm-dd hh:mm");
    sheet.write(0, 0, "十一月出院患者名单").expect("written");
    sheet.write_row(1, 0, HEADINGS).expect("written");
    for (row, line) in (2..).zip(lines) {
        for (column, field) in (0..).zip(line) {
            match (ExcelDateTime::parse_from_str(field), field.parse::<f64>()) {
                (Ok(at), _) if field.contains('-') && field.len() <= 19 && column != 4 => {
                    sheet
                        .write_with_format(row, column, &at, &date)
                        .expect("written");
                }
                (_, Ok(number)) => {
                    sheet.write(row, column, number).expect("written");
                }
                _ => {
                    sheet.write(row, column, *field).expect("written");
                }
            }
        }
    }
    book.save_to_buffer().expect("a workbook")
}

fn csv(lines: &[Line]) -> String {
    let lines = std::iter::once(&HEADINGS)
        .chain(lines)
        .map(|line| line.join(","));
    lines.collect::<Vec<_>>().join("\n")
}

async fn import(store: &Store, bytes: &[u8]) -> (Report, Report) {
    let mapping = store.mapping("his").await.expect("saved").content;
    let mapping = Mapping::parse(&mapping).expect("a mapping");
    let list = read_discharges(bytes, &defaults(), Some(&mapping));
    let pathways = pathways();
    let planned = preview(store, &list, &pathways).await.expect("planned");
    let saved = save_discharges(store, &list, &pathways, "test", at(1))
        .await
        .expect("saved");
    (planned, saved)
}

fn counts(report: &Report) -> [u64; 7] {
    [
        report.accepted,
        report.refused,
        report.new_patients,
        report.changed_patients,
        report.new_episodes,
        report.changed_episodes,
        report.steps,
    ]
}

pub async fn a_list_is_imported_once(store: Store) {
    let mapping = SavedMapping {
        name: "his".into(),
        content: MAPPING.into(),
        saved_by: "test".into(),
        saved_at: at(0),
    };
    store.save_mapping(&mapping).await.expect("saved");
    assert_eq!(store.mappings().await.expect("listed"), [mapping]);

    let (planned, saved) = import(&store, &workbook(&[FIRST, SECOND])).await;
    assert_eq!(
        counts(&saved),
        [2, 0, 2, 0, 2, 0, 8],
        "{:?}",
        saved.problems
    );
    assert_eq!(
        counts(&planned),
        counts(&saved),
        "a dry run says what comes"
    );
    assert_eq!((planned.rows, planned.dry_run), (saved.rows.clone(), true));
    assert_eq!(
        (saved.source.as_str(), saved.not_read),
        ("sheet Sheet1", vec!["性别".to_owned()])
    );
    let steps: Vec<String> = saved.rows[1]
        .steps
        .iter()
        .map(|(day, date)| format!("{day} {date}"))
        .collect();
    assert_eq!(
        steps,
        [
            "3 2026-11-22",
            "7 2026-11-26",
            "14 2026-12-03",
            "30 2026-12-19"
        ]
    );
    assert_eq!(saved.rows[1].line, 4, "as the spreadsheet counts");

    let stored = store
        .patients(&PageRequest::default())
        .await
        .expect("listed")
        .items;
    let (_, again) = import(&store, csv(&[FIRST, SECOND]).as_bytes()).await;
    assert_eq!(
        counts(&again),
        [2, 0, 0, 0, 0, 0, 0],
        "a second import changes nothing"
    );
    assert_eq!(
        store
            .patients(&PageRequest::default())
            .await
            .expect("listed")
            .items,
        stored
    );

    // A new number, a corrected discharge, a second stay in one list.
    let (mut moved, mut stay) = (FIRST, SECOND);
    (moved[4], moved[5]) = ("13900139000", "2026-11-20");
    (stay[5], stay[6]) = ("2026-11-21", "E3");
    let (planned, changed) = import(&store, csv(&[moved, SECOND, stay]).as_bytes()).await;
    assert_eq!(counts(&changed), [3, 0, 0, 1, 1, 1, 8]);
    assert_eq!(planned.rows, changed.rows);
    assert_eq!(changed.rows[0].changed, ["phone", "discharged"]);
    assert_eq!(
        (changed.rows[1].stay, changed.rows[2].stay),
        ("known", "new")
    );

    let page = store
        .patients(&PageRequest::default())
        .await
        .expect("listed")
        .items;
    let second = page
        .iter()
        .find(|patient| patient.number.expose() == "P2")
        .expect("she is there");
    let states = || async {
        let steps = store
            .steps(Some(&second.id), &PageRequest::default())
            .await
            .expect("listed")
            .items;
        let stays = store.episodes_of(&second.id).await.expect("listed");
        let of = |encounter: &str| {
            let stay = stays
                .iter()
                .find(|stay| stay.encounter == encounter)
                .expect("a stay");
            let steps = steps.iter().filter(|step| step.episode == stay.id);
            steps.map(|step| step.state).collect::<Vec<_>>()
        };
        [of("E2"), of("E3")]
    };
    let (planned, blocked) = (vec![StepState::Planned; 4], vec![StepState::Blocked; 4]);
    assert_eq!(
        states().await,
        [blocked.clone(), planned.clone()],
        "the later stay's plan holds"
    );
    store
        .set_life(&second.id, Life::Dead, at(2))
        .await
        .expect("saved");
    assert_eq!(states().await, [blocked.clone(), blocked.clone()]);
    store
        .set_life(&second.id, Life::Alive, at(3))
        .await
        .expect("saved");
    assert_eq!(
        states().await,
        [blocked.clone(), planned.clone()],
        "what was superseded stays so"
    );
    let stays = store.episodes_of(&second.id).await.expect("listed");
    let last = &stays[0];
    for (state, after) in [
        (EpisodeState::Cancelled, &blocked),
        (EpisodeState::Discharged, &planned),
        (EpisodeState::Readmitted, &blocked),
        (EpisodeState::Discharged, &planned),
    ] {
        store
            .set_episode_state(&last.id, state, at(4))
            .await
            .expect("saved");
        assert_eq!(&states().await[1], after, "{state:?}");
    }

    // Rows that contradict each other, a number that is another patient's, cells that cannot be read.
    let (mut twice, mut other, mut broken) = (SECOND, FIRST, SECOND);
    twice[3] = "1949-03-06";
    (other[1], other[3]) = ("王五", "1961-01-01");
    (broken[0], broken[3], broken[4]) = ("P9", "03/04/1950", "62345678");
    let (_, refused) = import(&store, &workbook(&[SECOND, twice, other, broken])).await;
    assert_eq!(counts(&refused), [0, 4, 0, 0, 0, 0, 0]);
    let problems: Vec<String> = refused.problems.iter().map(ToString::to_string).collect();
    for said in [
        "line 3, column birth_date: contradicts line 4",
        "line 4, column birth_date: contradicts line 3",
        "line 5, column hospital_number: belongs to another patient",
        "cell D6, column 出生日期 (birth_date): may be read with the day or the month first",
        "cell E6, column 联系电话 (phone): telephone number has no area code",
    ] {
        assert!(
            problems.iter().any(|problem| problem.starts_with(said)),
            "no `{said}` in {problems:#?}"
        );
    }
    assert!(!problems.concat().contains("王五") && !problems.concat().contains("1961"));
}

pub async fn a_pathway_is_chosen_and_its_task_becomes_an_order(store: Store) {
    let header = "hospital_number,name,birth_date,phone,language,discharged,encounter,consent,diagnoses,risk\n";
    let rows = "P1,A,1950-01-01,13800138000,en,2026-11-19,E1,written,I50.9;E11,middle\n\
                P2,B,1951-01-01,13800138001,en,2026-11-19,E2,written,J44,middle\n";
    let list = read_discharges(format!("{header}{rows}").as_bytes(), &defaults(), None);
    let saved = save_discharges(&store, &list, &pathways(), "test", at(1))
        .await
        .expect("saved");
    assert_eq!(
        counts(&saved),
        [1, 1, 1, 0, 1, 0, 2],
        "{:?}",
        saved.problems
    );
    assert!(
        saved.problems[0]
            .to_string()
            .starts_with("line 3, column pathway: is empty, and no pathway fits")
    );
    let again = save_discharges(&store, &list, &pathways(), "test", at(1))
        .await
        .expect("saved");
    assert_eq!(counts(&again), [1, 1, 0, 0, 0, 0, 0]);

    let day = |text: &str| text.parse::<Timestamp>().expect("an instant");
    let early = store
        .due_errands(day("2027-02-16T23:00:00Z"), 9)
        .await
        .expect("asked");
    assert!(early.is_empty());
    let now = day("2027-02-17T02:00:00Z");
    let due = store.due_errands(now, 9).await.expect("asked");
    assert_eq!(due.len(), 1);
    let subject = Subject {
        patient: Some(due[0].patient.clone()),
        episode: Some(due[0].episode.clone()),
        attempt: None,
        high_risk: false,
    };
    let causes = vec![Cause::Task {
        task: "quarterly_review".into(),
    }];
    let end = ErrandEnd::Raised(Box::new(Raise {
        subject,
        causes: causes.clone(),
        deadlines: Deadlines::usual(TimeZone::UTC),
    }));
    assert!(store.end_errand(&due[0], &end, now).await.expect("ended"));
    assert!(
        !store.end_errand(&due[0], &end, now).await.expect("asked"),
        "once"
    );
    let orders = store
        .work_orders(&WorkOrderFilter::default(), &PageRequest::default())
        .await
        .expect("listed");
    assert_eq!(orders.items[0].causes, causes);
}

#[test]
fn headings_of_a_workbook_are_suggested() {
    let headings = headings(&workbook(&[FIRST])).expect("a header");
    assert_eq!(headings, HEADINGS);
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let written = Mapping::parse(MAPPING).expect("a mapping").columns;
    assert_eq!(suggest(&headings).columns, written);
}

#[test]
fn a_dry_run_of_a_gb18030_list_says_everything_and_makes_no_database() {
    let desk = Desk::new();
    let list = desk.put("出院.csv", GB18030.encode(&csv(&[FIRST, SECOND])).0);
    let his = desk.put("his.toml", MAPPING);
    let config = desk.config("");
    let unmapped = run(aftercall()
        .arg("import")
        .arg(&list)
        .arg("--dry-run")
        .arg("--config")
        .arg(&config));
    assert!(
        text(&unmapped.stdout).contains("looks like hospital_number"),
        "{}",
        text(&unmapped.stdout)
    );
    let database = desk.path("data/aftercall.db");
    assert!(!database.exists(), "a dry run makes no database");
    let saved = run(aftercall()
        .args(["import", "mapping", "save", "his"])
        .arg(&his)
        .arg("--config")
        .arg(&config));
    assert!(saved.status.success(), "{}", text(&saved.stderr));
    let dry = run(aftercall()
        .arg("import")
        .arg(&list)
        .args(["--mapping", "his", "--dry-run", "--config"])
        .arg(&config));
    let said = text(&dry.stdout);
    assert!(dry.status.success(), "{said}{}", text(&dry.stderr));
    for words in [
        "read as gb18030",
        "not read: 性别",
        "day 3: 2026-11-22",
        "2 rows would be imported with 8 steps",
    ] {
        assert!(said.contains(words), "no `{words}` in:\n{said}");
    }
    assert!(
        !said.contains("张三") && !said.contains("1380013"),
        "{said}"
    );
}
