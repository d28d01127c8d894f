//! Files of the project, as the core wants them: (name, text).

use std::path::Path;

/// How often a seeded loop runs: its usual count, times `AFTERCALL_SOAK` where `make soak` builds with it.
pub fn rounds(usual: u64) -> u64 {
    let times = option_env!("AFTERCALL_SOAK").unwrap_or("1");
    usual * times.parse::<u64>().expect("AFTERCALL_SOAK is a number")
}

/// Scripts, shared nodes and prompt texts: every TOML below `dialogs/`, named from there.
pub fn dialog_files(dialogs: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    collect(dialogs, dialogs, &mut files);
    files.retain(|(name, _)| name.ends_with(".toml") && !name.starts_with("redflags/"));
    files
}

/// Every file of the lexicon.
pub fn lexicon_files(dir: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    collect(dir, dir, &mut files);
    files.retain(|(name, _)| !name.ends_with(".md"));
    files
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = std::fs::read_dir(dir)
        .expect("a folder of the project")
        .flatten()
        .collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let name = path
                .strip_prefix(root)
                .expect("below the root")
                .to_string_lossy()
                .into_owned();
            files.push((name, text));
        }
    }
}
