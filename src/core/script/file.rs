//! Reads the files of `dialogs/` into [`Script`]s, one a language.
//!
//! Pure: the shell hands in names (`cardiac/script.toml`, `common/prompts/zh.toml`, …) and texts. A script's
//! nodes are its own plus those of `common/nodes.toml` that it reaches. What a script must promise
//! beyond being readable is `check`'s matter.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use super::node::{
    BargeIn, Choice, Effect, Guard, Jump, Kind, Node, NumberSpec, OwnWords, Piece, Place, Prompt,
    PromptId, Rule, Script, ScriptError, Target, Variable,
};
use super::signature::canonical;
use crate::id::{ConceptId, NodeId, PackId};
use crate::lang::Lang;
use crate::signature::{Signature, content_hash};

/// The folder whose nodes and prompts every script shares.
pub const SHARED: &str = "common";

/// `script.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptFile {
    version: Spanned<u32>,
    id: Spanned<String>,
    revision: u32,
    title: String,
    author: String,
    sources: Vec<String>,
    languages: Vec<Lang>,
    days: Vec<u16>,
    packs: Spanned<Vec<PackId>>,
    #[serde(default)]
    slots: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    node: Vec<NodeFile>,
}

/// `common/nodes.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SharedFile {
    version: Spanned<u32>,
    start: Spanned<String>,
    commands: BTreeMap<Jump, Spanned<String>>,
    node: Vec<NodeFile>,
}

/// `prompts/<lang>.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptFile {
    version: Spanned<u32>,
    lang: Spanned<Lang>,
    prompts: BTreeMap<String, Spanned<String>>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct NodeFile {
    id: Spanned<String>,
    kind: KindName,
    #[serde(default)]
    days: Vec<u16>,
    #[serde(default)]
    when: Vec<Guard>,
    #[serde(default)]
    say: Vec<Spanned<String>>,
    #[serde(default)]
    asks: Vec<ConceptId>,
    #[serde(default)]
    replies: BTreeMap<Lang, OwnWords>,
    #[serde(default)]
    emergency: bool,
    #[serde(default)]
    follow_up: bool,
    effect: Option<Effect>,
    again: Option<Spanned<String>>,
    hint: Option<Spanned<String>>,
    number: Option<NumberSpec>,
    /// Of a `stay`: how often is asked whether anybody is there, 1–120.
    times: Option<u8>,
    #[serde(default)]
    choice: Vec<Choice>,
    #[serde(default)]
    on: BTreeMap<String, Spanned<String>>,
    silence: Option<Spanned<String>>,
    no_match: Option<Spanned<String>>,
    barge_in: Option<BargeIn>,
    next: Option<Spanned<String>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindName {
    Say,
    End,
    YesNo,
    YesNoInverse,
    Choice,
    Number,
    Open,
    Identity,
    Who,
    BirthDate,
    Wait,
    Stay,
}

/// A file's name and text, able to turn an offset into a line.
#[derive(Clone, Copy)]
struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn place(&self, span: &Range<usize>) -> Place {
        let before = self.text.as_bytes().iter().take(span.start);
        let line = before.filter(|b| **b == b'\n').count() + 1;
        Place {
            file: self.name.to_owned(),
            line,
        }
    }

    fn error(&self, span: &Range<usize>, rule: Rule, problem: String) -> ScriptError {
        ScriptError {
            at: self.place(span),
            rule,
            problem,
        }
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, ScriptError> {
        toml::from_str(self.text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            self.error(&span, Rule::Syntax, error.message().replace('\n', " "))
        })
    }
}

/// Reads every script of a dialogs folder, one value a language, in the order of folder and language.
///
/// Names are relative to the dialogs folder, with `/`. Files that are neither TOML of the known names are
/// left alone (recordings lie beside the prompts).
///
/// # Errors
/// Every problem found, each with its file and line.
pub fn load(files: &[(String, String)]) -> Result<Vec<Script>, Vec<ScriptError>> {
    let (scripts, errors) = load_sound(files);
    if errors.is_empty() {
        Ok(scripts)
    } else {
        Err(errors)
    }
}

