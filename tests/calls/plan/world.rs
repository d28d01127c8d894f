//! Random hospitals, families, telephones and clocks, and a checker of every dial that shares no code with the plan.
//!
//! The checker knows the raw rules as they were drawn, and asks jiff alone what the local time is. `make eval
//! EVAL=plans` runs it over a million patient-days, `make test` over some thousands.

use std::collections::BTreeMap;
use std::time::Duration;

use aftercall_core::attempt::Disposition;
use aftercall_core::id::{EpisodeId, PatientId, StepId};
use aftercall_core::lang::Lang;
use aftercall_core::patient::{
    Consent, ConsentBasis, Contact, Episode, EpisodeState, Hearing, Life, Patient, Relation, Topic,
};
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::learn::{AgeBand, HourOfWeek};
use aftercall_core::plan::{
    Cadence, CallingPolicy, Caps, DepartmentTerms, DialOrder, Holidays, Minors, NextStep,
    NumberFacts, OnHolidays, PastAttempt, PlanInput, Profile, Reason, SetHours, Standing, Step,
    StepState, Terms, TrunkHours, Whom, Window, Wishes, enroll, next_step,
};
use aftercall_core::time::{self, Timestamp};
use jiff::SignedDuration;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const ZONES: [&str; 22] = [
    "Asia/Shanghai",
    "Asia/Urumqi",
    "Asia/Singapore",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Asia/Gaza",
    "Europe/London",
    "Europe/Berlin",
    "Africa/Casablanca",
    "Africa/Cairo",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Phoenix",
    "America/Santiago",
    "America/Scoresbysund",
    "Atlantic/Azores",
    "Antarctica/Troll",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Apia",
];

/// What a world came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub patients: u64,
    /// Days from discharge to the last day of the last step, over all patients.
    pub patient_days: u64,
    pub decisions: u64,
    pub dials: u64,
    /// Dials of somebody else's telephone than the patient's.
    pub contacts: u64,
    /// Dials that only an exemption allowed.
    pub exempt: u64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.patients += other.patients;
        self.patient_days += other.patient_days;
        self.decisions += other.decisions;
        self.dials += other.dials;
        self.contacts += other.contacts;
        self.exempt += other.exempt;
    }
}

/// Lives through one world.
///
/// # Panics
/// When a dial breaks a rule, or an answer cannot be kept.
pub fn live(seed: u64) -> Tally {
    World::new(seed).live()
}

/// The rules of a hospital as they were drawn.
#[derive(Clone)]
struct Plain {
    terms: Terms,
    trunk: Option<Vec<Window>>,
    trunk_zone: TimeZone,
    holidays: Option<PlainHolidays>,
    closed: Vec<HourOfWeek>,
    /// Windows that an admin set: the hospital's, and those of oncology. They may lie outside the law.
    set: [Option<Vec<Window>>; 2],
}

#[derive(Clone)]
struct PlainHolidays {
    from: Date,
    until: Date,
    off: Vec<Date>,
    worked: Vec<Date>,
}

/// One patient, and what becomes of her.
struct Person {
    patient: Patient,
    episode: Episode,
    zone: TimeZone,
    wishes: Option<Vec<Window>>,
    /// From then on she must not be rung.
    ends_at: Option<(Timestamp, End)>,
    /// The feed confirms her record every so often from discharge on.
    confirmed_every: SignedDuration,
    steps: Vec<Followed>,
}

#[derive(Clone, Copy)]
enum End {
    Dies,
    IsReadmitted,
    Withdraws,
    IsSuppressed,
}

struct Followed {
    step: Step,
    attempts: Vec<PastAttempt>,
    wakes: Timestamp,
}

