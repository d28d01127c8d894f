//! Streams in virtual time: what a network and a sender can do, and what is heard of it.
//!
//! Each sample of the sender's timeline has its own byte, so what is played tells where it stood.

use super::*;
use crate::codec::G711;
use crate::ear::upsample::Noise;
use crate::media_key::MediaKey;
use std::time::Duration;

fn config() -> StreamConfig {
    StreamConfig {
        codec: Codec::Pcma,
        payload_type: 8,
        telephone_event: Some(101),
        ssrc: 0x0a0b_0c0d,
        first_seq: 65_534,
        first_timestamp: u32::MAX - 100,
    }
}

/// The byte of the sender's sample at `tick`, loud and without pattern.
fn byte(tick: u32) -> u8 {
    let mixed = (tick ^ (tick >> 7)).wrapping_mul(2_654_435_761);
    ((mixed ^ (mixed >> 13)).wrapping_mul(2_246_822_519) >> 24) as u8
}

/// A sender with its own sequence numbers, timestamps and packet times.
struct Sender {
    ssrc: u32,
    seq: u16,
    origin: u32,
    tick: u32,
    line: Vec<(f64, Vec<u8>)>,
}

impl Sender {
    fn new() -> Sender {
        Sender {
            ssrc: 1,
            seq: 65_500,
            origin: u32::MAX - 2_000,
            tick: 0,
            line: Vec::new(),
        }
    }

    fn packet(&mut self, payload_type: u8, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            marker: false,
            payload_type,
            seq: self.seq,
            timestamp: self.origin.wrapping_add(self.tick),
            ssrc: self.ssrc,
        };
        self.seq = self.seq.wrapping_add(1);
        header.with_payload(payload)
    }

    /// Sends `ms` of talk, whose packet leaves when its last sample is spoken; the network adds `delay_ms`.
    fn talk(&mut self, ms: u32, delay_ms: f64) -> &mut Sender {
        let ticks = ms * 8;
        let payload: Vec<u8> = (self.tick..self.tick + ticks).map(byte).collect();
        let packet = self.packet(8, &payload);
        self.tick += ticks;
        self.line
            .push((f64::from(self.tick) / 8.0 + delay_ms, packet));
        self
    }

    fn lose(&mut self, ms: u32) -> &mut Sender {
        self.talk(ms, 0.0);
        self.line.pop();
        self
    }

    /// Says nothing, and sends nothing.
    fn pause(&mut self, ms: u32) -> &mut Sender {
        self.tick += ms * 8;
        self
    }

    fn also(&mut self, payload_type: u8, payload: &[u8]) -> &mut Sender {
        let packet = self.packet(payload_type, payload);
        self.line.push((f64::from(self.tick) / 8.0, packet));
        self
    }
}

struct Played {
    stream: Stream,
    frames: Vec<Pulled>,
}

/// Delivers the packets at their times and pulls every 20 ms of our own clock.
fn play(sender: &Sender, frames: usize) -> Played {
    let mut line: Vec<&(f64, Vec<u8>)> = sender.line.iter().collect();
    line.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut line = line.into_iter().peekable();
    let mut played = Played {
        stream: Stream::new(config()),
        frames: Vec::new(),
    };
    for slot in 1..=frames {
        let now_ms = slot as f64 * 20.0;
        while let Some((at_ms, packet)) = line.next_if(|(at_ms, _)| *at_ms < now_ms) {
            let now = Instant::ZERO + Duration::from_secs_f64(at_ms / 1_000.0);
            played.stream.receive(packet, now);
        }
        let now = Instant::ZERO + Duration::from_secs_f64(now_ms / 1_000.0);
        played.frames.push(played.stream.pull(now));
    }
    played
}

impl Played {
    /// The sender's tick at which a frame begins, if it is a whole frame of talk.
    fn tick(&self, frame: usize) -> Option<u32> {
        let samples = &self.frames[frame].samples;
        let is_at = |tick: u32| {
            let wanted = (tick..).map(|t| G711::A.decode(byte(t)));
            // The first 5 ms may be eased in after a gap.
            samples
                .iter()
                .zip(wanted)
                .skip(40)
                .all(|(&got, want)| got == want)
        };
        let near = (frame as u32 * 160).saturating_sub(16_000);
        (near..near + 32_000).find(|&tick| is_at(tick))
    }