/// Reads a whole `dialogs` folder and leaves out the script folders that are broken: their errors stand beside
/// the scripts that may be used.
pub fn load_sound(files: &[(String, String)]) -> (Vec<Script>, Vec<ScriptError>) {
    let shelf = Shelf::new(files);
    let mut scripts = Vec::new();
    let mut errors = Vec::new();
    for folder in shelf.folders() {
        match shelf.script(&folder) {
            Ok(found) => scripts.extend(found),
            Err(found) => errors.extend(found),
        }
    }
    if scripts.is_empty() && errors.is_empty() {
        let at = Place {
            file: format!("{SHARED}/nodes.toml"),
            line: 1,
        };
        errors.push(ScriptError {
            at,
            rule: Rule::Syntax,
            problem: "no folder here holds a script.toml".to_owned(),
        });
    }
    errors.sort();
    errors.dedup();
    (scripts, errors)
}

/// The files by name.
struct Shelf<'a> {
    files: BTreeMap<&'a str, &'a str>,
}

impl<'a> Shelf<'a> {
    fn new(files: &'a [(String, String)]) -> Self {
        let files = files.iter().map(|(n, t)| (n.as_str(), t.as_str()));
        Shelf {
            files: files.collect(),
        }
    }

    fn folders(&self) -> Vec<String> {
        let names = self.files.keys();
        let folders = names.filter_map(|n| n.strip_suffix("/script.toml"));
        folders.map(str::to_owned).collect()
    }

