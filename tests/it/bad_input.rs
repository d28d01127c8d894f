//! Broken input to the real program: each error names the place and the cure, and the rest goes on.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use aftercall::config::Scripts;
use aftercall::library::{Library, trusted_keys};
use aftercall_core::lang::Lang;
use aftercall_core::redflag::FILES;
use jiff::civil::Date;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program, in the project's folder.
pub fn aftercall() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aftercall"));
    command.current_dir(root()).stdin(Stdio::null());
    command
}

pub fn run(command: &mut Command) -> Output {
    command.output().expect("the program was built")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("a file of the project")
}

/// A temporary folder and what is written into it.
pub struct Desk(tempfile::TempDir);

impl Desk {
    pub fn new() -> Desk {
        Desk(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        let folder = path.parent().expect("it lies in the folder");
        std::fs::create_dir_all(folder).expect("the folder is writable");
        std::fs::write(&path, content).expect("the folder is writable");
        path
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn config(&self, more: &str) -> PathBuf {
        let data = self.0.path().join("data");
        std::fs::create_dir_all(&data).expect("the folder is writable");
        self.put(
            "aftercall.toml",
            format!("data_dir = \"{}\"\n{more}", data.display()),
        )
    }
}

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The line of a text that contains the words, counted from 1.
fn line_of(text: &str, words: &str) -> usize {
    1 + text
        .lines()
        .position(|line| line.contains(words))
        .expect("it is there")
}

/// All words stand in the text.
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no `{word}` in:\n{text}");
    }
}

#[test]
fn a_broken_row_of_a_discharge_list_is_named_and_the_others_are_imported() {
    let desk = Desk::new();
    let list = read("fixtures/patients.csv");
    // Days before today are for the demo alone.
    let list = ["-3d", "-7d", "-14d"]
        .iter()
        .fold(list, |list, day| list.replace(day, "2026-11-15"));
    let mut lines: Vec<&str> = list.lines().take(5).collect();
    let broken = lines[2].replace("1951-09-14", "1951-14-09");
    lines[2] = &broken;
    lines.push("RH1,too,few");
    let file = desk.put("list.csv", lines.join("\n"));
    let out = run(aftercall()
        .arg("import")
        .arg(&file)
        .arg("--config")
        .arg(desk.config("")));
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{said}{}", text(&out.stderr));
    let place = format!("{}:3: birth_date", file.display());
    says(
        &said,
        &[
            &place,
            "write it as 1956-03-21",
            ":6: ",
            "the row has 3 fields",
        ],
    );
    says(&said, &["\n3 rows imported", "2 refused", "3 new patients"]);
}

#[test]
fn a_broken_script_is_named_by_file_and_line() {
    let desk = Desk::new();
    let mut broken = String::new();
    for file in toml_files(&root().join("dialogs")) {
        let name = file
            .strip_prefix(root())
            .expect("a file of the project")
            .display()
            .to_string();
        let mut content = read(&name);
        if name == "dialogs/general/script.toml" {
            content = content.replacen("next = \"confusion\"", "next = \"confusoin\"", 1);
            broken = content.clone();
        }
        desk.put(&name, content);
    }
    let dialogs = desk.0.path().join("dialogs");
    let out = run(aftercall().arg("check").arg(&dialogs));
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{said}");
    let place = format!(
        "{}/general/script.toml:{}",
        dialogs.display(),
        line_of(&broken, "confusoin")
    );
    says(&said, &[&place, "confusoin", "[unknown_node]"]);
    assert!(
        !said.contains("cardiac/script.toml:"),
        "the sound scripts are not blamed: {said}"
    );

    let today = Date::constant(2026, 12, 1);
    let keys = trusted_keys(&Scripts::default(), true).expect("the demo's key");
    let library = Library::load(&dialogs, &keys, today).expect("the other scripts");
    let ids: BTreeSet<&str> = library.scripts.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(
        ids,
        BTreeSet::from(["cardiac", "surgery"]),
        "the rest goes on"
    );
    let refused = library.script("general", Lang::Zh, today);
    let refused = refused.expect_err("a broken script").to_string();
    says(&refused, &["general/script.toml:", "confusoin"]);
}