    /// Milliseconds between the speaking of a frame's first sample and its being played.
    fn delay_ms(&self, frame: usize) -> Option<f64> {
        let tick = self.tick(frame)?;
        Some((frame as f64 + 1.0) * 20.0 - f64::from(tick) / 8.0)
    }

    fn kinds(&self) -> String {
        let letter = |frame: &Pulled| match frame.kind {
            FrameKind::Voice => 'v',
            FrameKind::Concealed => 'c',
            FrameKind::Silence => '-',
            FrameKind::Waiting => '.',
        };
        self.frames.iter().map(letter).collect()
    }

    /// Every frame from `from` to `to` follows the one before without a break.
    fn assert_unbroken(&self, from: usize, to: usize) {
        for frame in from + 1..to {
            let before = self.tick(frame - 1).expect("a frame of talk");
            assert_eq!(self.tick(frame), Some(before + 160), "frame {frame}");
        }
    }
}

#[test]
fn steady_talk_is_played_whole_after_forty_milliseconds() {
    let mut sender = Sender::new();
    for _ in 0..50 {
        sender.talk(20, 1.0);
    }
    let played = play(&sender, 52);
    assert!(played.kinds().starts_with("...vvvv"), "{}", played.kinds());
    played.assert_unbroken(4, 50);
    // 20 ms until the packet is full, 1 ms of network, 40 ms of buffer, at most one slot of rounding.
    let delay = played.delay_ms(20).expect("talk");
    assert!((60.0..=81.0).contains(&delay), "{delay}");
    assert_eq!(played.stream.stats().received, 50);
    assert_eq!(played.stream.stats().lost, 0);
}

#[test]
fn reordered_and_repeated_packets_over_both_wraps_are_played_in_order() {
    let mut sender = Sender::new();
    for n in 0..60 {
        sender.talk(20, if n % 5 == 2 { 31.0 } else { 1.0 });
        if n % 4 == 0 {
            let (at_ms, packet) = sender.line.last().expect("just sent").clone();
            sender.line.push((at_ms + 15.0, packet));
        }
    }
    let played = play(&sender, 62);
    played.assert_unbroken(6, 58);
    let stats = played.stream.stats();
    assert_eq!((stats.received, stats.duplicates, stats.late), (60, 15, 0));
}

#[test]
fn packets_of_every_length_fall_into_place() {
    let mut sender = Sender::new();
    for &ms in [10, 20, 30, 40, 60, 30, 30, 10, 10].iter().cycle().take(90) {
        sender.talk(ms, 2.0);
    }
    let played = play(&sender, 110);
    // The first packet of 60 ms needs more delay than the one of 10 ms allowed for; after that nothing breaks.
    played.assert_unbroken(12, 110);
    assert_eq!(played.stream.stats().late, 0);
}

#[test]
fn one_lost_packet_is_concealed_and_a_long_loss_becomes_silence() {
    let mut sender = Sender::new();
    for _ in 0..10 {
        sender.talk(20, 1.0);
    }
    sender.lose(20);
    for _ in 0..10 {
        sender.talk(20, 1.0);
    }
    for _ in 0..8 {
        sender.lose(20);
    }
    for _ in 0..10 {
        sender.talk(20, 1.0);
    }
    let played = play(&sender, 42);
    let expected = "...vvvvvvvvvvcvvvvvvvvvvccc-----vvvvvvvvvv";
    assert_eq!(played.kinds(), expected);
    assert_eq!(played.tick(14), Some(11 * 160));
    assert_eq!(played.stream.stats().lost, 9);
}

#[test]
fn a_silence_that_was_not_sent_has_its_length_and_is_silence() {
    let mut sender = Sender::new();
    for _ in 0..10 {
        sender.talk(20, 1.0);
    }
    sender.also(COMFORT_NOISE, &[60]).pause(1_000);
    for _ in 0..10 {
        sender.talk(20, 1.0);
    }
    let played = play(&sender, 73);
    let silence = "-".repeat(50);
    assert_eq!(played.kinds(), format!("...vvvvvvvvvv{silence}vvvvvvvvvv"));
    assert_eq!(played.tick(63), Some(60 * 160));
}