    fn need(&self, name: &str, asker: &Source<'_>) -> Result<Source<'a>, ScriptError> {
        let found = self.files.get_key_value(name);
        let missing = || {
            asker.error(
                &(0..0),
                Rule::Syntax,
                format!("{name} is missing beside it"),
            )
        };
        let (name, text) = found.ok_or_else(missing)?;
        Ok(Source { name, text })
    }

    fn script(&self, folder: &str) -> Result<Vec<Script>, Vec<ScriptError>> {
        let (name, text) = self
            .files
            .get_key_value(format!("{folder}/script.toml").as_str())
            .expect("folders() found this file");
        let source = Source { name, text };
        let file: ScriptFile = source.parse().map_err(|e| vec![e])?;
        let shared_source = self
            .need(&format!("{SHARED}/nodes.toml"), &source)
            .map_err(|e| vec![e])?;
        let shared: SharedFile = shared_source.parse().map_err(|e| vec![e])?;
        let mut errors = Vec::new();
        version(&source, &file.version, &mut errors);
        version(&shared_source, &shared.version, &mut errors);
        if file.id.as_ref() != folder {
            let problem = format!(
                "id `{}` must be the folder's name `{folder}`",
                file.id.as_ref()
            );
            errors.push(source.error(&file.id.span(), Rule::Syntax, problem));
        }
        let graph = Graph::build(&source, &file, &shared_source, &shared, &mut errors);
        let signature = self.signature(folder, &mut errors);
        let content = canonical(folder, &self.files);
        let mut scripts = Vec::new();
        for lang in &file.languages {
            let prompts = self.prompts(folder, *lang, &source, &mut errors);
            scripts.push(Script {
                id: file.id.as_ref().clone(),
                revision: file.revision,
                lang: *lang,
                title: file.title.clone(),
                author: file.author.clone(),
                sources: file.sources.clone(),
                days: file.days.clone(),
                packs: file.packs.as_ref().clone(),
                packs_at: source.place(&file.packs.span()),
                hash: content_hash(&content),
                content: String::from_utf8_lossy(&content).into_owned(),
                signature: signature.clone(),
                at: source.place(&file.id.span()),
                nodes: graph.nodes.clone(),
                start: graph.start,
                commands: graph.commands.clone(),
                prompts,
            });
        }
        if errors.is_empty() {
            Ok(scripts)
        } else {
            Err(errors)
        }
    }

    fn signature(&self, folder: &str, errors: &mut Vec<ScriptError>) -> Option<Signature> {
        let name = format!("{folder}/signature.toml");
        let (name, text) = self.files.get_key_value(name.as_str())?;
        match (Source { name, text }).parse() {
            Ok(signature) => Some(signature),
            Err(error) => {
                errors.push(error);
                None
            }
        }
    }

    /// The texts of one language: the folder's own beside the shared ones.
    fn prompts(
        &self,
        folder: &str,
        lang: Lang,
        asker: &Source<'_>,
        errors: &mut Vec<ScriptError>,
    ) -> BTreeMap<String, Prompt> {
        let mut all: BTreeMap<String, Prompt> = BTreeMap::new();
        for part in [SHARED, folder] {
            let name = format!("{part}/prompts/{lang}.toml");
            let read = self.need(&name, asker);
            let source = match read {
                Ok(source) => source,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            let file: PromptFile = match source.parse() {
                Ok(file) => file,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            version(&source, &file.version, errors);
            if *file.lang.as_ref() != lang {
                let problem = format!("the file is named for `{lang}` and says another language");
                errors.push(source.error(&file.lang.span(), Rule::WrongLanguage, problem));
            }
            for (name, text) in file.prompts {
                let at = source.place(&text.span());
                if let Some(other) = all.get(&name) {
                    let problem = format!("prompt `{name}` stands at {} already", other.at);
                    errors.push(source.error(&text.span(), Rule::Duplicate, problem));
                }
                let id = PromptId(format!("{part}/{name}"));
                let text = text.into_inner();
                all.insert(name, Prompt { id, text, at });
            }
        }
        all
    }
}

fn version(source: &Source<'_>, version: &Spanned<u32>, errors: &mut Vec<ScriptError>) {
    if *version.as_ref() != 1 {
        let problem = format!(
            "version {} is not known; this engine reads 1",
            version.as_ref()
        );
        errors.push(source.error(&version.span(), Rule::Syntax, problem));
    }
}

/// The nodes of one script with every goto resolved; shared nodes it does not reach are left out.
struct Graph {
    nodes: Vec<Node>,
    start: usize,
    commands: BTreeMap<Jump, usize>,
}

/// A node as read, with the file it stands in.
struct Raw<'a> {
    node: &'a NodeFile,
    source: Source<'a>,
    shared: bool,
}

impl Graph {
    fn build(
        source: &Source<'_>,
        file: &ScriptFile,
        shared_source: &Source<'_>,
        shared: &SharedFile,
        errors: &mut Vec<ScriptError>,
    ) -> Graph {
        let mut raw: Vec<Raw<'_>> = Vec::new();
        let own = file.node.iter().map(|node| (node, *source, false));
        let common = shared.node.iter().map(|node| (node, *shared_source, true));
        for (node, source, shared) in common.chain(own) {
            let id = node.id.as_ref();
            if raw.iter().any(|r| r.node.id.as_ref() == id) {
                let problem = format!("node `{id}` stands twice");
                errors.push(source.error(&node.id.span(), Rule::Duplicate, problem));
                continue;
            }
            raw.push(Raw {
                node,
                source,
                shared,
            });
        }
        let names = Names {
            raw: &raw,
            slots: &file.slots,
            slots_source: source,
        };
        let start = names.node(shared_source, &shared.start, errors);
        let mut commands = BTreeMap::new();
        for (jump, name) in &shared.commands {
            if let Some(index) = names.node(shared_source, name, errors) {
                commands.insert(*jump, index);
            }
        }
        let roots = commands.values().copied().chain(start);
        let kept = names.reached(roots.collect());
        let place_of: BTreeMap<usize, usize> = kept
            .iter()
            .enumerate()
            .map(|(new, old)| (*old, new))
            .collect();
        let nodes = kept
            .iter()
            .map(|index| names.finish(*index, &place_of, errors))
            .collect();
        Graph {
            nodes,
            start: start.and_then(|s| place_of.get(&s).copied()).unwrap_or(0),
            commands: commands
                .into_iter()
                .filter_map(|(jump, old)| Some((jump, *place_of.get(&old)?)))
                .collect(),
        }
    }
}

/// Resolves names of nodes, through the slots a script fills.
struct Names<'a> {
    raw: &'a [Raw<'a>],
    slots: &'a BTreeMap<String, Spanned<String>>,
    slots_source: &'a Source<'a>,
}

