//! Replies nobody would say: mutated rows of our own, under every kind of question. Nothing panics, every span lies in
//! its reply, and what is concluded agrees with itself.

use aftercall_core::finding::Finding;
use aftercall_core::question::{Question, QuestionKind, Respondent};
use aftercall_core::redflag::rows::Row;
use aftercall_core::redflag::{Reply, assess};

use crate::metamorphic::{lexicon, own};
use crate::support::rounds;

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("it is below 256")
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound.max(1)).expect("a table is short");
        usize::try_from((mixed ^ (mixed >> 31)) % bound).expect("it is below the bound")
    }

    pub fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// Any character, most often one that means something to the reader of replies.
    fn character(&mut self) -> char {
        const ODD: [char; 24] = [
            '没', '不', '有', '，', '。', '？', '点', '度', '一', '百', '零', ' ', '\'', '-', '.',
            '/', '8', '0', '\u{301}', '\u{200d}', '😀', 'ﬁ', '㎎', '\u{0}',
        ];
        match self.below(3) {
            0 => {
                let code = u32::try_from(self.below(0x11_0000)).expect("it is below 0x110000");
                char::from_u32(code).unwrap_or('疼')
            }
            _ => *self.of(&ODD),
        }
    }
}

fn mutated(dice: &mut Dice, rows: &[Row]) -> String {
    let mut text: Vec<char> = dice.of(rows).reply.chars().collect();
    for _ in 0..=dice.below(4) {
        let at = dice.below(text.len() + 1);
        match dice.below(7) {
            0 => text.insert(at, dice.character()),
            1 if at < text.len() => {
                text.remove(at);
            }
            2 if at < text.len() => text[at] = dice.character(),
            3 => text.truncate(at),
            4 => {
                let other: Vec<char> = dice.of(rows).reply.chars().collect();
                text.splice(at..at, other);
            }
            5 => {
                let stretch: Vec<char> = text.iter().skip(at).take(6).copied().collect();
                for _ in 0..dice.below(12) {
                    text.splice(at..at, stretch.iter().copied());
                }
            }
            _ => text.reverse(),
        }
    }
    text.into_iter().collect()
}

fn question(dice: &mut Dice, rows: &[Row]) -> Question {
    const KINDS: [QuestionKind; 5] = [
        QuestionKind::YesNo,
        QuestionKind::YesNoNegated,
        QuestionKind::YesNoInverse,
        QuestionKind::Wh,
        QuestionKind::Open,
    ];
    let mut asked = dice.of(rows).question.clone();
    asked.kind = *dice.of(&KINDS);
    asked.asks.extend(dice.of(rows).question.asks.clone());
    asked.respondent = *dice.of(&[Respondent::Patient, Respondent::Caregiver]);
    asked
}

#[test]
fn no_reply_breaks_the_judgement() {
    let lexicon = lexicon();
    let rows = own(&lexicon);
    let mut dice = Dice(20_261_122);
    for _ in 0..rounds(3_000) {
        let text = mutated(&mut dice, &rows);
        let question = question(&mut dice, &rows);
        let logprob = *dice.of(&[None, Some(-0.2), Some(-3.0), Some(f32::NAN)]);
        let reply = Reply {
            text: &text,
            logprob,
        };
        let judged = assess(&lexicon, &question, &reply);
        let length = text.chars().count();
        let spans = judged.findings.iter().map(|f| &f.evidence);
        for evidence in spans.chain(judged.suppressed.iter().map(|s| &s.evidence)) {
            let (from, to) = evidence.span;
            assert!(from <= to && to <= length, "{text:?}: {evidence:?}");
        }
        let alerts = judged.findings.iter().any(Finding::alerts);
        assert_eq!(judged.alert, alerts, "{text:?}");
        if dice.below(50) == 0 {
            assert_eq!(assess(&lexicon, &question, &reply), judged, "{text:?}");
        }
    }
}
