//! Every path of a script, for every day: it ends, it screens before anything else, it closes with the safety
//! line, it says nothing about health to a stranger, and it is short.
//!
//! The walk goes over states, not nodes: who is identified, which emergency questions were asked, whether
//! the safety line was spoken, whether a command took the caller off the usual path.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{
    Effect, Guard, Jump, Kind, Node, Piece, Rule, Script, ScriptError, Target, Variable,
};
use super::speaking::names;
use super::words;
use crate::lang::Lang;

/// The limits of the longest usual path.
pub const MAX_QUESTIONS: usize = 15;
pub const MAX_SECONDS: f64 = 240.0;

/// What every identified call is asked, whatever the script.
const SCREEN: [&str; 5] = [
    "chest_pain",
    "dyspnea",
    "syncope",
    "heavy_bleeding",
    "stroke_signs",
];

/// Who is identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Nobody,
    Patient,
    Caregiver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    node: usize,
    role: Role,
    /// A listed relative claims to speak.
    relative: bool,
    /// Emergency questions asked, as bits by their order.
    screen: u32,
    safety: bool,
    /// The caller reported a death: no safety line then.
    death: bool,
    /// Off the usual path by a command, or by a failure.
    jumped: bool,
    /// The caller spoke of it first.
    raised: bool,
    notice: bool,
    /// The last node that spoke, to blame for an end without a closing.
    last: usize,
}

/// Proves the paths of one script.
pub fn prove(script: &Script, errors: &mut Vec<ScriptError>) {
    let mut met: BTreeSet<usize> = BTreeSet::new();
    for day in &script.days {
        let mut walk = Walk::new(script, *day, errors);
        walk.all();
        met.extend(walk.met);
    }
    for (index, node) in script.nodes.iter().enumerate() {
        if !met.contains(&index) {
            let problem = format!("no path leads to node `{}` on any day", node.id);
            refuse(errors, node, Rule::DeadNode, problem);
        }
    }
}

/// What the longest usual path takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Length {
    pub questions: usize,
    pub seconds: f64,
}

/// The longest usual path of a day: the patient answers, every answer is understood at once. Questions that
/// only an answer out of the usual calls for take time but are not counted.
pub fn longest(script: &Script, day: u16) -> Length {
    let mut ignored = Vec::new();
    let walk = Walk::new(script, day, &mut ignored);
    let mut known = BTreeMap::new();
    walk.length(walk.start(), &mut known, 0)
}

fn refuse(errors: &mut Vec<ScriptError>, node: &Node, rule: Rule, problem: String) {
    errors.push(ScriptError {
        at: node.at.clone(),
        rule,
        problem,
    });
}

struct Walk<'a> {
    script: &'a Script,
    day: u16,
    /// Emergency questions of the day, in order.
    screen: Vec<usize>,
    met: BTreeSet<usize>,
    errors: &'a mut Vec<ScriptError>,
}

impl<'a> Walk<'a> {
    fn new(script: &'a Script, day: u16, errors: &'a mut Vec<ScriptError>) -> Self {
        let nodes = script.nodes.iter().enumerate();
        let screen = nodes.filter(|(i, n)| n.emergency && script.on_day(*i, day));
        Walk {
            script,
            day,
            screen: screen.map(|(i, _)| i).take(32).collect(),
            met: BTreeSet::new(),
            errors,
        }
    }

    fn start(&self) -> At {
        At {
            node: self.script.start,
            role: Role::Nobody,
            relative: false,
            screen: 0,
            safety: false,
            death: false,
            jumped: false,
            raised: false,
            notice: false,
            last: self.script.start,
        }
    }