impl Names<'_> {
    /// The node behind a name; `@slot` goes through the script's slots.
    fn index(&self, name: &str) -> Option<usize> {
        let name = match name.strip_prefix('@') {
            Some(slot) => self.slots.get(slot)?.as_ref().as_str(),
            None => name,
        };
        self.raw.iter().position(|r| r.node.id.as_ref() == name)
    }

    fn node(
        &self,
        source: &Source<'_>,
        name: &Spanned<String>,
        errors: &mut Vec<ScriptError>,
    ) -> Option<usize> {
        let index = self.index(name.as_ref());
        if index.is_none() {
            let (source, span) = self.blame(source, name);
            let problem = format!("no node is named `{}`", name.as_ref());
            errors.push(source.error(&span, Rule::UnknownNode, problem));
        }
        index
    }

    /// A filled slot that leads nowhere is the script's fault; anything else the line's own.
    fn blame<'s>(
        &'s self,
        source: &'s Source<'s>,
        name: &Spanned<String>,
    ) -> (&'s Source<'s>, Range<usize>) {
        let slot = name
            .as_ref()
            .strip_prefix('@')
            .and_then(|s| self.slots.get(s));
        match slot {
            Some(filled) => (self.slots_source, filled.span()),
            None if name.as_ref().starts_with('@') => (self.slots_source, 0..0),
            None => (source, name.span()),
        }
    }

    /// Own nodes, and shared ones that some goto reaches, in the order of the files.
    fn reached(&self, roots: Vec<usize>) -> Vec<usize> {
        let own = self.raw.iter().enumerate().filter(|(_, r)| !r.shared);
        let mut open: Vec<usize> = roots.into_iter().chain(own.map(|(i, _)| i)).collect();
        let mut seen: BTreeSet<usize> = open.iter().copied().collect();
        while let Some(index) = open.pop() {
            let node = self.raw[index].node;
            let gotos = node.on.values().chain(&node.next);
            for goto in gotos.chain(&node.silence).chain(&node.no_match) {
                if let Some(next) = self.index(goto.as_ref())
                    && seen.insert(next)
                {
                    open.push(next);
                }
            }
        }
        seen.into_iter().collect()
    }

    fn finish(
        &self,
        index: usize,
        place_of: &BTreeMap<usize, usize>,
        errors: &mut Vec<ScriptError>,
    ) -> Node {
        let Raw { node, source, .. } = &self.raw[index];
        let goto = |name: &Spanned<String>, errors: &mut Vec<ScriptError>| {
            self.target(source, name, place_of, errors)
        };
        let next = node.next.as_ref().and_then(|n| goto(n, errors));
        let silence = node.silence.as_ref().and_then(|n| goto(n, errors));
        let no_match = node.no_match.as_ref().and_then(|n| goto(n, errors));
        let kind = kind(source, node, errors);
        let mut on = BTreeMap::new();
        for (reply, name) in &node.on {
            if !kind.replies().contains(&reply.as_str()) {
                let problem = format!(
                    "`{reply}` is no reply to this question; it understands: {}",
                    kind.replies().join(", ")
                );
                errors.push(source.error(&name.span(), Rule::UnknownReply, problem));
            }
            if let Some(target) = goto(name, errors) {
                on.insert(reply.clone(), target);
            }
        }
        if !matches!(kind, Kind::End) && node.next.is_none() {
            let problem = format!("node `{}` has no `next`", node.id.as_ref());
            errors.push(source.error(&node.id.span(), Rule::Endless, problem));
        }
        Node {
            id: NodeId(node.id.as_ref().clone()),
            at: source.place(&node.id.span()),
            days: node.days.clone(),
            when: node.when.clone(),
            barge_in: node.barge_in,
            say: pieces(source, node, errors),
            kind,
            asks: node.asks.clone(),
            replies: node.replies.clone(),
            emergency: node.emergency,
            follow_up: node.follow_up,
            effect: node.effect,
            again: node.again.as_ref().map(|s| s.as_ref().clone()),
            hint: node.hint.as_ref().map(|s| s.as_ref().clone()),
            next,
            on,
            silence,
            no_match,
        }
    }

    fn target(
        &self,
        source: &Source<'_>,
        name: &Spanned<String>,
        place_of: &BTreeMap<usize, usize>,
        errors: &mut Vec<ScriptError>,
    ) -> Option<Target> {
        match name.as_ref().as_str() {
            "@human" => Some(Target::Human),
            "@skip" => Some(Target::Skip),
            "@resume" => Some(Target::Resume),
            _ => {
                let index = self.node(source, name, errors)?;
                place_of.get(&index).copied().map(Target::Node)
            }
        }
    }
}

