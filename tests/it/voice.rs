//! The voice by a real speech server, by a program, and from the disk.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aftercall::recording::speech_wav;
use aftercall::speech::command::CommandConfig;
use aftercall::speech::loudness::{TARGET_LUFS, lufs};
use aftercall::speech::openai::OpenAiConfig;
use aftercall::speech::voice::{Engine, Voice, VoiceConfig};
use aftercall_core::lang::Lang;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::vault::files;

/// Half a second of a buzz, with silence around it.
fn buzz() -> Vec<i16> {
    let tone = |n: i32| if n % 40 < 20 { 2_000 } else { -2_000 };
    let silence = [0; 1_600];
    let sound: Vec<i16> = (0..4_000).map(tone).collect();
    [&silence[..], &sound, &silence].concat()
}

/// What the server was asked, and what it answers next.
#[derive(Default)]
struct Served {
    asked: Vec<(Value, Option<String>)>,
    refuse: Vec<StatusCode>,
    as_pcm: bool,
}

type Server = Arc<Mutex<Served>>;

async fn speech(server: Server, headers: HeaderMap, body: Bytes) -> Response {
    let mut server = server.lock().expect("no test panics in here");
    let asked: Value = serde_json::from_slice(&body).expect("the request is JSON");
    let key = headers.get(header::AUTHORIZATION);
    let key = key.map(|key| key.to_str().expect("ASCII").to_owned());
    server.asked.push((asked, key));
    if let Some(status) = server.refuse.pop() {
        return status.into_response();
    }
    if server.as_pcm {
        // 24 kHz: each sample three times.
        let wide = buzz().into_iter().flat_map(|sample| [sample; 3]);
        let bytes: Vec<u8> = wide.flat_map(i16::to_le_bytes).collect();
        return ([(header::CONTENT_TYPE, "audio/pcm")], bytes).into_response();
    }
    ([(header::CONTENT_TYPE, "audio/wav")], speech_wav(&buzz())).into_response()
}

/// A speech server on a port of its own, until the test ends.
fn serve(server: &Server) -> (tokio::runtime::Runtime, String) {
    let runtime = tokio::runtime::Runtime::new().expect("threads are to be had");
    let state = Arc::clone(server);
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let handler = move |headers, body| speech(Arc::clone(&state), headers, body);
    let router = Router::new().route("/v1/audio/speech", post(handler));
    runtime.spawn(async move { axum::serve(listener, router).await });
    (runtime, url)
}

fn by_server(url: &str, key_env: Option<&str>) -> Voice {
    Voice::new(VoiceConfig {
        engine: Engine::OpenAi(OpenAiConfig {
            url: url.to_owned(),
            key_env: key_env.map(str::to_owned),
            model: "tts-1".to_owned(),
            voice_zh: "zf_xiaoyi".to_owned(),
            voice_en: "af_heart".to_owned(),
            speed: 0.9,
            timeout: Duration::from_secs(10),
        }),
        rendered: None,
    })
}

#[test]
fn a_speech_server_is_asked_as_openai_is() {
    let server = Server::default();
    let (_runtime, url) = serve(&server);
    // Any variable that is there will do as a key.
    let voice = by_server(&url, Some("PATH"));
    let said = voice.speak("单先生", Lang::Zh).expect("it answers");
    assert_eq!(said.len(), 4_000, "the silence around it is cut");
    assert!((lufs(&said) - TARGET_LUFS).abs() < 0.5);
    let key = format!("Bearer {}", std::env::var("PATH").expect("a PATH"));
    let wanted = json!({
        "model": "tts-1", "input": "单先生", "voice": "zf_xiaoyi", "response_format": "wav",
        "speed": f64::from(0.9_f32),
    });
    let asked = server.lock().expect("the server is idle").asked.clone();
    assert_eq!(asked, [(wanted, Some(key))]);
    server.lock().expect("the server is idle").as_pcm = true;
    let said = voice.speak("Mr Taylor", Lang::En).expect("it answers");
    assert!((3_900..=4_100).contains(&said.len()), "{}", said.len());
}

