//! The rota decides when a ward is called, and the newest one holds.

use aftercall_core::rota::Rota;

use crate::jobs::Ward;

fn rota(days: &str) -> String {
    format!(
        "version = 1\n[[person]]\nname = \"anna\"\nat = [{{ by = \"sms\", to = \"1\" }}]\n[[shift]]\nrung = \"ward_nurse\"\n\
         people = [\"anna\"]\ndays = [{days}]\nfrom = \"08:00\"\nto = \"18:00\"\n"
    )
}

#[tokio::test]
async fn nobody_is_called_while_the_rota_has_nobody_for_the_ward() {
    let ward = Ward::open(4).await;
    // The clock of the test is a Monday, 10:00.
    let sundays = rota("\"sun\"");
    let imported = ward.store.import_rota(&sundays, "admin", ward.now()).await;
    imported.expect("imported");
    assert_eq!(ward.dial().await, 0);
    assert!(!ward.waiting("nobody_on_duty").await.is_empty());
    let mondays = rota("\"mon\"");
    let imported = ward.store.import_rota(&mondays, "admin", ward.now()).await;
    imported.expect("imported");
    assert!(
        ward.dial().await > 0,
        "what waited is looked at again at once"
    );
    let text = ward.store.rota_text().await.expect("asked");
    assert_eq!(text.as_deref(), Some(mondays.as_str()));
    let known = ward.store.rota().await.expect("asked").expect("there");
    assert_eq!(*known, Rota::parse(&mondays).expect("sound"));
}

/// As `aftercall rota check FILE | head -1` does once it has its line.
#[test]
fn a_reader_that_has_gone_is_no_fault() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("rota.toml");
    std::fs::write(&file, rota("\"mon\"")).expect("own folder");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .args(["rota", "check"])
        .arg(&file)
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("the program was built");
    assert_eq!(output.status.code(), Some(141));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.is_empty(), "{said}");
}
