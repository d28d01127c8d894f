//! Where a domain's calls go (RFC 3263): which service its NAPTR records offer us, and in which order the records of
//! its SRV are tried (RFC 2782). Asking the name servers is the shell's work.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;

use super::event::Transport;

/// A NAPTR record (RFC 3403 §4.1), as far as SIP uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    pub order: u16,
    pub preference: u16,
    pub flags: String,
    /// `SIP+D2U`, `SIP+D2T` or `SIPS+D2T`.
    pub service: String,
    /// The name whose SRV records say where.
    pub replacement: String,
}

/// The services that we speak, the most wanted one first, with the names to ask for SRV records (RFC 3263 §4.1).
pub fn services(records: &[Naptr]) -> Vec<(Transport, &str)> {
    let transport = |record: &Naptr| {
        let service = record.service.to_ascii_uppercase();
        let is_srv = record.flags.eq_ignore_ascii_case("s");
        match service.as_str() {
            "SIP+D2U" if is_srv => Some(Transport::Udp),
            "SIP+D2T" if is_srv => Some(Transport::Tcp),
            "SIPS+D2T" if is_srv => Some(Transport::Tls),
            _ => None,
        }
    };
    let mut known: Vec<(&Naptr, Transport)> = records
        .iter()
        .filter_map(|record| Some((record, transport(record)?)))
        .collect();
    known.sort_by_key(|(record, _)| (record.order, record.preference));
    known
        .into_iter()
        .map(|(record, transport)| (transport, record.replacement.as_str()))
        .collect()
}

/// The name of a domain's SRV records over one transport (RFC 3263 §4.1).
pub fn service_name(domain: &str, transport: Transport) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{service}.{domain}")
}

/// When a target is tried: all of a lower `turn` come before it, and those of its own turn by lot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rank {
    /// Place in the trunk file, then SRV priority.
    pub turn: (u16, u16),
    /// Share of the calls among its turn (RFC 2782); 0 comes first seldom.
    pub weight: u16,
}

/// `targets` in the order in which one call tries them.
pub fn in_turn<T>(targets: Vec<T>, rank: impl Fn(&T) -> Rank, random: &mut ChaCha20Rng) -> Vec<T> {
    let mut waiting = targets;
    // Those without a weight first: the lot's lower end is theirs (RFC 2782, "Weight").
    waiting.sort_by_key(|target| (rank(target).turn, rank(target).weight != 0));
    let mut ordered = Vec::with_capacity(waiting.len());
    while let Some(first) = waiting.first() {
        let turn = rank(first).turn;
        let together = waiting
            .iter()
            .take_while(|target| rank(target).turn == turn);
        let weights: Vec<u64> = together.map(|target| rank(target).weight.into()).collect();
        let all: u64 = weights.iter().sum();
        let lot = random.next_u64() % (all + 1);
        let mut sum = 0;
        let drawn = weights.iter().position(|weight| {
            sum += weight;
            sum >= lot
        });
        ordered.push(waiting.remove(drawn.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn naptr(order: u16, preference: u16, flags: &str, service: &str) -> Naptr {
        Naptr {
            order,
            preference,
            flags: flags.to_owned(),
            service: service.to_owned(),
            replacement: format!("{order}.{preference}"),
        }
    }

    #[test]
    fn the_most_wanted_service_that_we_speak_is_first() {
        let records = [
            naptr(50, 50, "s", "SIPS+D2T"),
            naptr(90, 50, "S", "sip+d2t"),
            naptr(90, 20, "s", "SIP+D2U"),
            // Not ours: SCTP, another flag, ENUM.
            naptr(1, 1, "s", "SIP+D2S"),
            naptr(2, 1, "a", "SIP+D2U"),
            naptr(3, 1, "u", "E2U+sip"),
        ];
        let expected = [
            (Transport::Tls, "50.50"),
            (Transport::Udp, "90.20"),
            (Transport::Tcp, "90.50"),
        ];
        assert_eq!(services(&records), expected);
        assert_eq!(services(&[]), []);
    }

    fn rank(turn: u16, weight: u16) -> Rank {
        Rank {
            turn: (0, turn),
            weight,
        }
    }

    #[test]
    fn a_lower_priority_is_always_tried_before_a_higher_one() {
        let mut random = ChaCha20Rng::seed_from_u64(3);
        for _ in 0..200 {
            let ranks = vec![rank(20, 9), rank(10, 1), rank(10, 0), rank(30, 0)];
            let ordered = in_turn(ranks, |rank| *rank, &mut random);
            let turns: Vec<u16> = ordered.iter().map(|rank| rank.turn.1).collect();
            assert_eq!(turns, [10, 10, 20, 30]);
        }
    }

    #[test]
    fn weights_share_the_calls_and_every_target_is_left_to_fall_back_on() {
        let mut random = ChaCha20Rng::seed_from_u64(4);
        let (mut heavy, mut weightless) = (0, 0);
        for _ in 0..10_000 {
            let ranks = vec![rank(1, 75), rank(1, 25), rank(1, 0)];
            let ordered = in_turn(ranks, |rank| *rank, &mut random);
            heavy += u32::from(ordered[0].weight == 75);
            weightless += u32::from(ordered[0].weight == 0);
            let mut all: Vec<u16> = ordered.iter().map(|rank| rank.weight).collect();
            all.sort_unstable();
            assert_eq!(all, [0, 25, 75]);
        }
        // 75 of 101 and 1 of 101, five standard deviations wide.
        assert!((7_200..7_650).contains(&heavy), "{heavy}");
        assert!((40..160).contains(&weightless), "{weightless}");
    }

    #[test]
    fn the_same_seed_gives_the_same_order() {
        let ranks: Vec<Rank> = (0..20).map(|weight| rank(1, weight)).collect();
        let order = |seed| {
            let mut random = ChaCha20Rng::seed_from_u64(seed);
            in_turn(ranks.clone(), |rank| *rank, &mut random)
        };
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
    }
}