struct World {
    seed: u64,
    random: ChaCha8Rng,
    plain: Plain,
    policy: CallingPolicy,
    people: Vec<Person>,
    /// Attempts by number.
    rung: BTreeMap<PhoneNumber, Vec<PastAttempt>>,
    /// Hours in which a ward's order stands unanswered, or dialling is paused.
    trouble: (Timestamp, Timestamp),
    tally: Tally,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (plain, policy) = loop {
            let plain = Plain::random(&mut random);
            if let Ok(policy) = CallingPolicy::new(&plain.terms) {
                let hours = plain.trunk.as_deref().and_then(TrunkHours::new);
                let policy = policy.with_hours(&plain.set_hours()).into_owned();
                break (plain, policy.on_trunk("t", hours));
            }
        };
        // 2024-01-01 and three years on, to the second: holidays are known for two of them.
        let base = 1_704_067_200 + pick(&mut random, 3 * 365 * 86_400) as i64;
        let base = Timestamp::from_second(base).expect("within range");
        let family = 1 + pick(&mut random, 3);
        let people: Vec<Person> = (0..family)
            .map(|place| Person::random(&mut random, place, base))
            .collect();
        let from = base + hours(pick(&mut random, 30 * 24));
        let trouble = (from, from + hours(pick(&mut random, 72)));
        Self {
            seed,
            random,
            plain,
            policy,
            people,
            rung: BTreeMap::new(),
            trouble,
            tally: Tally::default(),
        }
    }

    fn live(mut self) -> Tally {
        self.tally.patients = self.people.len() as u64;
        self.tally.patient_days = self.people.iter().map(Person::days).sum();
        for _ in 0..20_000 {
            let open = self.people.iter().enumerate().flat_map(|(who, person)| {
                let steps = person.steps.iter().enumerate();
                steps
                    .filter(|(_, followed)| !followed.step.state.is_closed())
                    .map(move |(which, followed)| (followed.wakes, who, which))
            });
            let Some((now, who, which)) = open.min() else {
                return self.tally;
            };
            self.ask(now, who, which);
        }
        panic!("seed {}: a step never ended", self.seed);
    }

    fn ask(&mut self, now: Timestamp, who: usize, which: usize) {
        self.tally.decisions += 1;
        self.happen(now, who);
        let numbers = self.numbers(now, who);
        let person = &self.people[who];
        let followed = &person.steps[which];
        let wishes = person.wishes.as_deref();
        let wishes = wishes.map(|windows| Wishes::new(windows).expect("drawn sound"));
        let attempts = seen_at(&followed.attempts, now);
        let input = PlanInput {
            step: &followed.step,
            patient: &person.patient,
            episode: &person.episode,
            attempts: &attempts,
            numbers: &numbers,
            wishes: wishes.as_ref(),
            closed: &self.plain.closed,
            standing: self.standing(now, who),
            rota: None,
            policy: &self.policy,
        };
        match next_step(&input, now) {
            NextStep::DialNow(order) => {
                self.check(now, who, which, &order);
                let past = self.call(now, &order);
                self.tally.dials += 1;
                self.tally.contacts += u64::from(order.whom != Whom::Patient);
                let log = self.rung.entry(order.number).or_default();
                log.push(past.clone());
                let followed = &mut self.people[who].steps[which];
                followed.wakes = past.ended_at.expect("it ended");
                followed.attempts.push(past);
            }
            NextStep::Wait { until, why } => {
                let seed = self.seed;
                assert!(until > now, "seed {seed}: waits into the past: {why}");
                assert!(!why.words(Lang::Zh).is_empty() && !why.words(Lang::En).is_empty());
                let of_the_moment = matches!(
                    why,
                    Reason::LiveOnNumber
                        | Reason::Paused
                        | Reason::WardUnanswered
                        | Reason::StaleRecord { .. }
                );
                if !of_the_moment {
                    let then = PlanInput {
                        standing: Standing {
                            record_seen_at: Some(until),
                            ..Standing::default()
                        },
                        ..input
                    };
                    let found = next_step(&then, until);
                    // A birthday in between may change who is rung, or whether.
                    let grew = person.age(until) != person.age(now);
                    assert!(
                        grew || matches!(found, NextStep::DialNow(_)),
                        "seed {seed}: {now} in {}: {why}; at {until}: {found:?}",
                        person.patient.zone
                    );
                }
                let wakes = self.wake(now, until);
                self.people[who].steps[which].wakes = wakes;
            }
            NextStep::Finished(state, why) => {
                let seed = self.seed;
                assert!(state.is_closed() && !why.words(Lang::En).is_empty());
                let rang = followed.attempts.iter().any(|past| past.rang);
                assert!(state != StepState::Unreached || rang, "seed {seed}: {why}");
                self.people[who].steps[which].step.state = state;
            }
        }
    }

    /// What has come over her by now.
    fn happen(&mut self, now: Timestamp, who: usize) {
        let person = &mut self.people[who];
        let Some((_, end)) = person.ends_at.filter(|(at, _)| *at <= now) else {
            return;
        };
        match end {
            End::Dies => person.patient.life = Life::Dead,
            End::IsReadmitted => person.episode.state = EpisodeState::Readmitted,
            End::Withdraws => person.patient.consent.basis = ConsentBasis::Withdrawn,
            End::IsSuppressed => {}
        }
    }

    fn is_suppressed(&self, number: &PhoneNumber, now: Timestamp) -> bool {
        self.people.iter().any(|person| {
            let ends = matches!(person.ends_at, Some((at, End::IsSuppressed)) if at <= now);
            ends && person.patient.phone.as_ref() == Some(number)
        })
    }

    fn numbers(&self, now: Timestamp, who: usize) -> Vec<NumberFacts> {
        let patient = &self.people[who].patient;
        let contacts = patient
            .contacts
            .iter()
            .filter_map(|contact| contact.phone.as_ref());
        let all = patient.phone.iter().chain(contacts);
        all.map(|number| NumberFacts {
            number: number.clone(),
            attempts: seen_at(self.rung.get(number).map_or(&[], Vec::as_slice), now),
            suppressed: self.is_suppressed(number, now),
        })
        .collect()
    }

    fn standing(&self, now: Timestamp, who: usize) -> Standing {
        let in_trouble = (self.trouble.0..self.trouble.1).contains(&now);
        let person = &self.people[who];
        Standing {
            enrolled_at: None,
            record_seen_at: person.confirmed(now),
            ward_unanswered: in_trouble && self.seed.is_multiple_of(2),
            paused: in_trouble && !self.seed.is_multiple_of(2),
        }
    }

    /// The engine mostly wakes when told; sometimes early, and sometimes late after an outage.
    fn wake(&mut self, now: Timestamp, until: Timestamp) -> Timestamp {
        let wait = until.duration_since(now).as_secs().unsigned_abs();
        match pick(&mut self.random, 10) {
            0 => now + secs(pick(&mut self.random, wait.max(1)) + 1),
            1 => until + secs(pick(&mut self.random, 40_000)),
            _ => until,
        }
    }

    fn call(&mut self, now: Timestamp, order: &DialOrder) -> PastAttempt {
        // Mostly outcomes after which it is rung again, or nothing would be tried.
        let random = &mut self.random;
        let disposition = match pick(random, 5) {
            0 => Disposition::ALL[pick(random, Disposition::ALL.len() as u64) as usize],
            1 => Disposition::Busy,
            2 => Disposition::TrunkFailure,
            3 => Disposition::NotNow,
            _ => Disposition::NoAnswer,
        };
        let lasts = secs(pick(random, 400));
        let asks = pick(random, 2) == 0;
        let rang = disposition != Disposition::TrunkFailure || pick(random, 3) == 0;
        let asked = secs(pick(random, 100_000));
        PastAttempt {
            number: Some(order.number.clone()),
            started_at: now,
            ended_at: Some(now + lasts),
            rang,
            disposition: Some(disposition),
            early_media: None,
            asked_for: (disposition == Disposition::NotNow && asks).then(|| now + asked),
        }
    }
}

