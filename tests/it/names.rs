//! Targets by DNS: a name server of our own on the loopback, with NAPTR, SRV, A and AAAA records.

use std::net::SocketAddr;
use std::sync::Arc;

use aftercall::trunk::config::Trunk;
use aftercall::trunk::socket::{Place, SipSocket, SocketError};
use aftercall_core::sip::event::EndCause;
use hickory_server::Server;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::rr::Name;
use hickory_server::proto::serialize::txt::Parser;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::UdpSocket;
use tokio::runtime::Runtime;

use crate::sipp::{HangUp, Line, ending, free_port, sipp_over, wait_for_listener};

/// A name server for the zone `test.`.
struct NameServer {
    _server: Server<Catalog>,
    runtime: Runtime,
    at: SocketAddr,
}

impl NameServer {
    fn start(records: &str) -> NameServer {
        NameServer::start_at("127.0.0.1:0", 60, records)
    }

    fn start_at(address: &str, ttl_s: u32, records: &str) -> NameServer {
        let runtime = Runtime::new().expect("a runtime");
        let zone = format!("$TTL {ttl_s}\n@ IN SOA ns.test. admin.test. 1 60 60 60 60\n{records}");
        let origin = Name::from_ascii("test.").expect("a name");
        let parsed = Parser::new(zone, None, Some(origin.clone())).parse();
        let (_, records) = parsed.expect("a zone that can be read");
        let zone = InMemoryZoneHandler::<TokioRuntimeProvider>::new(
            origin.clone(),
            records,
            ZoneType::Primary,
            AxfrPolicy::Deny,
        );
        let mut catalog = Catalog::new();
        catalog.upsert(origin.into(), vec![Arc::new(zone.expect("a whole zone"))]);
        let (server, at) = runtime.block_on(async {
            let socket = UdpSocket::bind(address).await.expect("a free port");
            let at = socket.local_addr().expect("bound");
            let mut server = Server::new(catalog);
            server.register_socket(socket);
            (server, at)
        });
        NameServer {
            _server: server,
            runtime,
            at,
        }
    }

