//! Recordings in an object store (S3, Azure, GCS): the chunk files of the local folder, encrypted as they lie there.
//!
//! Whoever records, plays or removes works with files and blocks; so do the calls here. The requests run on a thread of
//! their own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use aftercall_core::id::AttemptId;
use async_trait::async_trait;
use axum::body::to_bytes;
use futures_util::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt as _, ObjectStoreScheme,
    RetryConfig,
};
use tokio::runtime::Runtime;
use ureq::Agent;
use url::Url;

use super::chunk::{file_name, index_of};

/// For one request: a chunk has 84 kB.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a request with its retries: somebody may be waiting to listen.
const RETRIES: RetryConfig = RetryConfig {
    backoff: BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(2),
        base: 2.0,
    },
    max_retries: 3,
    retry_timeout: Duration::from_secs(20),
};
/// Longest answer: a chunk, or a page of a list.
const ANSWER_LIMIT: u64 = 8 << 20;

/// A bucket or container, and the place of the recordings in it.
pub struct Remote {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// Always there, but for the moment in which it is shut down.
    runtime: Option<Runtime>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({})", self.store)
    }
}

/// The three builders have the same methods and no trait.
macro_rules! built {
    ($builder:ty, $variables:expr, $url:expr) => {{
        let set = |builder: $builder, (name, value): (String, String)| match name.parse() {
            Ok(key) => builder.with_config(key, value),
            Err(_) => builder,
        };
        let builder = $variables.fold(<$builder>::new(), set).with_url($url);
        let builder = builder.with_retry(RETRIES).with_http_connector(Ureq);
        Arc::new(builder.build()?)
    }};
}

impl Remote {
    /// `s3://bucket/folder`, `az://container/folder` or `gs://bucket/folder`; credentials and endpoint come from the
    /// environment, by the names of each provider's own tools.
    ///
    /// # Errors
    /// Another address, or credentials that cannot be used. Nobody is asked yet.
    pub fn open(url: &str) -> anyhow::Result<Self> {
        let readable = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::with(url, std::env::vars_os().filter_map(readable))
    }

    /// The same with variables from elsewhere.
    ///
    /// # Errors
    /// As [`Remote::open`].
    pub fn with(
        url: &str,
        variables: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let (scheme, prefix) = ObjectStoreScheme::parse(&Url::parse(url)?)?;
        let of = |provider: &'static str| {
            variables.filter_map(move |(name, value)| {
                let name = name.to_ascii_lowercase();
                name.starts_with(provider).then_some((name, value))
            })
        };
        let store: Arc<dyn ObjectStore> = match scheme {
            ObjectStoreScheme::AmazonS3 => built!(AmazonS3Builder, of("aws_"), url),
            ObjectStoreScheme::MicrosoftAzure => built!(MicrosoftAzureBuilder, of("azure_"), url),
            ObjectStoreScheme::GoogleCloudStorage => {
                built!(GoogleCloudStorageBuilder, of("google_"), url)
            }
            _ => anyhow::bail!("{url} is no s3://, az:// or gs:// address"),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("recordings")
            .enable_all()
            .build()?;
        Ok(Self {
            store,
            prefix,
            runtime: Some(runtime),
        })
    }

    /// Attempts of which something is there.
    pub(super) fn attempts(&self) -> Result<Vec<AttemptId>, Error> {
        let (store, prefix) = (Arc::clone(&self.store), self.prefix.clone());
        self.wait(async move {
            let found = store.list_with_delimiter(Some(&prefix)).await?;
            let folders = found.common_prefixes.iter();
            let names = folders.filter_map(|folder| folder.filename());
            Ok(names.map(|name| AttemptId(name.to_owned())).collect())
        })
    }

    /// The chunks of an attempt that are there, with their bytes' count.
    pub(super) fn list(&self, attempt: &AttemptId) -> Result<BTreeMap<u32, u64>, Error> {
        let (store, folder) = (Arc::clone(&self.store), self.folder(attempt));
        self.wait(async move {
            let objects: Vec<_> = store.list(Some(&folder)).try_collect().await?;
            let chunk = |object: &object_store::ObjectMeta| {
                Some((index_of(object.location.filename()?)?, object.size))
            };
            Ok(objects.iter().filter_map(chunk).collect())
        })
    }

    pub(super) fn read(&self, attempt: &AttemptId, index: u32) -> Result<Vec<u8>, Error> {
        let (store, path) = (Arc::clone(&self.store), self.path(attempt, index));
        self.wait(async move { Ok(store.get(&path).await?.bytes().await?.to_vec()) })
    }

    pub(super) fn write(
        &self,
        attempt: &AttemptId,
        index: u32,
        bytes: Vec<u8>,
    ) -> Result<(), Error> {
        let (store, path) = (Arc::clone(&self.store), self.path(attempt, index));
        self.wait(async move { store.put(&path, bytes.into()).await.map(|_| ()) })
    }

    /// Removes what is there of an attempt; false when nothing was.
    pub(super) fn remove(&self, attempt: &AttemptId) -> Result<bool, Error> {
        let (store, folder) = (Arc::clone(&self.store), self.folder(attempt));
        self.wait(async move {
            let objects: Vec<_> = store.list(Some(&folder)).try_collect().await?;
            for object in &objects {
                match store.delete(&object.location).await {
                    // Another engine was faster.
                    Ok(()) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(!objects.is_empty())
        })
    }

    fn folder(&self, attempt: &AttemptId) -> Path {
        self.prefix.clone().join(attempt.0.as_str())
    }

    fn path(&self, attempt: &AttemptId, index: u32) -> Path {
        self.folder(attempt).join(file_name(index))
    }

    /// From any thread, also one that belongs to another runtime.
    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (tell, told) = mpsc::channel();
        let done = async move { tell.send(work.await) };
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn(done)),
            None => drop(done),
        }
        told.recv().unwrap_or_else(|lost| {
            Err(Error::Generic {
                store: "recordings",
                source: Box::new(lost),
            })
        })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // A runtime must not be waited for on a thread of another.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Requests go by the HTTP client that everything else here goes by.
#[derive(Debug)]
struct Ureq;

impl HttpConnector for Ureq {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let agent = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .build();
        Ok(HttpClient::new(Service(agent.into())))
    }
}

#[derive(Debug)]
struct Service(Agent);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(axum::body::Body::new(body), usize::MAX).await;
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Request, error))?;
        let agent = self.0.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let request = ureq::http::Request::from_parts(parts, body.to_vec());
            let (parts, mut body) = agent.run(request)?.into_parts();
            let bytes = body.with_config().limit(ANSWER_LIMIT).read_to_vec()?;
            Ok((parts, bytes))
        });
        let answer: Result<_, ureq::Error> = asked
            .await
            .map_err(|lost| HttpError::new(HttpErrorKind::Unknown, lost))?;
        let (parts, bytes) = answer.map_err(|error| HttpError::new(kind(&error), error))?;
        Ok(HttpResponse::from_parts(
            parts,
            HttpResponseBody::from(bytes),
        ))
    }
}

/// What may be asked again.
fn kind(error: &ureq::Error) -> HttpErrorKind {
    match error {
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        ureq::Error::Io(_) | ureq::Error::Protocol(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_no_store_is_refused() {
        for url in [
            "recordings",
            "/srv/recordings",
            "ftp://a/b",
            "memory:///",
            "file:///srv",
        ] {
            assert!(Remote::open(url).is_err(), "{url}");
        }
    }
}
