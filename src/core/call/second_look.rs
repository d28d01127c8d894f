//! What a second listening after the call adds: a slower ear's words under the same judgement. It only adds, and
//! nothing that the patient was never asked about counts as certain.

use crate::finding::{Confirmation, Finding, PlacedFinding, Polarity, RuleFired};
use crate::question::Question;
use crate::redflag::{Lexicon, Reply, assess};

/// What the words heard the second time say to be there and the call did not find. `logprob` is their mean
/// log-probability; `known` are all findings of the call.
///
/// What the patient denied when asked about it was asked about once already.
pub fn adds(
    lexicon: &Lexicon,
    question: &Question,
    (words, logprob): (&str, f32),
    known: &[PlacedFinding],
) -> Vec<Finding> {
    let reply = Reply {
        text: words,
        logprob: Some(logprob),
    };
    let found = assess(lexicon, question, &reply).findings;
    let new = found
        .into_iter()
        .filter(|finding| finding.alerts() && !known.iter().any(|known| covers(known, finding)));
    new.map(unconfirmed).collect()
}

fn covers(known: &PlacedFinding, new: &Finding) -> bool {
    let known = &known.finding;
    let is_same = known.concept == new.concept && known.subject == new.subject;
    let is_known = known.alerts() && known.urgency <= new.urgency;
    is_same && (is_known || known.confirmation == Confirmation::Denied)
}

fn unconfirmed(mut finding: Finding) -> Finding {
    finding.evidence.rules.push(RuleFired {
        rule: "heard_after_the_call".to_owned(),
        span: finding.evidence.span,
        before: finding.polarity,
        after: Polarity::Uncertain,
    });
    finding.polarity = Polarity::Uncertain;
    finding.confirmation = Confirmation::Unclear;
    finding
}