    fn all(&mut self) {
        self.judge_screen();
        let start = self.start();
        let mut seen = BTreeSet::from([start]);
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            let (at, ways) = self.visit(at);
            for next in ways.into_iter().chain(self.jumps(at)) {
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        if self.circles() {
            return;
        }
        let longest = self.length(start, &mut BTreeMap::new(), 0);
        let at = ScriptError {
            at: self.script.at.clone(),
            rule: Rule::TooManyQuestions,
            problem: format!(
                "day {}: the longest usual path asks {} questions; {MAX_QUESTIONS} are allowed",
                self.day, longest.questions
            ),
        };
        if longest.questions > MAX_QUESTIONS {
            self.errors.push(at.clone());
        }
        if longest.seconds > MAX_SECONDS {
            self.errors.push(ScriptError {
                rule: Rule::TooLong,
                problem: format!(
                    "day {}: the longest usual path takes {:.0} s in {}; {MAX_SECONDS:.0} s are allowed",
                    self.day, longest.seconds, self.script.lang
                ),
                ..at
            });
        }
    }

    /// The screen of the day asks for all that it must.
    fn judge_screen(&mut self) {
        let nodes = self.screen.iter().flat_map(|n| &self.script.nodes[*n].asks);
        let asked: BTreeSet<&str> = nodes.map(|c| c.0.as_str()).collect();
        for concept in SCREEN.iter().filter(|c| !asked.contains(*c)) {
            self.errors.push(ScriptError {
                at: self.script.at.clone(),
                rule: Rule::ScreenMissing,
                problem: format!(
                    "day {}: no emergency question asks for `{concept}`",
                    self.day
                ),
            });
        }
    }

    fn takes_part(&self, at: At) -> bool {
        let node = &self.script.nodes[at.node];
        let holds = |guard: &Guard| match guard {
            Guard::Identified => at.role != Role::Nobody,
            Guard::Patient => at.role == Role::Patient,
            Guard::Caregiver => at.role == Role::Caregiver,
            Guard::Screened => self.screened(at),
            // Whether these hold is the record's matter: the walk supposes they do, and `skips` that they do not.
            Guard::KnowsDiagnosis | Guard::NextCall => true,
        };
        self.script.on_day(at.node, self.day) && node.when.iter().all(holds)
    }

    fn skips(&self, at: At) -> bool {
        let when = &self.script.nodes[at.node].when;
        when.contains(&Guard::KnowsDiagnosis) || when.contains(&Guard::NextCall)
    }

    fn screened(&self, at: At) -> bool {
        at.screen.count_ones() as usize == self.screen.len()
    }

    /// Judges one state; returns it with its effects, and where its replies lead.
    fn visit(&mut self, mut at: At) -> (At, Vec<At>) {
        let node = &self.script.nodes[at.node];
        let mut ways = Vec::new();
        if !self.takes_part(at) {
            ways.extend(self.target(at, node.next));
            return (at, ways);
        }
        self.met.insert(at.node);
        if self.skips(at) {
            ways.extend(self.target(at, node.next));
        }
        self.effect(&mut at, node.effect);
        self.judge(at, node);
        if self.says(node, names::SAFETY) {
            at.safety = true;
        }
        at.notice |= self.has_notice(node);
        at.last = if node.say.is_empty() {
            at.last
        } else {
            at.node
        };
        match &node.kind {
            Kind::End => self.judge_end(at),
            Kind::Say => ways.extend(self.target(at, node.next)),
            _ => ways.extend(self.replies(at, node)),
        }
        (at, ways)
    }

    fn effect(&self, at: &mut At, effect: Option<Effect>) {
        match effect {
            Some(Effect::Identified) => {
                at.role = if at.relative {
                    Role::Caregiver
                } else {
                    Role::Patient
                };
            }
            Some(Effect::ReportedDeath) => at.death = true,
            Some(
                Effect::IdentityFailed
                | Effect::EmergencyAdvice
                | Effect::Crisis
                | Effect::AskedForPerson
                | Effect::CallBack
                | Effect::OptedOut
                | Effect::ReportedReadmission
                | Effect::WrongParty
                | Effect::Closing,
            )
            | None => {}
        }
    }

    fn judge(&mut self, at: At, node: &Node) {
        let lang = self.script.lang;
        if at.role == Role::Nobody && !at.raised {
            self.judge_stranger(node, lang);
        }
        let asked_early = at.role != Role::Nobody
            && !at.jumped
            && node.kind.asks()
            && !node.emergency
            && !self.screened(at);
        if asked_early {
            let problem = format!(
                "question `{}` comes before the emergency screen is over",
                node.id
            );
            refuse(self.errors, node, Rule::ScreenLate, problem);
        }
        if node.kind.asks()
            && !at.notice
            && !at.jumped
            && at.role == Role::Nobody
            && !self.has_notice(node)
        {
            let problem = format!(
                "question `{}` is asked before the caller was told that the call is automatic and recorded",
                node.id
            );
            refuse(self.errors, node, Rule::OpeningNotice, problem);
        }
    }

    fn judge_stranger(&mut self, node: &Node, lang: Lang) {
        for name in spoken(node) {
            let Some(prompt) = self.script.prompts.get(name) else {
                continue;
            };
            let found = [
                (
                    Rule::HealthBeforeIdentity,
                    words::health(&prompt.text, lang),
                ),
                (Rule::NotNeutral, words::ward(&prompt.text, lang)),
            ];
            for (rule, word) in found {
                if let Some(word) = word {
                    self.errors.push(ScriptError {
                        at: prompt.at.clone(),
                        rule,
                        problem: format!("node `{}` says “{word}” before identity", node.id),
                    });
                }
            }
        }
        let private = node.say.iter().any(|piece| match piece {
            Piece::Variable(Variable::Hospital | Variable::Patient) | Piece::Prompt(_) => false,
            Piece::Variable(Variable::CallbackNumber | Variable::NextCall) => true,
        });
        if private {
            let problem = format!(
                "node `{}` says more than hospital and name before identity",
                node.id
            );
            refuse(self.errors, node, Rule::HealthBeforeIdentity, problem);
        }
    }

    fn judge_end(&mut self, at: At) {
        let node = &self.script.nodes[at.last];
        if at.role == Role::Nobody || at.death {
            return;
        }
        if !at.safety {
            let problem = format!(
                "a path of an identified call ends after `{}` without the safety line",
                node.id
            );
            refuse(self.errors, node, Rule::ClosingMissing, problem);
        }
        if !at.jumped && !self.screened(at) {
            let missing = self
                .screen
                .iter()
                .enumerate()
                .find(|(bit, _)| at.screen & (1 << bit) == 0);
            let missing = missing.map_or("one", |(_, n)| self.script.nodes[*n].id.0.as_str());
            let problem = format!(
                "a path of an identified call ends without the emergency question `{missing}`"
            );
            refuse(self.errors, node, Rule::ScreenMissing, problem);
        }
    }

    fn replies(&self, mut at: At, node: &Node) -> Vec<At> {
        if let Some(bit) = self.screen.iter().position(|n| *n == at.node) {
            at.screen |= 1 << bit;
        }
        let mut ways = Vec::new();
        for reply in node.kind.replies() {
            let mut next = at;
            if matches!(node.kind, Kind::Identity | Kind::Who) {
                next.relative = reply == "listed";
            }
            ways.extend(self.target(next, node.on.get(reply).copied().or(node.next)));
        }
        for failed in [node.silence, node.no_match].into_iter().flatten() {
            let target = match failed {
                Target::Human | Target::Skip => node.next,
                Target::Node(_) | Target::Resume => Some(failed),
            };
            ways.extend(self.target(at, target));
        }
        ways
    }

    /// Where a caller's word may lead from a question.
    fn jumps(&self, at: At) -> Vec<At> {
        let node = &self.script.nodes[at.node];
        if !node.kind.asks() || !self.takes_part(at) {
            return Vec::new();
        }
        let jumps = self.script.commands.iter();
        let jumps = jumps.filter(|(jump, _)| match at.role {
            Role::Nobody => true,
            Role::Patient => !jump.before_identity_only() && **jump != Jump::Death,
            Role::Caregiver => !jump.before_identity_only(),
        });
        let ways = jumps.map(|(jump, target)| At {
            node: *target,
            jumped: true,
            raised: jump.raised_by_caller(),
            ..at
        });
        ways.collect()
    }

    /// `@resume` ends the aside: the question it goes back to has its own ways.
    fn target(&self, at: At, target: Option<Target>) -> Option<At> {
        match target {
            Some(Target::Node(node)) => Some(At { node, ..at }),
            Some(Target::Human | Target::Skip | Target::Resume) | None => None,
        }
    }

    fn says(&self, node: &Node, name: &str) -> bool {
        node.say.contains(&Piece::Prompt(name.to_owned()))
    }

    fn has_notice(&self, node: &Node) -> bool {
        let texts = spoken(node).filter_map(|name| self.script.prompts.get(name));
        let text: String = texts.map(|p| p.text.as_str()).collect::<Vec<_>>().join(" ");
        words::is_notice(&text, self.script.lang)
    }

    /// A node that leads back to itself: the call would never end.
    fn circles(&mut self) -> bool {
        let count = self.script.nodes.len();
        let mut colour = vec![0_u8; count];
        let mut found = false;
        for root in 0..count {
            found |= self.circle(root, &mut colour, 0);
        }
        found
    }

    fn circle(&mut self, node: usize, colour: &mut [u8], depth: usize) -> bool {
        match colour[node] {
            2 => return false,
            1 => {
                let node = &self.script.nodes[node];
                let problem = format!(
                    "a path leads from node `{}` back to it: the call would not end",
                    node.id
                );
                refuse(self.errors, node, Rule::Endless, problem);
                return true;
            }
            _ => colour[node] = 1,
        }
        let n = &self.script.nodes[node];
        let gotos =
            n.on.values()
                .chain(&n.next)
                .chain(&n.silence)
                .chain(&n.no_match);
        let ways: BTreeSet<usize> = gotos
            .filter_map(|t| match t {
                Target::Node(n) => Some(*n),
                Target::Human | Target::Skip | Target::Resume => None,
            })
            .collect();
        let mut found = false;
        for way in ways {
            found |= depth < colour.len() && self.circle(way, colour, depth + 1);
        }
        colour[node] = 2;
        found
    }

    /// The longest way from a state to the end over understood answers.
    fn length(&self, at: At, known: &mut BTreeMap<(usize, Role), Length>, depth: usize) -> Length {
        let key = (at.node, at.role);
        if let Some(length) = known.get(&key) {
            return *length;
        }
        if depth > self.script.nodes.len() {
            return Length::default();
        }
        let node = &self.script.nodes[at.node];
        let here = if self.takes_part(at) {
            self.cost(node)
        } else {
            Length::default()
        };
        let mut at = at;
        if self.takes_part(at) {
            self.effect(&mut at, node.effect);
        }
        let ways: Vec<At> = match &node.kind {
            Kind::End => vec![],
            _ if !self.takes_part(at) => self.target(at, node.next).into_iter().collect(),
            Kind::Say => self.target(at, node.next).into_iter().collect(),
            // The usual call: the patient is on the line.
            Kind::Identity => {
                let target = node.on.get("self").copied().or(node.next);
                self.target(at, target).into_iter().collect()
            }
            kind => {
                let replies = kind.replies().into_iter();
                let targets = replies.map(|r| node.on.get(r).copied().or(node.next));
                targets.filter_map(|t| self.target(at, t)).collect()
            }
        };
        let mut best = Length::default();
        for way in ways {
            let rest = self.length(way, known, depth + 1);
            best.questions = best.questions.max(rest.questions);
            best.seconds = best.seconds.max(rest.seconds);
        }
        let total = Length {
            questions: here.questions + best.questions,
            seconds: here.seconds + best.seconds,
        };
        known.insert(key, total);
        total
    }

    fn cost(&self, node: &Node) -> Length {
        let lang = self.script.lang;
        let said = node.say.iter().map(|piece| match piece {
            Piece::Prompt(name) => seconds(self.script.text(name), lang),
            Piece::Variable(Variable::CallbackNumber) => 5.0,
            Piece::Variable(Variable::Hospital | Variable::Patient | Variable::NextCall) => 1.5,
        });
        let said: f64 = said.sum();
        // The reply, the silence that ends it, and the robot's latency.
        let reply = match &node.kind {
            Kind::Say | Kind::End => 0.0,
            Kind::YesNo { .. } | Kind::Choice(_) | Kind::Identity | Kind::Wait => 2.8,
            Kind::Number(_) | Kind::BirthDate | Kind::Who => 4.0,
            Kind::Open => 8.0,
            Kind::Stay { .. } => 25.0,
        };
        let read_back = match &node.kind {
            Kind::Number(spec) if spec.read_back => {
                let text = format!(
                    "{}{}",
                    self.script.text(names::READ_BACK),
                    self.script.text(names::READ_BACK_TAIL)
                );
                seconds(&text, lang) + 1.5 + 2.8
            }
            _ => 0.0,
        };
        Length {
            questions: usize::from(node.kind.asks() && !node.follow_up),
            seconds: said + reply + read_back,
        }
    }
}

/// Every prompt a node may speak.
fn spoken(node: &Node) -> impl Iterator<Item = &String> {
    let said = node.say.iter().filter_map(|piece| match piece {
        Piece::Prompt(name) => Some(name),
        Piece::Variable(_) => None,
    });
    said.chain(&node.again).chain(&node.hint)
}

/// How long a text takes to speak: 4 syllables or 2.6 words a second, a quarter of a second a mark.
pub fn seconds(text: &str, lang: Lang) -> f64 {
    let marks = text
        .chars()
        .filter(|c| !c.is_alphanumeric() && !c.is_whitespace() && *c != '\'')
        .count();
    let spoken = match lang {
        Lang::Zh => text.chars().filter(|c| c.is_alphanumeric()).count() as f64 / 4.0,
        Lang::En => text.split_whitespace().count() as f64 / 2.6,
    };
    spoken + marks as f64 * 0.25
}
