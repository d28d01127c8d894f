//! Proves a script before it can dial: texts first, then nodes one by one, then every path (`paths`).
//!
//! The errors point at the line an author can fix. What a clinician must judge (is this the right
//! question?) no rule can: that is what the signature is for.

use std::collections::BTreeSet;

use super::node::{
    Guard, Jump, Kind, Node, Piece, Place, Prompt, Rule, Script, ScriptError, Variable,
};
use super::paths;
use super::speaking::names;
use super::words;
use crate::finding::Urgency;
use crate::id::{ConceptId, PackId};
use crate::lang::Lang;
use crate::redflag::Lexicon;

/// Mandarin: characters between two marks; English: words between two marks.
const BREATH_ZH: usize = 25;
const BREATH_EN: usize = 22;

/// The concepts a script may ask for and its packs, from the red-flag lexicon; an empty set leaves them unproved.
#[derive(Clone, Debug, Default)]
pub struct Concepts {
    pub all: BTreeSet<ConceptId>,
    /// Those of which a doubtful hit is asked about once more.
    pub emergent: BTreeSet<ConceptId>,
    pub packs: BTreeSet<PackId>,
}

/// Holds every rule against every script; empty means that they may be signed.
pub fn check(scripts: &[Script], concepts: &Concepts) -> Vec<ScriptError> {
    let mut errors = Vec::new();
    for script in scripts {
        let mut proof = Proof {
            script,
            errors: &mut errors,
        };
        proof.packs(concepts);
        proof.texts();
        proof.engine_prompts(concepts);
        for node in &script.nodes {
            proof.node(node, concepts);
        }
        proof.commands();
        paths::prove(script, &mut errors);
    }
    same_texts(scripts, &mut errors);
    errors.sort();
    errors.dedup();
    errors
}

/// Whether a hospital's spoken name gives away no ward and no speciality.
pub fn is_neutral_name(name: &str) -> bool {
    words::ward(name, Lang::Zh).is_none() && words::ward(name, Lang::En).is_none()
}

/// A word about health, if any: nothing that holds one is said before identity, or to a machine.
pub fn health_word(text: &str, lang: Lang) -> Option<&'static str> {
    words::health(text, lang)
}

/// Every text must exist in every language of the script.
fn same_texts(scripts: &[Script], errors: &mut Vec<ScriptError>) {
    for script in scripts {
        let others = scripts
            .iter()
            .filter(|s| s.id == script.id && s.lang != script.lang);
        for other in others {
            for (name, prompt) in &script.prompts {
                if !other.prompts.contains_key(name) {
                    errors.push(ScriptError {
                        at: prompt.at.clone(),
                        rule: Rule::MissingText,
                        problem: format!("prompt `{name}` has no text in {}", other.lang),
                    });
                }
            }
        }
    }
}

struct Proof<'a> {
    script: &'a Script,
    errors: &'a mut Vec<ScriptError>,
}

impl Concepts {
    /// The concepts and packs of a lexicon.
    pub fn of(lexicon: &Lexicon) -> Concepts {
        let concepts = lexicon.concepts();
        let emergent = concepts.iter().filter(|c| c.urgency == Urgency::Emergent);
        Concepts {
            all: concepts.iter().map(|c| c.id.clone()).collect(),
            emergent: emergent.map(|c| c.id.clone()).collect(),
            packs: lexicon.packs().names().into_iter().cloned().collect(),
        }
    }
}