#[test]
fn with_red_flags_that_nobody_signed_no_script_may_dial() {
    let desk = Desk::new();
    for file in toml_files(&root().join("dialogs")) {
        let name = file.strip_prefix(root()).expect("a file of the project");
        let name = name.display().to_string();
        desk.put(&name, read(&name));
    }
    for file in FILES {
        let name = format!("dialogs/redflags/{file}");
        desk.put(&name, read(&name));
    }
    let dialogs = desk.0.path().join("dialogs");
    let today = Date::constant(2026, 12, 1);
    let keys = trusted_keys(&Scripts::default(), true).expect("the demo's key");
    let load = || Library::load(&dialogs, &keys, today).expect("nothing is broken");
    let refusal = |library: &Library| {
        let refused = library.script("cardiac", Lang::Zh, today);
        refused.expect_err("nobody signed it").to_string()
    };
    load()
        .script("cardiac", Lang::Zh, today)
        .expect("all is signed");

    let maskers = "dialogs/redflags/maskers.tsv";
    desk.put(maskers, format!("{}chest_pain\t胸口疼\n", read(maskers)));
    let library = load();
    assert!(library.scripts.is_empty(), "a changed lexicon");
    says(&refusal(&library), &["the red-flag lexicon was changed"]);

    desk.put(maskers, read(maskers));
    std::fs::remove_file(dialogs.join("redflags/signature.toml")).expect("it was there");
    let library = load();
    assert!(library.scripts.is_empty(), "an unsigned lexicon");
    says(&refusal(&library), &["the red-flag lexicon is not signed"]);
}

fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)
        .expect("a folder of the project")
        .map_while(Result::ok)
    {
        let path = entry.path();
        if path.is_dir() {
            files.extend(toml_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(path);
        }
    }
    files
}

#[test]
fn a_broken_trunk_file_is_named_with_line_and_cure() {
    let desk = Desk::new();
    let good = read("sip_config/loopback.toml");
    let cases = [
        ("lines = 8", "linse = 8", "did you mean `lines`?"),
        (
            "target = \"127.0.0.1:5080\"",
            "target = \"127.0.0.1\"",
            "write host:port",
        ),
        (
            "codecs = [\"pcma\", \"pcmu\"]",
            "codecs = [\"opus\"]",
            "pcma",
        ),
        ("[media]", "[media", ""),
    ];
    for (find, replace, cure) in cases {
        let content = good.replace(find, replace);
        let file = desk.put("broken.toml", &content);
        let config = desk.config("");
        let mut call = aftercall();
        call.args([
            "call", "1000", "--script", "cardiac", "--day", "3", "--trunk",
        ])
        .arg(&file);
        let out = run(call.arg("--config").arg(config));
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        let place = format!("{}:{}: ", file.display(), line_of(&content, replace));
        says(&said, &[&place, cure]);
    }
}

#[test]
fn a_broken_audio_file_is_named_and_the_others_are_transcribed() {
    let desk = Desk::new();
    let good = "fixtures/audio/mrs_bei_chest.flac";
    let whole = std::fs::read(root().join(good)).expect("a clip");
    let noise = desk.put("noise.wav", "RIFF, and then no sound at all");
    let torn = desk.put("torn.flac", &whole[..60]);
    let missing = desk.0.path().join("missing.flac");
    let mut command = aftercall();
    command
        .args(["transcribe", "--lang", "zh"])
        .arg(&noise)
        .arg(&torn)
        .arg(&missing)
        .arg(good);
    let out = run(&mut command);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    let lines: Vec<Value> = text(&out.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON lines"))
        .collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    let error = |line: &Value| line["error"].as_str().expect("an error").to_owned();
    says(&error(&lines[0]), &["noise.wav", "ffmpeg"]);
    says(&error(&lines[1]), &["torn.flac"]);
    says(&error(&lines[2]), &["missing.flac", "cannot be opened"]);
    assert!(
        lines[3]["text"]
            .as_str()
            .is_some_and(|words| !words.is_empty()),
        "{}",
        lines[3]
    );
}

#[test]
fn a_broken_model_file_is_named_with_the_cure() {
    let desk = Desk::new();
    let whole =
        std::fs::read(root().join("models/ggml-base-q8_0.bin")).expect("`make model` fetches it");
    for (name, content) in [
        ("text.bin", &b"not a model"[..]),
        ("torn.bin", &whole[..100_000]),
        ("magic.bin", b"lmgg"),
    ] {
        let model = desk.put(name, content);
        let mut transcribe = aftercall();
        transcribe.args([
            "transcribe",
            "--lang",
            "zh",
            "fixtures/audio/mrs_bei_chest.flac",
            "--model",
        ]);
        let config = desk.config(&format!(
            "[web]\nbind = \"127.0.0.1:0\"\n[ears]\nmodel = \"{}\"\n",
            model.display()
        ));
        for command in [
            transcribe.arg(&model),
            aftercall().arg("serve").arg("--config").arg(config),
        ] {
            let out = run(command);
            let said = text(&out.stderr);
            assert_eq!(out.status.code(), Some(1), "an error, not a signal: {said}");
            says(&said, &[name, "aftercall models "]);
        }
    }
}

#[test]
fn an_unknown_key_of_the_configuration_is_named_with_the_one_meant() {
    let desk = Desk::new();
    let file = desk.config("\n[calling]\nper_dya = 2\n");
    let out = run(aftercall().arg("serve").arg("--config").arg(&file));
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    let place = format!("{}:4: ", file.display());
    says(&said, &[&place, "per_dya", "did you mean `per_day`?"]);
}

/// Datagrams that are no SIP, or nearly.
fn nonsense() -> Vec<Vec<u8>> {
    let mut broken = vec![
        b"".to_vec(),
        b"\r\n\r\n".to_vec(),
        b"nonsense".to_vec(),
        vec![0xff; 1_400],
        b"INVITE".to_vec(),
        b"SIP/2.0 200 OK\r\n\r\n".to_vec(),
        b"SIP/2.0 999999 x\r\nCall-ID: a\r\n\r\n".to_vec(),
        b"BYE sip:x SIP/2.0\r\nContent-Length: 99999999999\r\n\r\n".to_vec(),
        b"INVITE sip:x@y SIP/2.0\r\nVia: \r\nCSeq: x\r\nContent-Length: -1\r\n\r\nv=0".to_vec(),
    ];
    broken.push([b"OPTIONS sip:x SIP/2.0\r\nX: ".to_vec(), vec![b'a'; 9_000]].concat());
    broken
}

fn listening() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a timeout can be set");
    socket
}