/// What is known of attempts now: who still talks has no end yet.
fn seen_at(attempts: &[PastAttempt], now: Timestamp) -> Vec<PastAttempt> {
    let seen = |past: &PastAttempt| {
        if past.ended_at.is_some_and(|ended| ended <= now) {
            return past.clone();
        }
        PastAttempt {
            ended_at: None,
            disposition: None,
            asked_for: None,
            rang: true,
            ..past.clone()
        }
    };
    attempts.iter().map(seen).collect()
}

impl Person {
    fn random(random: &mut ChaCha8Rng, place: u64, base: Timestamp) -> Self {
        let zone_name = ZONES[pick(random, ZONES.len() as u64) as usize];
        let zone = time::zone(zone_name).expect("a known zone");
        let discharged_at = base + hours(pick(random, 72));
        // Mostly grown up; some turn 14 or 18 between two steps.
        let age_days = match pick(random, 4) {
            0 => 13 * 365 + 330 + pick(random, 60),
            1 => 17 * 365 + 330 + pick(random, 60),
            2 => pick(random, 16 * 365),
            _ => 20 * 365 + pick(random, 70 * 365),
        };
        let today = zone.to_datetime(discharged_at).date();
        let birth = today.saturating_sub(jiff::Span::new().days(age_days as i64));
        let contacts = (0..pick(random, 4)).map(|_| contact(random)).collect();
        let patient = Patient {
            id: PatientId(format!("p{place}")),
            hospital: "main".into(),
            number: Phi::new(format!("N{place}")),
            name: Phi::new("Test Person".into()),
            birth_date: Phi::new(birth),
            phone: (pick(random, 12) > 0).then(|| number(random)),
            lang: Lang::Zh,
            dialect: None,
            hearing: [Hearing::Normal, Hearing::Hard][pick(random, 2) as usize],
            zone: zone_name.into(),
            knows_diagnosis: true,
            life: Life::Alive,
            consent: Consent {
                basis: [ConsentBasis::Written, ConsentBasis::Verbal][pick(random, 2) as usize],
                ..Consent::default()
            },
            contacts,
        };
        let episode = Episode {
            id: EpisodeId(format!("e{place}")),
            patient: patient.id.clone(),
            encounter: format!("E{place}"),
            pathway: "general".into(),
            department: ["", "oncology", "eyes"][pick(random, 3) as usize].into(),
            ward: String::new(),
            discharged_at,
            state: EpisodeState::Discharged,
            high_risk: false,
        };
        let wishes = (pick(random, 4) == 0).then(|| windows(random, 0, 24 * 60 - 1));
        let end = [
            End::Dies,
            End::IsReadmitted,
            End::Withdraws,
            End::IsSuppressed,
        ][pick(random, 4) as usize];
        let ends_at =
            (pick(random, 4) == 0).then(|| (discharged_at + hours(pick(random, 35 * 24)), end));
        let steps = enroll(&patient, &episode, &Cadence::default());
        let steps = steps.into_iter().map(|step| Followed {
            wakes: discharged_at.max(step.next_at - hours(pick(random, 30))),
            attempts: Vec::new(),
            step: Step {
                id: StepId(format!("{place}-{}", step.id)),
                ..step
            },
        });
        Self {
            steps: steps.collect(),
            zone,
            wishes,
            ends_at,
            confirmed_every: hours(1 + pick(random, 40)),
            patient,
            episode,
        }
    }