impl Proof<'_> {
    fn refuse(&mut self, at: &Place, rule: Rule, problem: String) {
        self.errors.push(ScriptError {
            at: at.clone(),
            rule,
            problem,
        });
    }

    fn packs(&mut self, concepts: &Concepts) {
        let known = &concepts.packs;
        for pack in &self.script.packs {
            if !known.is_empty() && !known.contains(pack) {
                let names: Vec<&str> = known.iter().map(|name| name.0.as_str()).collect();
                let problem = format!("pack `{pack}` is unknown; there are {}", names.join(", "));
                self.refuse(&self.script.packs_at, Rule::UnknownPack, problem);
            }
        }
    }

    fn texts(&mut self) {
        let lang = self.script.lang;
        for (name, prompt) in &self.script.prompts {
            if prompt.text.trim().is_empty() {
                self.refuse(
                    &prompt.at,
                    Rule::MissingText,
                    format!("prompt `{name}` is empty"),
                );
                continue;
            }
            if !is_written_in(&prompt.text, lang) {
                let problem = format!("prompt `{name}` is not written in {lang}");
                self.refuse(&prompt.at, Rule::WrongLanguage, problem);
            }
            if let Some(breath) = long_breath(&prompt.text, lang) {
                let problem = format!(
                    "prompt `{name}`: “{breath}” is too long for one breath; put a mark into it"
                );
                self.refuse(&prompt.at, Rule::Breath, problem);
            }
            if let Some(word) = words::comfort(&prompt.text, lang) {
                let problem =
                    format!("prompt `{name}` reassures (“{word}”): a robot cannot know that");
                self.refuse(&prompt.at, Rule::Reassurance, problem);
            }
            if words::is_negative_tag(&prompt.text, lang) {
                let problem = format!(
                    "prompt `{name}` expects a no: ask 有没有 / 是不是, or \"has there been\""
                );
                self.refuse(&prompt.at, Rule::NegativeTag, problem);
            }
        }
        if let Some(prompt) = self.script.prompts.get(names::SAFETY)
            && !words::is_safety_line(&prompt.text, lang)
        {
            let problem = "the safety line must say that a robot cannot judge an illness, and the emergency number";
            self.refuse(&prompt.at, Rule::SafetyLine, problem.to_owned());
        }
    }

    fn engine_prompts(&mut self, concepts: &Concepts) {
        let at = self.script.at.clone();
        for name in names::ALL {
            if !self.script.prompts.contains_key(name) {
                let problem = format!(
                    "the engine speaks `{name}`, which has no text in {}",
                    self.script.lang
                );
                self.refuse(&at, Rule::MissingText, problem);
            }
        }
        for name in [names::HELLO, names::MESSAGE, names::OFFER] {
            let Some(prompt) = self.script.prompts.get(name) else {
                continue;
            };
            if let Some(word) = words::health(&prompt.text, self.script.lang) {
                let problem =
                    format!("prompt `{name}` says “{word}”: it is said to whoever listens");
                self.refuse(&prompt.at, Rule::HealthBeforeIdentity, problem);
            }
        }
        for concept in &concepts.emergent {
            let name = names::confirm(concept);
            if !self.script.prompts.contains_key(&name) {
                let problem = format!(
                    "emergent concept `{concept}` has no confirming question `{name}` in {}",
                    self.script.lang
                );
                self.refuse(&at, Rule::NoConfirmation, problem);
            }
        }
    }

    fn node(&mut self, node: &Node, concepts: &Concepts) {
        let id = &node.id;
        let said = node.say.iter().filter_map(|piece| match piece {
            Piece::Prompt(name) => Some(name),
            Piece::Variable(_) => None,
        });
        let spoken: Vec<&String> = said.chain(&node.again).chain(&node.hint).collect();
        for name in spoken {
            match self.script.prompts.get(name) {
                None => {
                    let problem = format!(
                        "node `{id}` says `{name}`, which has no text in {}",
                        self.script.lang
                    );
                    self.refuse(&node.at, Rule::UnknownPrompt, problem);
                }
                Some(prompt) => self.diagnosis(node, prompt),
            }
        }
        let next_call = node.say.contains(&Piece::Variable(Variable::NextCall));
        if next_call && !node.when.contains(&Guard::NextCall) {
            let problem =
                format!("node `{id}` says {{next_call}} without `when = [\"next_call\"]`");
            self.refuse(&node.at, Rule::UnknownVariable, problem);
        }
        for concept in &node.asks {
            if !concepts.all.is_empty() && !concepts.all.contains(concept) {
                let problem =
                    format!("node `{id}` asks for `{concept}`, which is no red-flag concept");
                self.refuse(&node.at, Rule::UnknownConcept, problem);
            }
        }
        if node.kind.asks() && node.silence.is_none() {
            let problem = format!("question `{id}` has no reply for silence");
            self.refuse(&node.at, Rule::NoSilence, problem);
        }
        if node.kind.asks() && node.no_match.is_none() {
            let problem = format!("question `{id}` has no way on when it is not understood");
            self.refuse(&node.at, Rule::NoMatchMissing, problem);
        }
        let plain = matches!(node.kind, Kind::YesNo { inverse: false, .. });
        if node.emergency && (node.asks.len() != 1 || !plain) {
            let problem = format!("emergency question `{id}` must ask for one symptom, yes or no");
            self.refuse(&node.at, Rule::OneSymptom, problem);
        }
    }

    /// A diagnosis may be named only behind the guard.
    fn diagnosis(&mut self, node: &Node, prompt: &Prompt) {
        if node.when.contains(&Guard::KnowsDiagnosis) {
            return;
        }
        if let Some(word) = words::diagnosis(&prompt.text, self.script.lang) {
            let problem = format!(
                "node `{}` says “{word}”: give it `when = [\"knows_diagnosis\"]` or another word",
                node.id
            );
            self.refuse(&prompt.at, Rule::DiagnosisWord, problem);
        }
    }

    fn commands(&mut self) {
        for jump in Jump::ALL {
            if !self.script.commands.contains_key(&jump) {
                let at = self
                    .script
                    .nodes
                    .get(self.script.start)
                    .map_or(&self.script.at, |n| &n.at);
                let at = Place {
                    line: 1,
                    ..at.clone()
                };
                self.refuse(
                    &at,
                    Rule::NoCommand,
                    format!("[commands] says nothing for `{jump}`"),
                );
            }
        }
    }
}

fn is_written_in(text: &str, lang: Lang) -> bool {
    let han = text.chars().any(crate::pinyin::is_han);
    let latin = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .any(|w| w.len() >= 3);
    match lang {
        Lang::Zh => han && !latin,
        Lang::En => latin && !han,
    }
}

fn long_breath(text: &str, lang: Lang) -> Option<String> {
    let breaths = text.split([
        '，', '。', '？', '！', '；', '、', '：', ',', '.', '?', '!', ';', ':',
    ]);
    let long = breaths.map(str::trim).find(|b| match lang {
        Lang::Zh => b.chars().count() > BREATH_ZH,
        Lang::En => b.split_whitespace().count() > BREATH_EN,
    });
    long.map(str::to_owned)
}