/// The next datagram of a kind.
fn receive(socket: &UdpSocket, kind: &str) -> (String, std::net::SocketAddr) {
    let (mut buffer, began) = ([0; 65_535], Instant::now());
    while began.elapsed() < Duration::from_secs(90) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let message = text(&buffer[..length]);
            if message.starts_with(kind) {
                return (message, from);
            }
        }
    }
    panic!("no {kind} came");
}

#[test]
fn the_engine_takes_broken_datagrams_for_what_they_are_and_ends_its_call() {
    let desk = Desk::new();
    let peer = listening();
    let target = format!("sip:1000@{}", peer.local_addr().expect("it is bound"));
    let mut call = aftercall();
    call.args([
        "call", &target, "--script", "cardiac", "--day", "3", "--json", "--config",
    ])
    .arg(desk.config(""));
    let call = Running(
        call.stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built"),
    );
    let (invite, engine) = receive(&peer, "INVITE ");
    for datagram in nonsense() {
        peer.send_to(&datagram, engine).expect("loopback takes it");
    }
    // Its own call, with a body and headers that lie.
    let mut head = String::new();
    for line in invite.lines() {
        if ["Via:", "From:", "Call-ID:", "CSeq:"]
            .iter()
            .any(|name| line.starts_with(name))
        {
            head.push_str(&format!("{line}\r\n"));
        } else if line.starts_with("To:") {
            head.push_str(&format!("{line};tag=p\r\n"));
        }
    }
    let answer = |status: &str, more: &str| format!("SIP/2.0 {status}\r\n{head}{more}");
    let lies = [
        answer(
            "183 Session Progress",
            "Content-Type: application/sdp\r\nContent-Length: 7\r\n\r\nm=audio",
        ),
        answer("180 Ringing", "Content-Length: 5000\r\n\r\n"),
    ];
    for lie in lies {
        peer.send_to(lie.as_bytes(), engine)
            .expect("loopback takes it");
    }
    let busy = answer("486 Busy Here", "Content-Length: 0\r\n\r\n");
    peer.send_to(busy.as_bytes(), engine)
        .expect("loopback takes it");
    let (ack, _) = receive(&peer, "ACK ");
    assert!(ack.contains("CSeq"), "{ack}");
    let mut call = call;
    let output = BufReader::new(call.0.stdout.take().expect("stdout is piped"));
    let record: Value = output
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str(&line).ok())
        .find(|line: &Value| line["event"] == "record")
        .expect("the call has a record");
    assert_eq!(
        (&record["disposition"], &record["sip_status"]),
        (&json!("busy"), &json!(486))
    );
    assert_eq!(call.0.wait().expect("it ends").code(), Some(3));
}