fn pieces(source: &Source<'_>, node: &NodeFile, errors: &mut Vec<ScriptError>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for item in &node.say {
        let name = item.as_ref();
        let variable = name.strip_prefix('{').and_then(|n| n.strip_suffix('}'));
        match variable.map(Variable::parse) {
            None => pieces.push(Piece::Prompt(name.clone())),
            Some(Some(variable)) => pieces.push(Piece::Variable(variable)),
            Some(None) => {
                let problem = format!(
                    "`{name}` is no variable; known are {{hospital}}, {{patient}}, {{callback_number}}, {{next_call}}"
                );
                errors.push(source.error(&item.span(), Rule::UnknownVariable, problem));
            }
        }
    }
    pieces
}

fn kind(source: &Source<'_>, node: &NodeFile, errors: &mut Vec<ScriptError>) -> Kind {
    let mut refuse = |problem: &str| {
        errors.push(source.error(&node.id.span(), Rule::Syntax, problem.to_owned()));
    };
    let is_yes_no = matches!(node.kind, KindName::YesNo | KindName::YesNoInverse);
    if !node.replies.is_empty() && !is_yes_no {
        refuse("only a yes or no takes `replies`");
    }
    match node.kind {
        KindName::Choice if node.choice.len() < 2 => {
            refuse("a choice needs at least two [[node.choice]]")
        }
        KindName::Choice => {}
        _ if !node.choice.is_empty() => refuse("only `kind = \"choice\"` takes [[node.choice]]"),
        KindName::Number if node.number.is_none() => {
            refuse("a number question needs `number = { … }`")
        }
        KindName::Stay if !node.times.is_some_and(|times| (1..=120).contains(&times)) => {
            refuse("a stay needs `times`, 1 to 120")
        }
        KindName::Stay if node.again.is_none() => refuse("a stay needs `again`"),
        _ => {}
    }
    match node.kind {
        KindName::Say => Kind::Say,
        KindName::End => Kind::End,
        KindName::YesNo => Kind::YesNo {
            inverse: false,
            number: node.number,
        },
        KindName::YesNoInverse => Kind::YesNo {
            inverse: true,
            number: node.number,
        },
        KindName::Choice => Kind::Choice(node.choice.clone()),
        KindName::Number => node.number.map_or(Kind::Open, Kind::Number),
        KindName::Open => Kind::Open,
        KindName::Identity => Kind::Identity,
        KindName::Who => Kind::Who,
        KindName::BirthDate => Kind::BirthDate,
        KindName::Wait => Kind::Wait,
        KindName::Stay => Kind::Stay {
            times: node.times.unwrap_or(1),
        },
    }
}
