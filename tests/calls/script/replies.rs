//! What replies and commands mean, as tables.

use aftercall_core::lang::Lang;
use aftercall_core::patient::{Contact, Relation, Topic};
use aftercall_core::phi::Phi;
use aftercall_core::question::Respondent;
use aftercall_core::script::command::{Speaker, spot};
use aftercall_core::script::identity::Names;
use aftercall_core::script::{Script, speaking, understanding};

use super::files::{script, shipped, table};

fn contact(name: &str) -> Contact {
    Contact {
        name: Phi::new(name.to_owned()),
        relation: Relation::Spouse,
        phone: None,
        topics: vec![Topic::Health],
    }
}

fn way_out(script: &Script, node: &str, reply: &str) -> String {
    let contacts = [contact("李梅"), contact("Mei Chen")];
    let patient = match script.lang {
        Lang::Zh => "王建国",
        Lang::En => "Robert Chen",
    };
    let names = Names {
        patient,
        contacts: &contacts,
    };
    let node = &script.nodes[script.find(node).expect("a node of the script")];
    let question = speaking::question_text(script, node);
    let birth = Some(jiff::civil::date(1951, 4, 12));
    let answer = understanding::read(reply, node, &question, names, birth, script.lang);
    match answer {
        None => "-".to_owned(),
        Some(answer) => match answer.quantity {
            None => answer.key,
            Some(quantity) => format!("{} {}", answer.key, quantity.value),
        },
    }
}

#[test]
fn replies_take_the_way_out_that_they_mean() {
    let scripts = shipped();
    let mut wrong = String::new();
    for row in table("script/replies.tsv") {
        let [id, lang, node, reply, want] = &row[..] else {
            panic!("five cells: {row:?}")
        };
        let lang = Lang::parse(lang).expect("zh or en");
        let script = scripts
            .iter()
            .find(|s| s.id == *id && s.lang == lang)
            .expect("a shipped script");
        let got = way_out(script, node, reply);
        if got != *want {
            wrong.push_str(&format!(
                "{id} {lang} {node} “{reply}”: {got} instead of {want}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn commands_are_heard_and_nothing_else_is() {
    let mut wrong = String::new();
    for row in table("script/commands.tsv") {
        let [lang, who, reply, want] = &row[..] else {
            panic!("four cells: {row:?}")
        };
        let speaker = match who.as_str() {
            "unknown" => Speaker::Unknown,
            "patient" => Speaker::Identified(Respondent::Patient),
            _ => Speaker::Identified(Respondent::Caregiver),
        };
        let lang = Lang::parse(lang).expect("zh or en");
        let got = spot(reply, speaker, false, lang).map_or("-".to_owned(), |c| c.name());
        if got != *want {
            wrong.push_str(&format!(
                "{lang} {who} “{reply}”: {got} instead of {want}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn without_a_birthday_on_record_any_clear_date_will_do() {
    let script = script("general", Lang::Zh);
    let node = &script.nodes[script.find("birth").expect("a node of the script")];
    let names = Names {
        patient: "王建国",
        contacts: &[],
    };
    let read = |said: &str| understanding::read(said, node, "", names, None, Lang::Zh);
    assert_eq!(
        read("五月二十号").map(|answer| answer.key),
        Some("match".to_owned())
    );
    let keyed = understanding::read_keys("0520", node, None, Lang::Zh);
    assert_eq!(keyed.map(|answer| answer.key), Some("match".to_owned()));
    for unclear in ["是的", "五月", "三十三号", "忘了"] {
        assert_eq!(read(unclear), None, "{unclear}");
    }
}