#[test]
fn a_broken_telephone_is_named_and_the_others_ring_through_broken_datagrams() {
    let desk = Desk::new();
    desk.put(
        "phones/good.toml",
        "number = \"+8613800001008\"\ndoes = \"busy\"\n",
    );
    let broken = desk.put(
        "phones/broken.toml",
        "number = \"+8613800001009\"\nrings_ms = 3\ndoes = \"busy\"\n",
    );
    let mut phones = aftercall();
    phones
        .args(["phones", "--listen", "127.0.0.1:0", "--phones"])
        .arg(desk.0.path().join("phones"));
    let phones = phones
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built");
    let mut phones = Running(phones);
    let mut lines = BufReader::new(phones.0.stdout.take().expect("stdout is piped"))
        .lines()
        .map_while(Result::ok);
    let mut event = || -> Value {
        let line = lines.next().expect("the telephones go on");
        serde_json::from_str(&line).expect("JSON lines")
    };
    let first = event();
    assert_eq!(
        (&first["event"], &first["phones"], &first["broken"]),
        (&json!("listening"), &json!(1), &json!(1))
    );
    let mut errors = BufReader::new(phones.0.stderr.take().expect("stderr is piped"))
        .lines()
        .map_while(Result::ok);
    let error = errors.next().expect("the broken telephone is named");
    says(
        &error,
        &[
            &format!("{}:2: ", broken.display()),
            "rings_ms",
            "ring_ms",
            "the others ring",
        ],
    );
    let caller = listening();
    let at = first["at"].as_str().expect("an address").to_owned();
    for datagram in nonsense() {
        caller.send_to(&datagram, &at).expect("loopback takes it");
    }
    let local = caller.local_addr().expect("it is bound");
    let options = format!(
        "OPTIONS sip:{at} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKb1\r\nFrom: <sip:t@{local}>;tag=t\r\n\
         To: <sip:{at}>\r\nCall-ID: b1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    caller
        .send_to(options.as_bytes(), &at)
        .expect("loopback takes it");
    let (answer, _) = receive(&caller, "SIP/2.0 200");
    says(&answer, &["Call-ID: b1"]);
    let said = event();
    assert_eq!(said["event"], "malformed", "{said}");
    assert!(
        said["error"]
            .as_str()
            .is_some_and(|why| why.starts_with("not a SIP message: ")),
        "{said}"
    );
}

/// `aftercall serve` on a free port.
fn serve(config: &Path) -> (Running, String) {
    let mut serve = aftercall();
    serve
        .arg("serve")
        .arg("--config")
        .arg(config)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut serve = Running(serve.spawn().expect("the program was built"));
    let mut lines = BufReader::new(serve.0.stdout.take().expect("stdout is piped"))
        .lines()
        .map_while(Result::ok);
    let first = lines
        .find(|line| line.starts_with("API on "))
        .expect("it tells its address");
    let at = first
        .split(['/', ','])
        .nth(2)
        .expect("an address")
        .to_owned();
    (serve, at)
}

#[tokio::test]
async fn a_bad_body_is_a_problem_that_names_the_field_and_the_server_goes_on() {
    let desk = Desk::new();
    let config = desk.config("[web]\nbind = \"127.0.0.1:0\"\n");
    let token = run(aftercall()
        .args(["token", "create", "test"])
        .arg("--config")
        .arg(&config));
    let token = text(&token.stdout).trim().to_owned();
    let (_serve, at) = serve(&config);
    let client = Client::new();
    let post = |path: &str, body: String| {
        let request = client
            .post(format!("http://{at}/api/v1/{path}"))
            .bearer_auth(&token);
        request
            .header("content-type", "application/json")
            .body(body)
    };
    let good = json!({
        "number": "T1", "name": "测试", "birth_date": "1950-01-02", "phone": "+8613800001001",
        "lang": "zh", "zone": "Asia/Shanghai", "consent": { "basis": "written", "recording": true },
        "stay": { "encounter": "E1", "pathway": "cardiac", "discharged_at": "2026-11-19T02:00:00Z" }
    });
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string()
    };
    let cases = [
        (with("lang", json!("klingon")), "lang", "zh"),
        (with("phone", json!("12")), "phone", "number"),
        (with("ward", json!("7B")), "ward", "unknown field"),
        (
            with("stay", json!({ "encounter": 5 })),
            "stay.encounter",
            "string",
        ),
    ];
    for (body, field, cure) in cases {
        let problem = problem(post("patients", body), StatusCode::BAD_REQUEST).await;
        assert_eq!(problem["field"], field, "{problem}");
        says(problem["detail"].as_str().unwrap_or_default(), &[cure]);
    }
    let problem_of_syntax = problem(
        post("patients", "{\"name\": ".to_owned()),
        StatusCode::BAD_REQUEST,
    )
    .await;
    says(
        problem_of_syntax["detail"].as_str().unwrap_or_default(),
        &["line 1 column"],
    );
    let list = client
        .get(format!("http://{at}/api/v1/patients"))
        .bearer_auth(&token);
    let list = list.send().await.expect("the server goes on");
    assert_eq!(list.status(), StatusCode::OK);
    let list: Value = list.json().await.expect("a list");
    assert_eq!(
        list["items"],
        json!([]),
        "nothing of the bad bodies was saved"
    );
}

async fn problem(request: RequestBuilder, status: StatusCode) -> Value {
    let response = request.send().await.expect("the server answers");
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap_or_default()
        .to_owned();
    assert_eq!(
        (response.status(), kind.as_str()),
        (status, "application/problem+json")
    );
    response.json().await.expect("a problem is JSON")
}
