//! Reads `dialogs/` and fixtures from the working tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aftercall_core::lang::Lang;
use aftercall_core::script::{Script, load};

/// The root of the working tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file with this ending below a folder, by its name relative to it; none where there is no folder.
pub fn text_files(folder: &Path, ending: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    if folder.is_dir() {
        collect(folder, folder, ending, &mut files);
    }
    files.sort();
    files
}

fn collect(base: &Path, folder: &Path, ending: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("the folder is in the repository") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            collect(base, &path, ending, files);
        } else if path.extension().is_some_and(|e| e == ending) {
            let name = path.strip_prefix(base).expect("below the base");
            let name = name.to_str().expect("names are UTF-8").replace('\\', "/");
            files.push((name, fs::read_to_string(&path).expect("a readable file")));
        }
    }
}

/// The shipped scripts.
pub fn shipped() -> Vec<Script> {
    match load(&text_files(&root().join("dialogs"), "toml")) {
        Ok(scripts) => scripts,
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            panic!("the shipped scripts do not load:\n{}", lines.join("\n"))
        }
    }
}

/// One shipped script.
pub fn script(id: &str, lang: Lang) -> Arc<Script> {
    let found = shipped().into_iter().find(|s| s.id == id && s.lang == lang);
    Arc::new(found.expect("a shipped script"))
}

/// The rows of a table: tab-separated, `#` begins a comment.
pub fn table(name: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("fixtures").join(name)).expect("a fixture table");
    let rows = text
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    rows.map(|l| l.split('\t').map(str::to_owned).collect())
        .collect()
}
