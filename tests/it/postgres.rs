//! A PostgreSQL of the tests' own: a cluster in a temporary folder, reached by a unix socket, gone afterwards.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs, thread};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

/// A running server; it stops when this is dropped, and also when the test process dies.
pub struct Postgres {
    server: Child,
    data: PathBuf,
    /// Gone after the server.
    _folder: Option<tempfile::TempDir>,
}

impl Postgres {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path().to_owned();
        Self::start_in(&at, Some(folder))
    }

    /// Starts the cluster of a folder, and makes one where there is none. PostgreSQL refuses to run as root: then it runs as
    /// the user `postgres`.
    pub fn start_in(folder: &Path, kept_until: Option<tempfile::TempDir>) -> Self {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("own folder");
        let user = is_root().then(postgres_user);
        let data = folder.join("data");
        if !data.exists() {
            init(&data, user);
        }
        let server = serve(&data, user);
        Self {
            server,
            data,
            _folder: kept_until,
        }
    }

    /// Returns the address of a database, which is made where there is none.
    pub async fn database(&self, name: &str) -> String {
        sqlx::any::install_default_drivers();
        let mut admin = sqlx::AnyConnection::connect(&self.url("postgres"))
            .await
            .expect("the server said that it is ready");
        let known = sqlx::query("select 1 from pg_database where datname = $1").bind(name);
        let known = known.fetch_optional(&mut admin).await.expect("asked");
        if known.is_none() {
            let create = AssertSqlSafe(format!("create database {name}"));
            admin.execute(create).await.expect("a new name");
        }
        self.url(name)
    }

    fn url(&self, name: &str) -> String {
        let data = self.data.display();
        format!("postgres://postgres@localhost/{name}?host={data}")
    }
}

fn init(data: &Path, user: Option<(u32, u32)>) {
    fs::create_dir(data).expect("own folder");
    if let Some((uid, gid)) = user {
        chown(data, Some(uid), Some(gid)).expect("root may give files away");
    }
    fs::set_permissions(data, fs::Permissions::from_mode(0o700)).expect("own folder");
    let mut initdb = command(&binary("initdb"), user);
    let made = initdb
        .args([
            "--auth=trust",
            "--username=postgres",
            "--no-sync",
            "--encoding=UTF8",
            "-D",
        ])
        .arg(data);
    let made = made.output().expect("initdb runs");
    assert!(
        made.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&made.stderr)
    );
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The shell around the server waits for the end of its input.
        drop(self.server.stdin.take());
        if let Err(error) = self.server.wait() {
            eprintln!("the PostgreSQL of the tests did not stop: {error}");
        }
    }
}

fn serve(data: &Path, user: Option<(u32, u32)>) -> Child {
    let script = r#"exec 3<&0; "$0" "$@" </dev/null & server=$!; cat <&3 >/dev/null; kill -QUIT $server; wait $server"#;
    let mut shell = command(Path::new("/bin/sh"), user);
    shell
        .args(["-c", script])
        .arg(binary("postgres"))
        .arg("-D")
        .arg(data)
        .arg("-k")
        .arg(data);
    shell.args([
        "-c",
        "listen_addresses=",
        "-c",
        "fsync=off",
        "-c",
        "max_connections=100",
        "-c",
        "lc_messages=C",
    ]);
    shell
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut server = shell.spawn().expect("a shell starts");
    let mut log = BufReader::new(server.stderr.take().expect("stderr is piped"));
    let (mut line, mut seen) = (String::new(), String::new());
    while log.read_line(&mut line).expect("the server's log is text") > 0 {
        if line.contains("database system is ready to accept connections") {
            thread::spawn(move || log.read_to_end(&mut Vec::new()));
            return server;
        }
        seen.push_str(&line);
        line.clear();
    }
    server
        .kill()
        .and_then(|()| server.wait().map(drop))
        .expect("own process");
    panic!("the PostgreSQL of the tests did not start:\n{seen}");
}

fn command(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env("LC_ALL", "C");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// Debian keeps the server's programs out of the path.
fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut places: Vec<PathBuf> = versions
        .map(|version| version.path().join("bin").join(name))
        .collect();
    places.sort();
    places.push(Path::new("/usr/local/bin").join(name));
    let found = places.into_iter().rev().find(|place| place.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is missing: apt-get install postgresql (`make test` does it)")
    })
}

fn is_root() -> bool {
    id(&["-u"]) == 0
}

fn postgres_user() -> (u32, u32) {
    (id(&["-u", "postgres"]), id(&["-g", "postgres"]))
}

fn id(args: &[&str]) -> u32 {
    let output = Command::new("id").args(args).output().expect("id runs");
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .expect("the user exists: Debian's postgresql makes it")
}
