//! Findings that rest on doubt about what was heard, not on the words that stand: each is asked about once.

use std::sync::Arc;

use super::{Assessment, ENGINE, Lexicon, Reply, assess, normal};
use crate::finding::{
    About, Confirmation, Evidence, Finding, MatchLevel, Polarity, RuleFired, Urgency, When,
};
use crate::id::ConceptId;
use crate::question::Question;

impl Assessment {
    /// Whether the words say that something emergent is there, or may be.
    pub fn has_emergent(&self) -> bool {
        let emergent = |f: &Finding| f.is_there() && f.urgency == Urgency::Emergent;
        self.findings.iter().any(emergent)
    }

    /// Whatever emergency was found is asked about before it is believed.
    pub fn ask_first(&mut self) {
        let emergent = |f: &&mut Finding| f.is_there() && f.urgency == Urgency::Emergent;
        for finding in self.findings.iter_mut().filter(emergent) {
            if finding.confirmation == Confirmation::NotNeeded {
                finding.confirmation = Confirmation::Due;
            }
        }
    }

    /// Adds what another hearing of the same sound says of emergencies. It is asked about, and never counts as heard.
    pub fn doubt_by(&mut self, lexicon: &Lexicon, question: &Question, otherwise: &str) {
        let reply = Reply {
            text: otherwise,
            logprob: Some(f32::NEG_INFINITY),
        };
        let heard = assess(lexicon, question, &reply);
        let due = |f: &Finding| f.confirmation == Confirmation::Due;
        if let Some(mut finding) = heard.findings.into_iter().find(due) {
            finding.evidence.rules.push(RuleFired {
                rule: "heard_otherwise".to_owned(),
                span: finding.evidence.span,
                before: finding.polarity,
                after: Polarity::Uncertain,
            });
            finding.polarity = Polarity::Uncertain;
            self.doubt(finding);
        }
    }

    /// Adds what a reply told by its sound says to be there, where the written words do not: an emergency is asked
    /// about, anything else stands.
    pub fn add_by_sound(&mut self, lexicon: &Lexicon, question: &Question, sound: &str) {
        if !self.has_emergent() {
            self.doubt_by(lexicon, question, sound);
        }
        let reply = Reply {
            text: sound,
            logprob: None,
        };
        for mut finding in assess(lexicon, question, &reply).findings {
            let is_known = |known: &Finding| known.concept == finding.concept;
            if !finding.is_there()
                || finding.urgency == Urgency::Emergent
                || self.findings.iter().any(is_known)
            {
                continue;
            }
            finding.evidence.rules.push(RuleFired {
                rule: "told_by_sound".to_owned(),
                span: finding.evidence.span,
                before: finding.polarity,
                after: finding.polarity,
            });
            self.alert |= finding.alerts();
            self.findings.push(finding);
        }
    }

    /// Adds the concept that the question asks for: the words are read as a yes, though none of its wordings is in them.
    pub fn doubt_as_yes(&mut self, lexicon: &Lexicon, concept: &ConceptId, text: &str) {
        let Some(concept) = lexicon.concepts().iter().find(|c| c.id == *concept) else {
            return;
        };
        let span = (0, text.chars().count());
        let finding = Finding {
            concept: concept.id.clone(),
            detail: None,
            polarity: Polarity::Uncertain,
            urgency: concept.urgency,
            confirmation: Confirmation::Due,
            when: When::Unclear,
            subject: About::Patient,
            evidence: Evidence {
                raw: text.into(),
                normalised: Arc::from(normal::written(&normal::units(text))),
                span,
                term: String::new(),
                level: MatchLevel::Frame,
                pinyin: None,
                rules: vec![RuleFired {
                    rule: "read_as_yes".to_owned(),
                    span,
                    before: Polarity::Uncertain,
                    after: Polarity::Uncertain,
                }],
                lexicon: lexicon.hash().to_owned(),
                engine: ENGINE.to_owned(),
            },
        };
        self.doubt(finding);
    }

    /// What is doubted is not denied.
    fn doubt(&mut self, finding: Finding) {
        let denial = |f: &Finding| f.concept == finding.concept && f.polarity == Polarity::Absent;
        self.findings.retain(|f| !denial(f));
        self.findings.push(finding);
        self.alert = true;
    }
}
