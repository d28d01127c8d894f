//! Recordings by HTTP Range (RFC 9110 §14), also while the call runs. Every listen is an access to health data.

use std::io;

use aftercall_core::id::AttemptId;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::task::spawn_blocking;

use super::extract::Id;
use super::problem::Problem;
use super::{AppState, Caller};
use crate::recording::{RecordingError, RecordingReader};

/// Bytes read from disk at once: two seconds of sound.
const PIECE: u64 = 32 * 1024;

/// Plays a recording, or a part of it, as a stereo A-law WAV: left the robot, right the patient.
#[utoipa::path(get, path = "/calls/{id}/recording", tag = "calls",
    params(("id" = String, Path, description = "attempt"),
           ("Range" = Option<String>, Header, description = "one range: `bytes=0-999`, `bytes=500-`, `bytes=-500`")),
    responses(
    (status = OK, body = Vec<u8>, content_type = "audio/wav"),
    (status = PARTIAL_CONTENT, body = Vec<u8>, content_type = "audio/wav"),
    (status = RANGE_NOT_SATISFIABLE, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn listen(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let attempt = state.store.attempt(&AttemptId(id)).await?.attempt.id;
    let recordings = state.recordings.clone();
    let key = state.store.recording_key(&attempt).await?;
    let wanted = attempt.clone();
    let reader = spawn_blocking(move || recordings.reader(&wanted, &key))
        .await
        .map_err(|_| broken())??;
    let total = reader.wav_bytes();
    let asked = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let (status, from, to) = match range(asked, total) {
        Range::Whole => (StatusCode::OK, 0, total),
        Range::Part { from, to } => (StatusCode::PARTIAL_CONTENT, from, to),
        Range::Outside => return Ok(outside(total)),
    };
    // Heard only if it can be written down that it was.
    state
        .audit(
            &caller,
            "recording.listen",
            &attempt.0,
            &format!("bytes {from}-{}/{total}", to.saturating_sub(1)),
        )
        .await?;
    let mut response = (status, Body::from_stream(pieces(reader, from, to))).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("audio/wav"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(to - from));
    if status == StatusCode::PARTIAL_CONTENT {
        insert(
            headers,
            header::CONTENT_RANGE,
            &format!("bytes {from}-{}/{total}", to - 1),
        );
    }
    Ok(response)
}

fn broken() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the recording could not be opened",
    )
}

fn outside(total: u64) -> Response {
    let detail = "the recording has not so many bytes yet";
    let mut response = Problem::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range_not_satisfiable",
        detail,
    )
    .into_response();
    insert(
        response.headers_mut(),
        header::CONTENT_RANGE,
        &format!("bytes */{total}"),
    );
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    headers.insert(
        name,
        HeaderValue::from_str(value).expect("digits and dashes"),
    );
}

/// The bytes `from..to` in pieces, each read off the async threads.
fn pieces(
    reader: RecordingReader,
    from: u64,
    to: u64,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::try_unfold((reader, from), move |(mut reader, at)| async move {
        if at >= to {
            return Ok(None);
        }
        let read = spawn_blocking(move || {
            let length = usize::try_from(PIECE.min(to - at)).unwrap_or(0);
            let mut piece = vec![0; length];
            let read = reader.read_at(at, &mut piece)?;
            piece.truncate(read);
            Ok::<_, io::Error>((reader, piece))
        });
        let (reader, piece) = read.await.map_err(io::Error::other)??;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let next = at + piece.len() as u64;
        Ok(Some((Bytes::from(piece), (reader, next))))
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    Whole,
    /// Half open.
    Part {
        from: u64,
        to: u64,
    },
    Outside,
}

/// Reads one byte range. Several ranges, other units and nonsense are ignored, as RFC 9110 §14.2 allows.
fn range(asked: Option<&str>, total: u64) -> Range {
    let Some(spec) = asked.and_then(|asked| asked.strip_prefix("bytes=")) else {
        return Range::Whole;
    };
    let Some((from, to)) = spec.trim().split_once('-') else {
        return Range::Whole;
    };
    match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) if from > to => Range::Whole,
        (Ok(from), Ok(to)) if from < total => Range::Part {
            from,
            to: to.saturating_add(1).min(total),
        },
        (Ok(from), Err(_)) if to.is_empty() && from < total => Range::Part { from, to: total },
        (Ok(_), Ok(_)) => Range::Outside,
        (Ok(_), Err(_)) if to.is_empty() => Range::Outside,
        (Err(_), Ok(0)) if from.is_empty() => Range::Outside,
        (Err(_), Ok(last)) if from.is_empty() => Range::Part {
            from: total.saturating_sub(last),
            to: total,
        },
        (Ok(_) | Err(_), Ok(_) | Err(_)) => Range::Whole,
    }
}

impl From<RecordingError> for io::Error {
    fn from(error: RecordingError) -> Self {
        io::Error::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let part = |from, to| Range::Part { from, to };
        let table = [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-", part(0, 100)),
            ("bytes=10-19", part(10, 20)),
            ("bytes=90-1000", part(90, 100)),
            ("bytes=-10", part(90, 100)),
            ("bytes=-1000", part(0, 100)),
            ("bytes=100-", Range::Outside),
            ("bytes=100-200", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=20-10", Range::Whole),
            ("bytes=0-1,5-6", Range::Whole),
            ("bytes=x-1", Range::Whole),
            ("bytes=--1", Range::Whole),
            ("items=0-1", Range::Whole),
            ("bytes=", Range::Whole),
        ];
        for (asked, expected) in table {
            assert_eq!(range(Some(asked), 100), expected, "{asked}");
        }
        assert_eq!(range(None, 100), Range::Whole);
    }
}
