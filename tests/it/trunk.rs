//! Trunk files: the examples are right, and every mistake is told with line and cure. A leg on a real socket.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aftercall::trunk::config::{HostPort, Telephone, Trunk};
use aftercall::trunk::socket::{Place, Reach};
use aftercall_core::lang::Lang;
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::sip::digest::Credentials;
use aftercall_core::sip::event::Transport;
use aftercall_core::sip::front_door::parse_message;
use aftercall_core::sip::locate::Rank;
use aftercall_core::sip::message::{Message, Method, Request};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sip_config")
}

fn example(name: &str) -> Trunk {
    Trunk::load(&folder().join(format!("{name}.toml"))).expect("the example is right")
}

fn number(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text).expect("a number")
}

#[test]
fn every_example_in_sip_config_is_right_and_called_like_its_file() {
    let files = fs::read_dir(folder()).expect("sip_config is there");
    let mut seen = 0;
    for file in files.map(|file| file.expect("a file").path()) {
        let trunk = Trunk::load(&file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            Some(trunk.name.as_str()),
            file.file_stem().and_then(|stem| stem.to_str())
        );
        assert_eq!(trunk.is_loopback(), trunk.name == "loopback");
        seen += 1;
    }
    assert!(seen >= 4);
}

#[test]
fn each_mistake_is_told_with_its_line_and_cure() {
    let right = fs::read_to_string(folder().join("asterisk.toml")).expect("the example is there");
    let rows = [
        (
            "lines = 20",
            "lnes = 20",
            "unknown field `lnes`",
            "did you mean `lines`?",
        ),
        (
            "lines = 20",
            "lines = 0",
            "0 cannot be used here",
            "1 to 2000",
        ),
        (
            "lines = 20",
            "lines = 200",
            "room for 100 calls, lines is 200",
            "two ports for each",
        ),
        (
            "version = 1",
            "version = 2",
            "2 cannot be used here",
            "version = 1",
        ),
        (
            "name = \"asterisk\"",
            "name = \"Ward PBX\"",
            "\"Ward PBX\" cannot",
            "lower-case",
        ),
        (
            "\"10.0.0.5:5060\"",
            "\"10.0.0.5\"",
            "\"10.0.0.5\" is no target",
            "host:port",
        ),
        (
            "\"10.0.0.5:5060\"",
            "\"[fe80::zz]:5060\"",
            "is no target",
            "host:port",
        ),
        (
            "\"10.0.0.5:5060\"",
            "\"[2001:db8::1]:5060\"",
            "different IP families",
            "two of IPv4",
        ),
        (
            "# public_address = \"as_seen\"",
            "public_address = \"203.0.113.7\"",
            "\"203.0.113.7\" is no address of ours",
            "as_seen",
        ),
        (
            "\"0.0.0.0:5062\"",
            "\"eth0\"",
            "\"eth0\" is no socket address",
            "port 0",
        ),
        (
            "transport = \"udp\"",
            "transport = \"sctp\"",
            "unknown variant `sctp`",
            "asterisk.toml",
        ),
        (
            "ring_timeout_s = 45",
            "ring_timeout_s = 300",
            "300 cannot",
            "5 to 120 s",
        ),
        (
            "first_answer_limit_s = 6",
            "first_answer_limit_s = 0",
            "0 cannot",
            "1 to 32 s",
        ),
        ("\"4008001234\"", "\"a@b\"", "\"a@b\" cannot", "caller id"),
        (
            "\"AFTERCALL_ASTERISK_PASSWORD\"",
            "\"hunter2\"",
            "no variable's name",
            "never the password",
        ),
        ("[\"pcma\", \"pcmu\"]", "[]", "[] cannot", "`pcma`"),
        (
            "[\"pcma\", \"pcmu\"]",
            "[\"opus\"]",
            "unknown variant `opus`",
            "asterisk.toml",
        ),
        (
            "[20000, 20199]",
            "[20001, 20199]",
            "no range of RTP ports",
            "first even",
        ),
        (
            "[20000, 20199]",
            "[20000, 90000]",
            "invalid value",
            "asterisk.toml",
        ),
        (
            "prefix = \"9\"",
            "prefix = \"9 \"",
            "\"9 \" cannot",
            "up to 8",
        ),
        (
            "country = \"+86\"",
            "country = \"86\"",
            "\"86\" cannot",
            "with its plus",
        ),
        (
            "[\"1000\", \"1001\"]",
            "[\"Anna\"]",
            "cannot be dialled",
            "extension",
        ),
    ];
    for (from, to, what, hint) in rows {
        assert!(right.contains(from), "{from} stands in the example");
        let text = right.replace(from, to);
        let line = text
            .lines()
            .position(|line| !line.starts_with('#') && line.contains(to))
            .map(|at| at + 1);
        let error = Trunk::parse(Path::new("x.toml"), &text).expect_err(to);
        assert!(
            error.what.contains(what) && error.hint.contains(hint),
            "{to}: {error}"
        );
        // These two rules look at two lines, and name the other one.
        let is_other_line = what.contains("room for") || what.contains("families");
        assert!(
            is_other_line || Some(error.line) == line,
            "{to}: {error}, not line {line:?}"
        );
        assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("Anna"));
    }
    let missing =
        Trunk::load(Path::new("sip_config/none.toml")).expect_err("there is no such file");
    assert!(missing.to_string().starts_with("sip_config/none.toml:0: "));
}