    fn days(&self) -> u64 {
        let from = self.zone.to_datetime(self.episode.discharged_at).date();
        let last = self.steps.iter().map(|followed| followed.step.lapses_on);
        let until = last.max().unwrap_or(from);
        from.until(until)
            .expect("within range")
            .get_days()
            .unsigned_abs()
            .into()
    }

    fn age(&self, at: Timestamp) -> i16 {
        let birth = *self.patient.birth_date.expose();
        let lived = birth.until((jiff::Unit::Year, self.zone.to_datetime(at).date()));
        lived.expect("within range").get_years()
    }

    fn confirmed(&self, now: Timestamp) -> Option<Timestamp> {
        let since = now.duration_since(self.episode.discharged_at).as_secs();
        let every = self.confirmed_every.as_secs();
        (since >= 0).then(|| now - SignedDuration::from_secs(since % every))
    }
}

fn contact(random: &mut ChaCha8Rng) -> Contact {
    let relations = [
        Relation::Spouse,
        Relation::Child,
        Relation::Parent,
        Relation::Guardian,
        Relation::Other,
    ];
    Contact {
        name: Phi::new("Test Contact".into()),
        relation: relations[pick(random, 5) as usize],
        phone: (pick(random, 5) > 0).then(|| number(random)),
        topics: if pick(random, 4) > 0 {
            vec![Topic::Health]
        } else {
            vec![Topic::Appointments]
        },
    }
}

/// One of a handful, so that families share them; some are abroad.
fn number(random: &mut ChaCha8Rng) -> PhoneNumber {
    let known = [
        "1000",
        "1001",
        "13800138000",
        "+8613800138001",
        "+14155550100",
        "+442079460000",
    ];
    PhoneNumber::parse(known[pick(random, known.len() as u64) as usize]).expect("a number")
}