#[test]
fn clocks_that_drift_for_ten_minutes_keep_the_delay_bounded() {
    for ppm in [-300.0, 300.0] {
        let mut sender = Sender::new();
        for n in 0..30_000_u32 {
            // One second of talk, one of quiet.
            if n / 50 % 2 == 0 {
                sender.talk(20, 1.0);
            } else {
                let packet = sender.packet(8, &[0xd5; 160]);
                sender.tick += 160;
                let at_ms = f64::from(sender.tick) / 8.0 + 1.0;
                sender.line.push((at_ms, packet));
            }
        }
        for (at_ms, _) in &mut sender.line {
            *at_ms *= 1.0 + ppm / 1e6;
        }
        let played = play(&sender, 29_990);
        let stats = played.stream.stats();
        assert_eq!((stats.late, stats.lost), (0, 0), "{ppm}");
        // 180 ms of drift are nine frames.
        let corrected = stats.inserted + stats.dropped;
        assert!((7..=11).contains(&corrected), "{ppm} {stats:?}");
        assert!(stats.depth_ms <= 100, "{ppm} {stats:?}");
        // They were corrected in the quiet seconds: no talk was made up.
        let made_up = played.kinds().find('c');
        assert_eq!(made_up, None, "{ppm} {stats:?}");
    }
}

#[test]
fn a_stall_does_not_leave_a_lasting_delay() {
    let mut sender = Sender::new();
    for n in 0..400 {
        let waits = (100..115).contains(&n);
        let catches_up = f64::from(115 - n) * 20.0;
        sender.talk(20, if waits { catches_up } else { 1.0 });
    }
    let played = play(&sender, 400);
    let delay = played.delay_ms(390).expect("talk");
    assert!(delay <= 121.0, "{delay}");
}

#[test]
fn a_delay_that_grows_for_good_is_followed_at_once() {
    let mut sender = Sender::new();
    for n in 0..300 {
        sender.talk(20, if n < 100 { 1.0 } else { 251.0 });
    }
    let played = play(&sender, 300);
    played.assert_unbroken(130, 298);
    assert!(played.stream.stats().late <= 3);
}

#[test]
fn jitter_of_fifteen_milliseconds_loses_almost_nothing() {
    let mut sender = Sender::new();
    let mut noise = Noise::new(3);
    for _ in 0..1_000 {
        sender.talk(20, f64::from(noise.sample() + 1.0) * 15.0);
    }
    let played = play(&sender, 1_000);
    let stats = played.stream.stats();
    assert!(stats.late + stats.concealed <= 10, "{stats:?}");
    assert!((3.0..20.0).contains(&stats.jitter_ms), "{stats:?}");
    let delay = played.delay_ms(900).unwrap_or(100.0);
    assert!(delay <= 121.0, "{delay}");
}

#[test]
fn a_new_source_is_believed_after_two_packets_and_a_stray_one_never() {
    let mut sender = Sender::new();
    for _ in 0..20 {
        sender.talk(20, 1.0);
    }
    let stray = Header {
        marker: true,
        payload_type: 8,
        seq: 9,
        timestamp: 77,
        ssrc: 99,
    };
    sender.line.push((200.5, stray.with_payload(&[0x2a; 160])));
    sender.ssrc = 2;
    sender.seq = 1_000;
    sender.origin = 123_456;
    for _ in 0..20 {
        sender.talk(20, 1.0);
    }
    let played = play(&sender, 42);
    played.assert_unbroken(4, 20);
    played.assert_unbroken(27, 42);
    let stats = played.stream.stats();
    assert_eq!((stats.received, stats.restarts), (40, 1));
}

#[test]
fn a_jump_of_the_timestamp_begins_a_new_line() {
    let mut sender = Sender::new();
    for n in 0..60 {
        if n == 30 {
            sender.origin = sender.origin.wrapping_add(5_000_000);
        }
        sender.talk(20, 1.0);
    }
    let played = play(&sender, 62);
    played.assert_unbroken(37, 60);
    assert_eq!(played.stream.stats().restarts, 1);
}