    /// The loopback trunk with this target, found by our server; no call leaves the machine.
    fn trunk(&self, target: &str, lines: &str) -> Trunk {
        let text = include_str!("../../sip_config/loopback.toml").replace(
            "target = \"127.0.0.1:5080\"",
            &format!(
                "target = {target:?}\nname_servers = [\"{}\"]\n{lines}",
                self.at
            ),
        );
        Trunk::parse("loopback.toml".as_ref(), &text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn places(&self, target: &str, lines: &str) -> Result<Vec<String>, SocketError> {
        let show = |place: Place| {
            let over = place.transport.name();
            let (_, priority) = place.rank.turn;
            let weight = place.rank.weight;
            let uri = place.uri_host();
            format!("{} {over} {priority} {weight} {uri}", place.address)
        };
        let mut trunk = self.trunk(target, lines);
        if lines.contains("v6") {
            trunk.bind = "[::1]:0".parse().expect("an address");
        }
        // Within a runtime, as the engine opens its trunk.
        let opened = self.runtime.block_on(async { SipSocket::open(&trunk) });
        Ok(opened?.reach.targets.into_iter().map(show).collect())
    }
}

const ZONE: &str = "
ns              IN A     127.0.0.1
offers          IN NAPTR 20 10 \"s\" \"SIP+D2U\" \"\" _sip._udp.offers
offers          IN NAPTR 10 10 \"s\" \"SIP+D2S\" \"\" _sip._sctp.offers
offers          IN NAPTR 10 20 \"s\" \"SIP+D2T\" \"\" elsewhere.offers
elsewhere.offers IN SRV  20 5 5070 b
elsewhere.offers IN SRV  10 7 5080 a
_sip._udp.offers IN SRV  1  1 5060 c
plain           IN A     127.0.0.9
_sip._udp.srv   IN SRV   10 60 5060 a
_sip._udp.srv   IN SRV   10 20 5062 b
_sip._udp.srv   IN SRV   30 0  5064 c
_sips._tcp.srv  IN SRV   0  0  5061 a
srv             IN A     127.0.0.8
_sip._tcp.tcp   IN SRV   0  0  5060 b
_sip._udp.gone  IN SRV   0  0  0    .
gone            IN A     127.0.0.7
_sip._udp.half  IN SRV   1  0  5060 nobody
_sip._udp.half  IN SRV   2  0  5060 b
_sip._udp.lost  IN SRV   1  0  5060 nobody
_sip._udp.six   IN SRV   1  9  5060 six
a               IN A     127.0.0.1
b               IN A     127.0.0.2
c               IN A     127.0.0.3
c               IN A     127.0.0.4
six             IN AAAA  ::1
six             IN A     127.0.0.6
";

#[test]
fn targets_are_found_as_rfc_3263_says() {
    let server = NameServer::start(ZONE);
    for (target, lines, expected) in [
        // The most wanted NAPTR that we speak names the transport, and its own SRV name.
        (
            "offers.test",
            "",
            vec![
                "127.0.0.1:5080 TCP 10 7 offers.test",
                "127.0.0.2:5070 TCP 20 5 offers.test",
            ],
        ),
        // A transport in the file goes before; a host's second address has no weight of its own.
        (
            "offers.test",
            "transport = \"udp\"",
            vec![
                "127.0.0.3:5060 UDP 1 1 offers.test",
                "127.0.0.4:5060 UDP 1 0 offers.test",
            ],
        ),
        (
            "srv.test",
            "",
            vec![
                "127.0.0.1:5060 UDP 10 60 srv.test",
                "127.0.0.2:5062 UDP 10 20 srv.test",
                "127.0.0.3:5064 UDP 30 0 srv.test",
                "127.0.0.4:5064 UDP 30 0 srv.test",
            ],
        ),
        (
            "srv.test",
            "transport = \"tls\"",
            vec!["127.0.0.1:5061 TLS 0 0 srv.test"],
        ),
        // Without NAPTR each transport's SRV is asked for.
        ("tcp.test", "", vec!["127.0.0.2:5060 TCP 0 0 tcp.test"]),
        // Without SRV the host itself, at the transport's port.
        ("plain.test", "", vec!["127.0.0.9:5060 UDP 0 0 plain.test"]),
        (
            "plain.test",
            "transport = \"tls\"",
            vec!["127.0.0.9:5061 TLS 0 0 plain.test"],
        ),
        // A port says that no SRV is wanted.
        (
            "srv.test:5090",
            "transport = \"tcp\"",
            vec!["127.0.0.8:5090 TCP 0 0 srv.test:5090;transport=tcp"],
        ),
        ("half.test", "", vec!["127.0.0.2:5060 UDP 2 0 half.test"]),
        ("six.test", "# v6", vec!["[::1]:5060 UDP 1 9 six.test"]),
        ("six.test", "", vec!["127.0.0.6:5060 UDP 1 9 six.test"]),
    ] {
        let mut found = server
            .places(target, lines)
            .unwrap_or_else(|error| panic!("{error}"));
        found.sort_by_key(|place| {
            place
                .split(' ')
                .nth(2)
                .map(str::len)
                .zip(Some(place.clone()))
        });
        assert_eq!(found, expected, "{target} {lines}");
    }
    for (target, lines) in [
        ("gone.test", ""),
        ("lost.test", ""),
        ("nobody.test", ""),
        ("plain.test", "# v6"),
    ] {
        let error = server.places(target, lines).expect_err(target).to_string();
        let domain = target.trim_end_matches(".test");
        assert!(
            error.starts_with("trunk `loopback`: ") && error.contains(domain),
            "{error}"
        );
    }
}

/// The first target by SRV priority refuses the connection: nothing was heard, so the next is rung at once.
#[test]
fn sipp_is_reached_by_its_srv_record_when_the_one_before_it_refuses() {
    let folder = tempfile::tempdir().expect("a folder");
    let (refusing, port) = (free_port(), free_port());
    let server = NameServer::start(&format!(
        "_sip._tcp.pbx IN SRV 10 0 {refusing} local\n_sip._tcp.pbx IN SRV 20 0 {port} local\nlocal IN A 127.0.0.1"
    ));
    let mut sipp = sipp_over("t1", "127.0.0.1", port, folder.path());
    wait_for_listener(port);
    let mut line = Line::open(server.trunk("pbx.test", ""));
    let mut leg = line.leg(None);
    let events = line.drive(&mut leg, HangUp::AtAnswer);
    let ending = ending(&events);
    assert_eq!(
        (ending.why, ending.status),
        (EndCause::LocalBye, Some(200)),
        "{events:?}"
    );
    let status = sipp.0.wait().expect("SIPp can be waited for");
    assert_eq!(status.code(), Some(0));
}

/// Until it is asked by OPTIONS; nothing is answered.
fn is_asked(socket: &std::net::UdpSocket) {
    let limit = std::time::Duration::from_secs(20);
    socket.set_read_timeout(Some(limit)).expect("a limit");
    let mut buffer = [0; 2_048];
    let (length, _) = socket.recv_from(&mut buffer).expect("asked in time");
    assert!(buffer[..length].starts_with(b"OPTIONS sip:moves.test:"));
}

#[test]
fn a_target_that_moves_is_found_again_when_its_record_has_run_out() {
    let before = std::net::UdpSocket::bind("127.0.0.2:0").expect("a free port");
    let port = before.local_addr().expect("bound").port();
    let after = std::net::UdpSocket::bind(("127.0.0.3", port)).expect("its port there");
    let server = NameServer::start_at("127.0.0.1:0", 1, "moves IN A 127.0.0.2\n");
    let at = server.at.to_string();
    let trunk = server.trunk(&format!("moves.test:{port}"), "options_every_s = 3600\n");
    let line = crate::shutdown::Line::open(trunk);
    is_asked(&before);
    drop(server);
    let _server = NameServer::start_at(&at, 1, "moves IN A 127.0.0.3\n");
    is_asked(&after);
    line.driver.shut_down(std::time::Duration::ZERO);
}