impl Plain {
    fn random(random: &mut ChaCha8Rng) -> Self {
        let law = Profile::ALL[pick(random, 3) as usize];
        let (first, last) = if law == Profile::Neutral {
            (9 * 60, 20 * 60)
        } else {
            (8 * 60, 21 * 60)
        };
        let noon_rest =
            (pick(random, 3) > 0).then(|| (clock(12 * 60), clock(13 * 60 + pick(random, 90))));
        let (day, day_and_night) = if law == Profile::Cn { (3, 5) } else { (1, 3) };
        let caps = Caps {
            per_day: 1 + pick(random, day) as u32,
            per_24h: 1 + pick(random, day_and_night) as u32,
            min_gap: Duration::from_secs(60 * (10 + pick(random, 120))),
            max_attempts: 1 + pick(random, 10) as u32,
            caller_per_hour: 60,
        };
        let oncology = DepartmentTerms {
            windows: (pick(random, 2) == 0).then(|| windows(random, first, last)),
            per_day: (pick(random, 2) == 0).then_some(1),
        };
        let holidays = PlainHolidays::random(random);
        let zone = time::zone(ZONES[pick(random, ZONES.len() as u64) as usize]);
        let zone = zone.expect("a known zone");
        let terms = Terms {
            law,
            windows: windows(random, first, last),
            noon_rest,
            on_holidays: [
                OnHolidays::Ordinary,
                OnHolidays::AsSunday,
                OnHolidays::Closed,
            ][pick(random, 3) as usize],
            holidays: holidays
                .as_ref()
                .map(|plain| Holidays::parse(&plain.text()).expect("drawn sound")),
            caps,
            consent: if pick(random, 5) == 0 {
                vec![ConsentBasis::Written]
            } else {
                vec![ConsentBasis::Written, ConsentBasis::Verbal]
            },
            departments: BTreeMap::from([("oncology".to_owned(), oncology)]),
            minors: [Minors::Guardian, Minors::Patient, Minors::Nobody][pick(random, 3) as usize],
            record_max_age: (pick(random, 2) == 0).then(|| hours(12 + pick(random, 24))),
            duty: match pick(random, 3) {
                0 => vec![Window::daily(Time::midnight(), clock(24 * 60 - 1))],
                1 => windows(random, 0, 24 * 60 - 1),
                _ => CallingPolicy::default_duty(),
            },
            zone: zone.clone(),
        };
        Self {
            terms,
            trunk: (pick(random, 4) == 0).then(|| windows(random, 6 * 60, 23 * 60)),
            trunk_zone: zone,
            holidays,
            closed: (0..pick(random, 60)).map(|_| closed(random)).collect(),
            set: [0, 1].map(|_| (pick(random, 3) == 0).then(|| windows(random, 6 * 60, 23 * 60))),
        }
    }

    fn set_hours(&self) -> Vec<SetHours> {
        let departments = [None, Some("oncology".to_owned())];
        let set = departments.into_iter().zip(&self.set);
        let hours = set.filter_map(|(department, windows)| {
            let windows = windows.as_ref()?;
            let week = std::array::from_fn(|day| {
                let of_day = windows.iter().filter(|window| {
                    let days = window.days.iter();
                    let mut places = days.map(|at| at.to_monday_zero_offset() as usize);
                    places.any(|place| place == day)
                });
                of_day.map(|window| (window.from, window.to)).collect()
            });
            Some(SetHours { department, week })
        });
        hours.collect()
    }

    /// Whether the windows are open at a local time, whatever kind of day it may be.
    fn open(&self, windows: &[Window], rest: bool, day: Date, at: Time) -> bool {
        let in_rest = self
            .terms
            .noon_rest
            .is_some_and(|(from, to)| rest && from <= at && at < to);
        let on = |weekday: Weekday| {
            windows
                .iter()
                .any(|w| w.days.contains(&weekday) && w.from <= at && at < w.to)
        };
        let ordinary = on(day.weekday());
        let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        let holiday = match self.terms.on_holidays {
            OnHolidays::Ordinary => return ordinary && !in_rest,
            OnHolidays::AsSunday => on(Weekday::Sunday),
            OnHolidays::Closed => false,
        };
        let Some(known) = &self.holidays else {
            return ordinary && !in_rest;
        };
        let as_day = if day < known.from || day > known.until {
            ordinary && holiday && (!weekend || on(Weekday::Monday))
        } else if known.off.contains(&day) {
            holiday
        } else if known.worked.contains(&day) {
            on(Weekday::Monday)
        } else {
            ordinary
        };
        as_day && !in_rest
    }