#[test]
fn keys_and_codecs_are_taken_by_the_numbers_of_our_offer_whatever_was_answered() {
    // Answered with 96 for keys and 109 for G.722: so ours go out; the peer may use either.
    for (answered, codec, payload_type) in [
        (Some(96), Codec::G722, 109),
        (None, Codec::Pcma, 8),
        (Some(101), Codec::Pcmu, 0),
    ] {
        let mut stream = Stream::new(StreamConfig {
            codec,
            payload_type,
            telephone_event: answered,
            ..config()
        });
        let mut now = Instant::ZERO;
        let mut seq = 0;
        let mut take = |stream: &mut Stream, payload_type, timestamp, payload: &[u8]| {
            let header = Header {
                marker: false,
                payload_type,
                seq,
                timestamp,
                ssrc: 5,
            };
            seq += 1;
            now = now + Duration::from_millis(20);
            stream.receive(&header.with_payload(payload), now);
        };
        for (nth, known) in (0..).zip([payload_type, 9, 8, 0]) {
            take(&mut stream, known, 160 * nth, &[0x2a; 160]);
        }
        for (nth, event) in (0..).zip(answered.into_iter().chain([101])) {
            let end = [5 + nth, 0x8a, 3, 0x20];
            take(&mut stream, event, 8_000 + 1_600 * u32::from(nth), &end);
        }
        let heard: String = std::iter::from_fn(|| stream.poll_key()).collect();
        let expected = if answered.is_some() { "56" } else { "5" };
        assert_eq!(
            (heard.as_str(), stream.stats().foreign),
            (expected, 0),
            "{answered:?}"
        );
    }
}

#[test]
fn foreign_payload_types_and_junk_are_counted_and_not_played() {
    let mut sender = Sender::new();
    for _ in 0..20 {
        sender.talk(20, 1.0);
        let at_ms = f64::from(sender.tick) / 8.0;
        let foreign = Header {
            marker: false,
            payload_type: 18,
            seq: sender.seq,
            timestamp: sender.origin.wrapping_add(sender.tick),
            ssrc: 1,
        };
        sender.line.push((at_ms, foreign.with_payload(&[0; 20])));
        sender.line.push((at_ms, b"\0\x01\0\0stun".to_vec()));
        sender.line.push((at_ms, Vec::new()));
    }
    let played = play(&sender, 22);
    played.assert_unbroken(4, 20);
    let stats = played.stream.stats();
    assert_eq!((stats.foreign, stats.malformed), (20, 40));
}

#[test]
fn the_other_law_may_be_sent_without_a_word() {
    let mut stream = Stream::new(config());
    let header = Header {
        marker: true,
        payload_type: 0,
        seq: 1,
        timestamp: 0,
        ssrc: 5,
    };
    stream.receive(&header.with_payload(&[0x80; 160]), Instant::ZERO);
    let frames: Vec<Pulled> = (0..4).map(|_| stream.pull(Instant::ZERO)).collect();
    assert_eq!(frames[2].samples, [32_124; FRAME]);
}

#[test]
fn keys_are_heard_once_and_leave_silence_of_their_length() {
    let mut sender = Sender::new();
    for _ in 0..10 {
        sender.talk(20, 1.0);
    }
    for n in 1..=6_u16 {
        let [d0, d1] = (n.min(4) * 160).to_be_bytes();
        sender.also(101, &[7, if n >= 4 { 0x8a } else { 0x0a }, d0, d1]);
    }
    sender.pause(120);
    for _ in 0..10 {
        sender.talk(20, 1.0);
    }
    let mut played = play(&sender, 29);
    assert_eq!(played.stream.poll_key(), Some('7'));
    assert_eq!(played.stream.poll_key(), None);
    assert_eq!(played.kinds(), "...vvvvvvvvvv------vvvvvvvvvv");
}

#[test]
fn our_line_never_breaks_whatever_is_sent() {
    let mut stream = Stream::new(config());
    let mut seen = Vec::new();
    for n in 0..40 {
        match n {
            5 => assert!(stream.press('4')),
            20 => stream.skip(3),
            30 => stream.retarget(Codec::Pcmu, 0, None),
            _ => {}
        }
        let bytes = stream.send(&[100; FRAME]);
        let packet = Packet::parse(&bytes).expect("we wrote it");
        assert_eq!(packet.header.seq, 65_534_u16.wrapping_add(n));
        assert_eq!(packet.header.ssrc, 0x0a0b_0c0d);
        seen.push((packet.header, packet.payload.len()));
    }
    let slot = |n: usize| u32::MAX.wrapping_sub(100).wrapping_add(n as u32 * 160);
    let marked: Vec<usize> = (0..40).filter(|&n| seen[n].0.marker).collect();
    assert_eq!(marked, [0, 5, 20]);
    let events: Vec<usize> = (0..40).filter(|&n| seen[n].0.payload_type == 101).collect();
    assert_eq!(events, [5, 6, 7, 8, 9, 10, 11]);
    assert!(
        events
            .iter()
            .all(|&n| seen[n].0.timestamp == slot(5) && seen[n].1 == 4)
    );
    assert_eq!(seen[12].0.timestamp, slot(12));
    assert_eq!(seen[20].0.timestamp, slot(23));
    assert_eq!(seen[39].0.timestamp, slot(42));
    assert!(!stream.press('1'), "the new peer takes no events");
}