#[test]
fn each_mistake_names_file_line_and_field() {
    let right = fs::read_to_string(folder().join("carrier.toml")).expect("the example is there");
    for (from, to, expected) in [
        ("lines = 60", "lines = 0", "x.toml:11: `lines`: 0 cannot"),
        (
            "user = \"+86",
            "user = \"=86",
            "x.toml:21: `caller.users`: \"=864008001234\" cannot",
        ),
        (
            "\"pcma\", \"pcmu\"",
            "\"pcma\",\n  \"opus\"",
            "x.toml:32: `media.codecs`: unknown variant",
        ),
        (
            "daily_cap = 400 },\n]",
            "daily_cap = 0 },\n]",
            "x.toml:22: `caller.users`: 0 cannot",
        ),
        (
            "864008001235\"",
            "864008001234\"",
            "x.toml:22: `caller.users`: \"+864008001234\" cannot",
        ),
        (
            "domain =",
            "user = \"4001\"\ndomain =",
            "x.toml:20: `caller.users`: `user` and `users` are both given",
        ),
        (
            "domain =",
            "daily_cap = 4\ndomain =",
            "x.toml:24: `caller.daily_cap`: `daily_cap` belongs to each",
        ),
        (
            "calls_per_second = 5",
            "calls_per_second = 0",
            "x.toml:12: `calls_per_second`: 0.0 cannot",
        ),
        (
            "calls_per_second = 5",
            "hours = [{ days = [\"mon\"], from = \"18:00\", to = \"09:00\" }]",
            "x.toml:12: `hours`: a window ends before",
        ),
        (
            "calls_per_second = 5",
            "hours = []",
            "x.toml:12: `hours`: the trunk is never open",
        ),
        ("[media]", "[medea]", "x.toml:30: `medea`: unknown field"),
        (
            "bind = \"0.0.0.0:5063\"",
            "bind = \"0.0.0.0:5063\"\nname_servers = [\n  \"10.0.0.2:53\",\n  \"dns\",\n]",
            "x.toml:13: `name_servers`: \"dns\" is no address",
        ),
    ] {
        assert!(right.contains(from), "{from}");
        let text = right.replacen(from, to, 1);
        let error = Trunk::parse(Path::new("x.toml"), &text)
            .expect_err(to)
            .to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn numbers_are_rewritten_as_the_trunk_wants_them() {
    for (trunk, dialled, expected) in [
        ("asterisk", "+8613800138000", "913800138000"),
        ("asterisk", "+442071234567", "900442071234567"),
        ("asterisk", "1000", "91000"),
        ("freeswitch", "+8613800138000", "13800138000"),
        ("kamailio", "+8613800138000", "+8613800138000"),
        ("loopback", "1000", "1000"),
    ] {
        assert_eq!(
            example(trunk).dialled(&number(dialled)).expose(),
            expected,
            "{trunk}"
        );
    }
}

#[test]
fn calls_without_a_patient_need_the_loopback_or_the_list() {
    assert!(example("loopback").may_call_without_record(&number("4711")));
    assert!(example("asterisk").may_call_without_record(&number("1000")));
    assert!(!example("asterisk").may_call_without_record(&number("+8613800138000")));
}

#[test]
fn a_person_on_call_has_a_number_or_a_uri() {
    let mut trunk = example("asterisk");
    let place = |at: &HostPort, address: &str| Place {
        at: at.clone(),
        address: address.parse().expect("an address"),
        transport: Transport::Udp,
        rank: Rank::default(),
    };
    let ward = HostPort {
        host: "ward.example".to_owned(),
        port: None,
    };
    trunk.elsewhere = vec![ward.clone()];
    let reach = Reach {
        local: "192.0.2.1:5062".parse().expect("an address"),
        public: None,
        targets: vec![place(&trunk.targets[0], "10.0.0.5:5060")],
        redirects: Vec::new(),
        elsewhere: vec![place(&ward, "10.0.0.9:5070")],
        valid_for: None,
        identity: None,
    };
    let account = || {
        Some(Credentials {
            username: "robot".to_owned(),
            password: Phi::new("right".to_owned()),
        })
    };
    // The URI of the INVITE, where it goes, and whether our account is shown.
    for (text, expected) in [
        (
            "6001",
            Some(("sip:96001@10.0.0.5:5060", "10.0.0.5:5060", true)),
        ),
        (
            "sip:6001@10.0.0.5",
            Some(("sip:6001@10.0.0.5", "10.0.0.5:5060", true)),
        ),
        (
            "sip:6001@ward.example",
            Some(("sip:6001@ward.example", "10.0.0.9:5070", false)),
        ),
        ("sip:6001@nowhere.example", None),
    ] {
        let telephone = Telephone::parse(text).expect("a telephone");
        let leg = trunk.leg_beside(&telephone, &reach, 20_000, account());
        let found = leg.as_ref().map(|leg| {
            let target = &leg.targets[0];
            (
                target.request_uri.clone(),
                target.address.to_string(),
                leg.credentials.is_some(),
            )
        });
        let expected =
            expected.map(|(uri, at, is_shown)| (uri.to_owned(), at.to_owned(), is_shown));
        assert_eq!(found, expected, "{text}");
    }
    for text in [
        "",
        "nurse",
        "sip:6001",
        "sip:@ward.example",
        "sip:60 01@ward.example",
        "sip:6001@",
        "sip:6001@h:0",
    ] {
        assert_eq!(Telephone::parse(text), None, "{text}");
    }
}

#[test]
fn a_leg_is_configured_from_the_trunk() {
    let trunk = example("asterisk");
    let reach = Reach {
        local: "192.0.2.1:5062".parse().expect("an address"),
        public: None,
        targets: vec![Place {
            at: trunk.targets[0].clone(),
            address: "10.0.0.5:5060".parse().expect("an address"),
            transport: Transport::Udp,
            rank: Rank::default(),
        }],
        redirects: Vec::new(),
        elsewhere: Vec::new(),
        valid_for: None,
        identity: None,
    };
    let config = trunk.leg_config(&number("+8613800138000"), &reach, 20_000, None);
    assert_eq!(
        config.targets[0].request_uri,
        "sip:913800138000@10.0.0.5:5060"
    );
    assert_eq!(config.from_uri, "sip:4008001234@hospital.example");
    assert_eq!(config.contact_uri, "sip:4008001234@192.0.2.1:5062");
    assert_eq!(config.via_host, "192.0.2.1:5062");
    let public = "203.0.113.7:40001".parse().ok();
    let beyond = Reach {
        public,
        ..reach.clone()
    };
    let beyond = trunk.leg_config(&number("+8613800138000"), &beyond, 20_000, None);
    assert_eq!(beyond.contact_uri, "sip:4008001234@203.0.113.7:40001");
    assert_eq!(beyond.media_host.to_string(), "203.0.113.7");
    assert_eq!(beyond.via_host, config.via_host);
    let mut config = config;
    trunk.show("4008001235", &mut config);
    assert_eq!(config.from_uri, "sip:4008001235@hospital.example");
    let error = trunk
        .credentials()
        .expect_err("no password in the tests' environment");
    assert!(error.to_string().contains("AFTERCALL_ASTERISK_PASSWORD"));
}

/// The next request of this method whose Contact is there; REGISTER and OPTIONS are answered as from beyond a NAT.
fn asked(socket: &UdpSocket, method: Method, contact: &str) -> Request {
    let mut buffer = [0; 4_096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).expect("asked in time");
        let Ok(Message::Request(request)) = parse_message(&buffer[..length]) else {
            panic!("not a request");
        };
        if matches!(request.method, Method::Register | Method::Options) {
            let mut answer = request.respond(200, "far");
            let via = answer.headers.first("Via").expect("it has one");
            let seen = via.replace(";rport", ";rport=40001;received=203.0.113.7");
            answer.headers.remove(&["Via"]);
            answer.headers.push("Via", seen);
            socket.send_to(&answer.to_bytes(), from).expect("sent");
        }
        let named = request.headers.first("Contact").unwrap_or_default();
        if request.method == method && named.contains(contact) {
            return request;
        }
    }
}

#[test]
fn who_is_beyond_a_nat_is_reached_where_the_far_end_sees_us() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let limit = Some(Duration::from_secs(20));
    socket.set_read_timeout(limit).expect("a limit");
    let port = socket.local_addr().expect("bound").port();
    let more = "options_every_s = 3600\nregister_s = 3600\npublic_address = \"as_seen\"";
    let line = crate::shutdown::Line::open(crate::sipp::trunk(&[port], more));
    asked(&socket, Method::Register, "@127.0.0.1:");
    asked(&socket, Method::Register, "@203.0.113.7:40001");
    line.call_to("a1", "1000", Lang::En, &[]);
    let invite = asked(&socket, Method::Invite, "@203.0.113.7:40001");
    let offer = String::from_utf8_lossy(&invite.body).into_owned();
    assert!(offer.contains("c=IN IP4 203.0.113.7\r\n"), "{offer}");
    line.driver.shut_down(Duration::ZERO);
}

#[test]
fn a_trunk_is_tried_out_in_words() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let phone =
        "number = \"2001\"\nstory = \"Busy.\"\nring_ms = 200\ndoes = \"busy\"\nstatus = 486\n";
    fs::write(folder.path().join("busy.toml"), phone).expect("it is writable");
    let network = crate::phones::Network::of(folder.path());
    let file = folder.path().join("loopback.trunk");
    let text =
        include_str!("../../sip_config/loopback.toml").replace("127.0.0.1:5080", &network.at);
    fs::write(&file, text).expect("it is writable");
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .args(["trunk", "test", "--number", "2001"])
        .arg(&file)
        .output()
        .expect("the program is there");
    let said = String::from_utf8_lossy(&done.stdout);
    for words in [
        format!(
            "target    {at} at {at} over UDP answers OPTIONS with 200",
            at = network.at
        ),
        "call      refused with 486: busy, so the line works".to_owned(),
    ] {
        assert!(said.contains(&words), "{words}:\n{said}");
    }
    assert_eq!(done.status.code(), Some(3), "{said}");
}