    /// Whether somebody is on duty in every minute of the 70 that follow.
    fn staffed(&self, now: Timestamp) -> bool {
        (0..=70).all(|minute| {
            // The last instant itself need not be covered.
            let at = now + SignedDuration::from_mins(minute)
                - SignedDuration::from_nanos(i64::from(minute == 70));
            let local = at.to_zoned(self.terms.zone.clone());
            let time = local.time();
            self.terms.duty.iter().any(|w| {
                let to_the_end = w.to >= clock(24 * 60 - 1);
                w.days.contains(&local.date().weekday())
                    && w.from <= time
                    && (time < w.to || to_the_end)
            })
        })
    }
}

impl PlainHolidays {
    fn random(random: &mut ChaCha8Rng) -> Option<Self> {
        if pick(random, 3) == 0 {
            return None;
        }
        let from = jiff::civil::date(2024, 1, 1);
        let until = jiff::civil::date(2025, 12, 31);
        let day = |random: &mut ChaCha8Rng| {
            from.saturating_add(jiff::Span::new().days(pick(random, 700) as i64))
        };
        let mut off = Vec::new();
        for _ in 0..20 {
            let first = day(random);
            let days = first.series(jiff::Span::new().days(1));
            off.extend(days.take(1 + pick(random, 9) as usize));
        }
        let mut worked: Vec<Date> = (0..60).map(|_| day(random)).collect();
        worked.retain(|day| {
            matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) && !off.contains(day)
        });
        worked.dedup();
        Some(Self {
            from,
            until,
            off,
            worked,
        })
    }

    fn text(&self) -> String {
        let off = self
            .off
            .iter()
            .map(|day| format!("{{ from = {day}, until = {day} }}"));
        let (off, worked): (Vec<String>, Vec<String>) = (
            off.collect(),
            self.worked.iter().map(Date::to_string).collect(),
        );
        format!(
            "version = 1\nname = \"drawn\"\nfrom = {}\nuntil = {}\nholidays = [{}]\nworking = [{}]\n",
            self.from,
            self.until,
            off.join(", "),
            worked.join(", ")
        )
    }
}