#[test]
fn no_datagram_can_hurt() {
    let mut noise = Noise::new(11);
    let mut random = move |most: f32| ((noise.sample() + 1.0) / 2.0 * most) as usize;
    let mut stream = Stream::new(config());
    let mut sender = Sender::new();
    for n in 0..20_000_u64 {
        let mut packet = sender.packet([8, 0, 13, 101][random(4.0)], &[1; 160]);
        sender.tick = sender.tick.wrapping_add(160);
        for _ in 0..random(4.0) {
            let at = random(20.0);
            packet[at] = random(256.0) as u8;
        }
        packet.truncate(random(400.0));
        let now = Instant::from_millis(n * 5);
        stream.receive(&packet, now);
        if n % 4 == 0 {
            stream.pull(now);
        }
        assert!(stream.stats().depth_ms <= 3_000);
    }
}

#[test]
fn a_patient_listener_waits_for_late_packets() {
    let mut stream = Stream::new(config()).with_delay(9);
    let mut sender = Sender::new();
    let mut noise = Noise::new(3);
    for _ in 0..200 {
        sender.talk(20, f64::from(noise.sample() + 1.0) * 60.0);
    }
    let mut line = sender.line.clone();
    line.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut line = line.into_iter().peekable();
    let mut concealed = 0;
    for slot in 1..200_u64 {
        let now = Instant::from_millis(slot * 20);
        while let Some((_, packet)) = line.next_if(|(at_ms, _)| *at_ms < slot as f64 * 20.0) {
            stream.receive(&packet, now);
        }
        concealed += usize::from(stream.pull(now).kind == FrameKind::Concealed);
    }
    assert_eq!((stream.stats().late, concealed), (0, 0));
}

/// RFC 5764 §3: an association a port, so reports that have a port of their own have keys of their own.
#[test]
fn reports_on_a_port_apart_wait_for_their_own_keys() {
    let keys = |ours, theirs| MediaKeys {
        ours: MediaKey([ours; 30]),
        theirs: MediaKey([theirs; 30]),
    };
    let (mut we, mut they) = (Stream::new(config()), Stream::new(config()));
    for (stream, audio) in [(&mut we, keys(1, 2)), (&mut they, keys(2, 1))] {
        stream.await_keys(true);
        stream.set_keys(Some(audio));
    }
    let now = Instant::from_millis(7_000);
    assert!(we.goodbye(now).is_empty(), "not by the audio's keys");
    we.set_report_keys(keys(3, 4));
    let report = we.goodbye(now);
    assert!(!they.receive_report(&report, now));
    they.set_report_keys(keys(4, 3));
    assert!(they.receive_report(&report, now));
    let audio = we.send(&[500; FRAME]);
    they.receive(&audio, now);
    assert_eq!(they.stats().received, 1);
}

#[test]
fn until_a_handshake_gives_the_keys_nothing_is_sent_and_nothing_believed() {
    let keys = |ours, theirs| MediaKeys {
        ours: MediaKey([ours; 30]),
        theirs: MediaKey([theirs; 30]),
    };
    let (mut we, mut they) = (Stream::new(config()), Stream::new(config()));
    we.await_keys(false);
    assert!(we.awaits_keys());
    let frame = [500; FRAME];
    let clear = they.send(&frame);
    we.receive(&clear, Instant::ZERO);
    assert!(we.send(&frame).is_empty() && we.goodbye(Instant::ZERO).is_empty());
    assert_eq!((we.stats().received, we.first_received()), (0, None));
    we.set_keys(Some(keys(1, 2)));
    they.set_keys(Some(keys(2, 1)));
    assert!(!we.awaits_keys());
    let (sealed, theirs) = (we.send(&frame), they.send(&frame));
    assert_eq!((sealed.len(), theirs.len()), (182, 182));
    we.receive(&theirs, Instant::ZERO);
    they.receive(&sealed, Instant::ZERO);
    assert_eq!((we.stats().received, they.stats().received), (1, 1));
    we.receive(&clear, Instant::ZERO);
    assert_eq!(
        we.stats().malformed,
        1,
        "nor is what comes in the clear afterwards"
    );
}
