//! A model by URL: HTTP with `Range`, so that what came before a line broke is not fetched again (RFC 9110 §14).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::http::StatusCode;

use crate::speech::models::fetch::{FetchError, Progress};

const CONNECT: Duration = Duration::from_secs(20);
/// A server that is silent for so long is given up; the next try goes on from there.
const SILENCE: Duration = Duration::from_secs(60);

/// Whether a source is a URL, not a path.
pub fn is_url(from: &str) -> bool {
    from.starts_with("http://") || from.starts_with("https://")
}

/// Fetches `bytes` bytes into a file; what lies there already is the beginning of it.
///
/// # Errors
/// When the server cannot be reached, refuses, or ends early. What came is kept.
pub fn download(
    url: &str,
    bytes: u64,
    partial: &Path,
    progress: Progress<'_>,
) -> Result<(), FetchError> {
    let file = |source| FetchError::File {
        path: partial.to_owned(),
        source,
    };
    let mut have = match fs::metadata(partial) {
        Ok(found) if found.len() <= bytes => found.len(),
        // Longer than the model: another file.
        Ok(_) => {
            fs::remove_file(partial).map_err(file)?;
            0
        }
        Err(_) => 0,
    };
    if have == bytes {
        return Ok(());
    }
    let agent: Agent = Agent::config_builder()
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .http_status_as_error(false)
        .build()
        .into();
    let failed = |why: String| FetchError::Url { why };
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = request.call().map_err(|error| failed(error.to_string()))?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT => (),
        // It knows no ranges: from the beginning.
        StatusCode::OK => have = 0,
        status => return Err(failed(format!("the server answers {status}"))),
    }
    let mut out = open(partial, have).map_err(file)?;
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        let read = body
            .read(&mut buffer)
            .map_err(|error| failed(format!("the line broke ({error}); run it again to go on")))?;
        if read == 0 {
            break;
        }
        have += read as u64;
        if have > bytes {
            break;
        }
        out.write_all(&buffer[..read]).map_err(file)?;
        progress("downloading", Some(have as f64 / bytes as f64));
    }
    out.sync_all().map_err(file)?;
    match have == bytes {
        true => Ok(()),
        false => Err(failed(format!(
            "it gave {have} of {bytes} bytes; run it again to go on, or check the URL"
        ))),
    }
}

fn open(partial: &Path, have: u64) -> io::Result<File> {
    match have {
        0 => File::create(partial),
        _ => OpenOptions::new().append(true).open(partial),
    }
}