impl World {
    /// Every rule there is, asked of one dial.
    fn check(&mut self, now: Timestamp, who: usize, which: usize, order: &DialOrder) {
        let person = &self.people[who];
        let followed = &person.steps[which];
        let terms = &self.plain.terms;
        let local = now.to_zoned(person.zone.clone());
        let (day, clock) = (local.date(), local.time());
        let at = format!(
            "seed {}: step {} dialled at {local}",
            self.seed, followed.step.id
        );
        let attempts = &followed.attempts;
        assert_eq!(order.attempt as usize, attempts.len() + 1, "{at}");

        // Who she is and how she is.
        let over =
            |ended: &(Timestamp, End)| ended.0 <= now && !matches!(ended.1, End::IsSuppressed);
        assert!(
            !person.ends_at.as_ref().is_some_and(over),
            "{at}: must not be rung"
        );
        assert!(!self.is_suppressed(&order.number, now), "{at}: do not call");
        if let Some(own) = &person.patient.phone {
            assert!(
                !self.is_suppressed(own, now),
                "{at}: she is not to be called"
            );
        }
        assert!(
            terms.consent.contains(&person.patient.consent.basis),
            "{at}: consent"
        );
        self.check_callee(&at, person, order, day);

        // Which exemption it may claim.
        let last = attempts.last();
        let recall = last.filter(|past| past.disposition == Some(Disposition::CutInEmergency));
        let asked = last
            .filter(|past| past.disposition == Some(Disposition::NotNow))
            .and_then(|past| {
                past.asked_for
                    .filter(|hour| *hour > past.ended_at.expect("ended"))
            });
        let asks = attempts
            .iter()
            .filter(|past| past.asked_for.is_some())
            .count();
        let by_wish = asked.is_some() && asks <= 2;
        if let Some(hour) = asked {
            assert!(now >= hour, "{at}: before the hour that was asked for");
        }

        // Hours.
        let mut laws = vec![terms.law];
        let text = order.number.expose();
        if let Some(abroad) = text.strip_prefix('+') {
            laws.push(match abroad {
                _ if abroad.starts_with("86") => Profile::Cn,
                _ if abroad.starts_with('1') => Profile::Us,
                _ => Profile::Neutral,
            });
        }
        for law in &laws {
            let (first, last) = match law {
                Profile::Cn | Profile::Us => (8, 21),
                Profile::Neutral => (9, 20),
            };
            assert!(
                (first..last).contains(&clock.hour()),
                "{at}: outside the law"
            );
        }
        if recall.is_none() {
            let [hospital, oncology] = &self.plain.set;
            let (windows, rest) = match hospital {
                Some(windows) => (windows, false),
                None => (&terms.windows, true),
            };
            assert!(
                self.plain.open(windows, rest, day, clock),
                "{at}: the hospital"
            );
            let name = &person.episode.department;
            let department = terms.departments.get(name);
            let set = oncology.as_ref().filter(|_| name == "oncology");
            let windows = match set {
                Some(windows) => Some((windows, false)),
                None => department
                    .and_then(|terms| terms.windows.as_ref())
                    .map(|windows| (windows, true)),
            };
            if let Some((windows, rest)) = windows {
                assert!(
                    self.plain.open(windows, rest, day, clock),
                    "{at}: the department"
                );
            }
            if let Some(windows) = &self.plain.trunk {
                let there = now.to_zoned(self.plain.trunk_zone.clone());
                let (day, clock) = (there.date().weekday(), there.time());
                let open = |w: &Window| w.days.contains(&day) && w.from <= clock && clock < w.to;
                assert!(windows.iter().any(open), "{at}: the trunk");
            }
            let ages = match person.age(now) {
                ..18 => "0-17",
                18..45 => "18-44",
                45..65 => "45-64",
                65..80 => "65-79",
                80.. => "80+",
            };
            let is_closed = self.plain.closed.iter().any(|cell| {
                cell.band.to_string() == ages
                    && cell.weekday == day.weekday()
                    && cell.hour == clock.hour()
            });
            assert!(!is_closed, "{at}: an hour closed for {ages}");
            if let Some(wishes) = &person.wishes {
                let open =
                    |w: &Window| w.days.contains(&day.weekday()) && w.from <= clock && clock < w.to;
                assert!(wishes.iter().any(open), "{at}: the patient's wish");
            }
            assert!(self.plain.staffed(now), "{at}: nobody on duty");
            assert!(
                day >= followed.step.due_on && day < followed.step.lapses_on,
                "{at}: not its days"
            );
            let standing = self.standing(now, who);
            assert!(
                !standing.paused && !standing.ward_unanswered,
                "{at}: paused"
            );
            if let Some(allowed) = terms.record_max_age {
                let seen = standing.record_seen_at.expect("it was confirmed");
                assert!(
                    now.as_second() - seen.as_second() <= allowed.as_secs(),
                    "{at}: stale"
                );
            }
        }

        // Caps.
        let more = usize::from(recall.is_some() || by_wish);
        let log = self.rung.get(&order.number).map_or(&[][..], Vec::as_slice);
        let rung: Vec<&PastAttempt> = log
            .iter()
            .filter(|past| past.rang || past.ended_at > Some(now))
            .collect();
        let day_of = |past: &PastAttempt| past.started_at.to_zoned(person.zone.clone()).date();
        let today = rung.iter().filter(|past| day_of(past) == day).count();
        let within = |hours: i64| {
            let since = now.as_second() - hours * 3600;
            rung.iter()
                .filter(|past| past.started_at.as_second() > since)
                .count()
        };
        for law in &laws {
            match law {
                Profile::Cn => {
                    assert!(today < 3 + more, "{at}: {today} rings today");
                    assert!(within(24) < 5 + more, "{at}: 24 h");
                }
                Profile::Us | Profile::Neutral => {
                    assert!(today < 1 + more, "{at}: {today} rings today");
                    assert!(within(168) < 3 + more, "{at}: a week");
                }
            }
        }
        let mut strict =
            today < terms.caps.per_day as usize && within(24) < terms.caps.per_24h as usize;
        let department = terms.departments.get(&person.episode.department);
        if let Some(cap) = department.and_then(|terms| terms.per_day) {
            strict &= today < cap as usize;
        }
        assert!(strict || more > 0, "{at}: the hospital's caps");
        let mut least = terms.caps.min_gap.as_secs() as i64;
        if recall.is_some() {
            least = 120;
        }
        for past in &rung {
            let ended = past.ended_at.expect("it ended");
            let is_the_cut = recall.is_some_and(|cut| cut.started_at == past.started_at);
            if recall.is_none() || is_the_cut {
                let gap = now.as_second() - ended.as_second();
                assert!(gap + 1 >= least, "{at}: {gap} s after another");
                assert!(!is_the_cut || gap <= 600, "{at}: too late for a re-call");
            } else {
                assert!(ended <= now, "{at}: the number is in a call");
            }
        }

        // Outcomes.
        let used = attempts.iter().filter(|past| past.rang).count();
        assert!(
            used < terms.caps.max_attempts as usize || recall.is_some(),
            "{at}: {used} attempts used"
        );
        let ends = |past: &PastAttempt| {
            past.disposition
                .is_some_and(|ended| ended.is_final() && ended != Disposition::InvalidNumber)
        };
        assert!(!attempts.iter().any(ends), "{at}: the step was settled");
        let cuts = attempts
            .iter()
            .filter(|past| past.disposition == Some(Disposition::CutInEmergency));
        assert!(cuts.count() <= 1, "{at}: a second re-call");
        self.tally.exempt += u64::from(!strict || recall.is_some());
    }

