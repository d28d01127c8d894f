//! The plan: tables of decisions, and a checker that knows only the law.

mod enroll;
mod law;
mod life;
mod next_step;
mod pathway;
mod reasons;
mod world;

use aftercall_core::id::{EpisodeId, PatientId};
use aftercall_core::lang::Lang;
use aftercall_core::patient::{
    Consent, ConsentBasis, Episode, EpisodeState, Hearing, Life, Patient,
};
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::time::Timestamp;

/// Somebody who may be called.
pub(super) fn patient(zone: &str) -> Patient {
    Patient {
        id: PatientId("p1".into()),
        hospital: "main".into(),
        number: Phi::new("N1".into()),
        name: Phi::new("Test Person".into()),
        birth_date: Phi::new(jiff::civil::date(1950, 2, 1)),
        phone: Some(PhoneNumber::parse("1000").expect("a SIP user part")),
        lang: Lang::Zh,
        dialect: None,
        hearing: Hearing::Normal,
        zone: zone.into(),
        knows_diagnosis: true,
        life: Life::Alive,
        consent: Consent {
            basis: ConsentBasis::Written,
            ..Consent::default()
        },
        contacts: Vec::new(),
    }
}

pub(super) fn episode(discharged_at: Timestamp) -> Episode {
    Episode {
        id: EpisodeId("e1".into()),
        patient: PatientId("p1".into()),
        encounter: "E1".into(),
        pathway: "general".into(),
        department: String::new(),
        ward: String::new(),
        discharged_at,
        state: EpisodeState::Discharged,
        high_risk: false,
    }
}
