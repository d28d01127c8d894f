//! Kinds of cue words: what turns a sighting round, sets its time or its subject, or answers a question.

/// One kind of cue, named in `cues.*.tsv` by [`Cue::NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cue {
    /// Denies what follows, over listed things (没有, no).
    Neg,
    /// Denies only what stands directly behind it (不, 没).
    NegTight,
    /// Denies what stands before it (…都没有, …is negative).
    NegAfter,
    /// What stands before it is over (…好了, …went away).
    Ceased,
    /// Improved, not gone (…好多了).
    Better,
    /// Looks like a negation and is none (不但, 没加重, no improvement).
    Pseudo,
    /// Two negations that make a yes (不能说没有).
    Double,
    /// What follows is a condition, a fear or an instruction (如果, 怕, if).
    Hypo,
    /// Ends the condition: what follows is its consequence (就, then).
    Then,
    /// A question about what follows (是不是, could it be).
    AskBefore,
    /// A question about what stands before it (…是什么意思).
    AskAfter,
    /// Another person is the subject from here.
    Other,
    /// The speaker is the subject from here.
    Own,
    /// A relative: another person to the patient, the patient to a caregiver.
    Kin,
    /// A mother's child, just born: a second subject (宝宝, my baby).
    Newborn,
    /// Before or at the admission.
    Past,
    /// What was done in hospital or led there (手术, 住院): with [`Cue::When`] behind it a time before discharge.
    Event,
    /// Before, on the day of, during (之前, 那天, 的时候): see [`Cue::Event`].
    When,
    /// Since discharge perhaps, but more than two days ago.
    Older,
    /// Within about two days, or now.
    Recent,
    /// At this moment, or a moment ago (现在, 刚才, right now).
    Now,
    /// Today or yesterday (昨天晚上, this morning).
    Day,
    /// Goes on until now (一直, still).
    Ongoing,
    Hedge,
    /// A word of contrast or exception: a clause begins with it.
    Contrast,
    /// Carries a negation on: degree, list and filler words.
    Through,
    /// Joins members of a list.
    Join,
    /// Ends a clause without meaning (了, 啊, please).
    Particle,
    /// There is: a bare answer that something is there.
    Has,
    /// Agrees with the question as it was put.
    Agree,
    No,
    /// Disagrees with the question as it was put (不是, 不对).
    Disagree,
    /// A report of health (正常, fine).
    Fine,
    Unknown,
    Both,
    Neither,
    /// Nothing else: denies what was asked and not named.
    RestNo,
    First,
    Second,
    Last,
    FirstTwo,
    LastTwo,
    Only,
    /// A line that the recogniser writes into silence.
    Noise,
    /// Left by an old illness and no different since (后遗症, 跟出院时一样, same as before): see [`super::Concept::onset`].
    Lasting,
    /// What colours stool or urine without any blood (铁剂): the colour is in doubt.
    Colours,
}

impl Cue {
    pub const NAMES: [(&'static str, Cue); 46] = [
        ("neg", Cue::Neg),
        ("neg_tight", Cue::NegTight),
        ("neg_after", Cue::NegAfter),
        ("ceased", Cue::Ceased),
        ("better", Cue::Better),
        ("pseudo", Cue::Pseudo),
        ("double", Cue::Double),
        ("hypo", Cue::Hypo),
        ("then", Cue::Then),
        ("ask_before", Cue::AskBefore),
        ("ask_after", Cue::AskAfter),
        ("other", Cue::Other),
        ("own", Cue::Own),
        ("kin", Cue::Kin),
        ("newborn", Cue::Newborn),
        ("past", Cue::Past),
        ("event", Cue::Event),
        ("when", Cue::When),
        ("older", Cue::Older),
        ("recent", Cue::Recent),
        ("now", Cue::Now),
        ("day", Cue::Day),
        ("ongoing", Cue::Ongoing),
        ("hedge", Cue::Hedge),
        ("contrast", Cue::Contrast),
        ("through", Cue::Through),
        ("join", Cue::Join),
        ("particle", Cue::Particle),
        ("has", Cue::Has),
        ("agree", Cue::Agree),
        ("no", Cue::No),
        ("disagree", Cue::Disagree),
        ("fine", Cue::Fine),
        ("unknown", Cue::Unknown),
        ("both", Cue::Both),
        ("neither", Cue::Neither),
        ("rest_no", Cue::RestNo),
        ("first", Cue::First),
        ("second", Cue::Second),
        ("last", Cue::Last),
        ("first_two", Cue::FirstTwo),
        ("last_two", Cue::LastTwo),
        ("only", Cue::Only),
        ("noise", Cue::Noise),
        ("lasting", Cue::Lasting),
        ("colours", Cue::Colours),
    ];

    pub fn named(name: &str) -> Option<Cue> {
        Cue::NAMES
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, cue)| *cue)
    }

    /// The place of this kind in a [`Cues`] set.
    fn bit(self) -> u64 {
        1 << (self as u64)
    }
}

/// A set of kinds: one wording often is several (没有 denies, and answers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cues(u64);

impl Cues {
    pub fn of(kinds: &[Cue]) -> Cues {
        let mut all = Cues::default();
        for cue in kinds {
            all.add(*cue);
        }
        all
    }

    pub fn meets(self, other: Cues) -> bool {
        self.0 & other.0 != 0
    }

    pub fn add(&mut self, cue: Cue) {
        self.0 |= cue.bit();
    }

    pub fn has(self, cue: Cue) -> bool {
        self.0 & cue.bit() != 0
    }

    pub fn any(self, cues: &[Cue]) -> bool {
        cues.iter().any(|cue| self.has(*cue))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}