    fn check_callee(&self, at: &str, person: &Person, order: &DialOrder, day: Date) {
        let birth = *person.patient.birth_date.expose();
        let birthday = |age: i16| {
            // 29 February comes on 1 March.
            Date::new(birth.year() + age, birth.month(), birth.day())
                .unwrap_or_else(|_| jiff::civil::date(birth.year() + age, 3, 1))
        };
        let (child, minor) = (day < birthday(14), day < birthday(18));
        match order.whom {
            Whom::Patient => {
                assert_eq!(person.patient.phone.as_ref(), Some(&order.number), "{at}");
                let own = self.plain.terms.minors == Minors::Patient;
                assert!(!child && (!minor || own), "{at}: a child was rung");
            }
            Whom::Contact(place) => {
                let contact = &person.patient.contacts[place];
                assert_eq!(contact.phone.as_ref(), Some(&order.number), "{at}");
                assert!(
                    contact.topics.contains(&Topic::Health),
                    "{at}: may not speak"
                );
                let parent = matches!(contact.relation, Relation::Guardian | Relation::Parent);
                let guarded = child || (minor && self.plain.terms.minors == Minors::Guardian);
                assert!(parent || !guarded, "{at}: no guardian");
                assert!(
                    child || !minor || self.plain.terms.minors != Minors::Nobody,
                    "{at}: a minor"
                );
            }
        }
        let dead = |past: &&PastAttempt| past.disposition == Some(Disposition::InvalidNumber);
        let step = person
            .steps
            .iter()
            .find(|followed| followed.step.id == order.step);
        let attempts = &step.expect("a step of hers").attempts;
        let of_number = attempts
            .iter()
            .filter(|past| past.number.as_ref() == Some(&order.number));
        assert_eq!(
            of_number.filter(dead).count(),
            0,
            "{at}: the number does not exist"
        );
    }
}

fn closed(random: &mut ChaCha8Rng) -> HourOfWeek {
    HourOfWeek {
        band: AgeBand::ALL[pick(random, 5) as usize],
        weekday: Weekday::from_monday_one_offset(1 + pick(random, 7) as i8).expect("a weekday"),
        hour: 8 + pick(random, 13) as i8,
    }
}

fn windows(random: &mut ChaCha8Rng, first: u64, last: u64) -> Vec<Window> {
    let days: Vec<Weekday> = Weekday::Monday.cycle_forward().take(7).collect();
    let mut windows = Vec::new();
    for _ in 0..=pick(random, 3) {
        let from = first + pick(random, last - first - 60);
        let to = from + 15 + pick(random, 8 * 60);
        let mut some: Vec<Weekday> = days.clone();
        some.retain(|_| pick(random, 4) > 0);
        if some.is_empty() {
            some.push(Weekday::Monday);
        }
        windows.push(Window {
            days: some,
            from: clock(from),
            to: clock(to.min(last)),
        });
    }
    windows
}

fn clock(minutes: u64) -> Time {
    Time::constant((minutes / 60) as i8, (minutes % 60) as i8, 0, 0)
}

fn hours(count: u64) -> SignedDuration {
    SignedDuration::from_hours(count as i64)
}

fn secs(count: u64) -> SignedDuration {
    SignedDuration::from_secs(count as i64)
}

fn pick(random: &mut ChaCha8Rng, below: u64) -> u64 {
    random.next_u64() % below
}