#[test]
fn a_busy_server_is_asked_again_and_a_refusal_stands() {
    let server = Server::default();
    let (_runtime, url) = serve(&server);
    let voice = by_server(&url, None);
    let refuse = |status: &[StatusCode]| {
        let mut served = server.lock().expect("the server is idle");
        served.asked.clear();
        served.refuse = status.to_vec();
    };
    let asked = || server.lock().expect("the server is idle").asked.len();
    refuse(&[
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
    ]);
    voice.speak("单先生", Lang::Zh).expect("the third time");
    assert_eq!(asked(), 3);
    refuse(&[StatusCode::BAD_REQUEST]);
    let error = voice.speak("王先生", Lang::Zh).expect_err("refused");
    assert!(error.to_string().contains("answered 400"), "{error}");
    assert!(!error.to_string().contains('王'), "a name is PHI");
    assert_eq!(asked(), 1);
    let nobody = by_server("http://127.0.0.1:1", None);
    let error = nobody.speak("王先生", Lang::Zh).expect_err("nobody there");
    assert!(error.to_string().contains("no answer"), "{error}");
    let keyless = by_server(&url, Some("AFTERCALL_TEST_NO_SUCH_KEY"));
    let error = keyless.speak("王先生", Lang::Zh).expect_err("no key");
    assert!(
        error.to_string().contains("AFTERCALL_TEST_NO_SUCH_KEY"),
        "{error}"
    );
}

#[test]
fn a_restart_renders_no_prompt_again_and_what_names_a_patient_reaches_no_disk() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clip = folder.path().join("clip.wav");
    std::fs::write(&clip, speech_wav(&buzz())).expect("the folder is writable");
    let start = |speed| {
        let command = ["cat".to_owned(), clip.display().to_string()];
        Voice::new(VoiceConfig {
            engine: Engine::Command(CommandConfig {
                command: command.to_vec(),
                voice_zh: String::new(),
                voice_en: String::new(),
                speed,
                timeout: Duration::from_secs(10),
            }),
            rendered: Some(folder.path().join("voice")),
        })
    };
    let speak = |voice: &Voice| {
        let said = ["请您再说一遍", "谢谢", "请您再说一遍"];
        said.map(|text| {
            let spoken = voice.speak_prompt(text, Lang::Zh);
            spoken.expect("it speaks").to_vec()
        })
    };
    let first = start(1.0);
    let said = speak(&first);
    assert_eq!(first.renders(), 2);
    let again = start(1.0);
    assert_eq!(speak(&again), said, "the same samples");
    assert_eq!(again.renders(), 0);
    let slower = start(0.8);
    speak(&slower);
    assert_eq!(slower.renders(), 2, "another speed sounds otherwise");

    let on_disk = files(&folder.path().join("voice"));
    assert_eq!(
        on_disk.len(),
        2 + 4,
        "the folder's own two, and each prompt at each speed"
    );
    for _ in 0..2 {
        again.speak("单先生", Lang::Zh).expect("it speaks");
    }
    assert_eq!(again.renders(), 1, "remembered while the process lives");
    assert_eq!(files(&folder.path().join("voice")), on_disk);
}

#[test]
fn models_that_are_not_installed_are_no_fault_unless_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = "kokoro-af_heart.toml";
    let manifest = format!("{}/models/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(manifest, folder.path().join(name)).expect("our own manifest");
    let verify = |named: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_aftercall"))
            .args(["models", "verify"])
            .args(named)
            .arg("--dir")
            .arg(folder.path())
            .output()
            .expect("our own program runs");
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), words)
    };
    let (code, words) = verify(&[]);
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("kokoro-af_heart: not installed"), "{words}");
    assert_eq!(verify(&["kokoro-af_heart"]).0, Some(1));
    std::fs::write(folder.path().join("af_heart.bin"), b"another").expect("the folder is writable");
    assert_eq!(verify(&[]).0, Some(1), "an altered model is a fault");
}
