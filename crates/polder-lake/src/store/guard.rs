//! What stands between the lake and an object store: it says in the lake's words why a request failed, hides what must not be shown, and
//! knows a commit of its own again whose answer was lost on the way.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryFutureExt as _};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::StoreError;

/// A store that answers "somebody else is writing this" is asked so often again.
const ATTEMPTS: usize = 5;
/// So much of what a store says is shown.
const TOLD_CHARS_MAX: usize = 300;

/// A store, guarded.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) inner: Arc<dyn ObjectStore>,
    pub(super) place: String,
    pub(super) bucket: String,
    pub(super) region: String,
    pub(super) has_credentials: bool,
    pub(super) secrets: Vec<String>,
}

impl Guard {
    /// Why no client of the store could be made.
    pub(super) fn settings(&self, error: &Error) -> StoreError {
        StoreError::Settings { place: self.place.clone(), reason: self.said(error) }
    }

    /// An error and its causes as one line, without secrets.
    fn said(&self, error: &dyn StdError) -> String {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let more = inner.to_string();
            if !text.contains(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            cause = inner.source();
        }
        self.secrets.iter().fold(text, |text, secret| text.replace(secret.as_str(), "…"))
    }

    /// Says in the lake's words why a request failed. Answers that the Delta library acts upon stay what they are.
    fn told(&self, error: Error) -> Error {
        let text = self.said(&error);
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let place = self.place.clone();
        // A listing that fails says its status in text alone.
        let ours = match error {
            Error::NotFound { .. } | Error::Generic { .. }
                if has(&["NoSuchBucket", "ContainerNotFound", "specified bucket does not exist"]) =>
            {
                StoreError::NoBucket { bucket: self.bucket.clone() }
            }
            Error::NotFound { path, .. } => return Error::NotFound { path, source: "the store has no such object".into() },
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => StoreError::Denied { place, reason: code(&text).to_owned() },
            Error::Generic { .. } if has(&["code: 403", "code: 401"]) => StoreError::Denied { place, reason: code(&text).to_owned() },
            Error::Generic { .. } if has(&["AuthorizationHeaderMalformed", "PermanentRedirect", "without LOCATION", "IllegalLocation"]) => {
                let right = between(&text, "expecting '", "'").or_else(|| between(&text, "<Region>", "</Region>")).map(str::to_owned);
                StoreError::Region { place, region: self.region.clone(), right }
            }
            Error::Generic { .. } if !self.has_credentials && has(&["169.254.", "metadata.google", "/metadata/"]) => {
                StoreError::NoCredentials { place }
            }
            Error::Generic { .. } if has(&["scheme is not allowed", "BadScheme"]) => StoreError::Http { place },
            Error::Generic { .. } if has(&["invalid peer certificate", "UnknownIssuer", "CertificateRequired"]) => {
                StoreError::Certificate { place, reason: short(text.rsplit(": ").next().unwrap_or_default()) }
            }
            Error::Generic { .. } if has(&["error sending request", "HTTP error", "dns error", "timed out", "onnect"]) => {
                StoreError::Unreachable { place, reason: short(text.rsplit(": ").next().unwrap_or_default()) }
            }
            Error::Generic { .. } => StoreError::Failed { place, reason: short(&text) },
            other => return other,
        };
        Error::Generic { store: "object store", source: Box::new(ours) }
    }

    /// Whether an object is there and holds exactly these bytes; `None` where it is not there.
    async fn holds(&self, location: &Path, payload: &PutPayload) -> Result<Option<bool>> {
        let there = match self.inner.get(location).await {
            Ok(there) => there,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(self.told(e)),
        };
        if there.meta.size != payload.content_length() as u64 {
            return Ok(Some(false));
        }
        let bytes = there.bytes().await.map_err(|e| self.told(e))?;
        Ok(Some(payload.iter().flat_map(|part| part.iter()).eq(bytes.iter())))
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split(after).next().filter(|t| !t.is_empty())
}

/// The store's own name for what is wrong.
fn code(text: &str) -> &str {
    between(text, "<Code>", "</Code>").unwrap_or("no permission")
}

fn short(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TOLD_CHARS_MAX).collect();
    text.trim().to_owned()
}

#[async_trait]
impl ObjectStore for Guard {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let is_create = matches!(options.mode, PutMode::Create);
        let mut attempt = 0;
        loop {
            match self.inner.put_opts(location, payload.clone(), options.clone()).await {
                // Either another writer made it, or this one did and its answer was lost, or another one is about to.
                Err(e @ Error::AlreadyExists { .. }) if is_create => match self.holds(location, &payload).await? {
                    Some(true) => return Ok(PutResult { e_tag: None, version: None }),
                    None if attempt < ATTEMPTS => attempt += 1,
                    _ => return Err(e),
                },
                other => return other.map_err(|e| self.told(e)),
            }
        }
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).map_err(|e| self.told(e)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).map_err(|e| self.told(e)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let guard = self.clone();
        self.inner.delete_stream(locations).map(move |done| done.map_err(|e| guard.told(e))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let guard = self.clone();
        self.inner.list(prefix).map(move |found| found.map_err(|e| guard.told(e))).boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let guard = self.clone();
        self.inner.list_with_offset(prefix, offset).map(move |found| found.map_err(|e| guard.told(e))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).map_err(|e| self.told(e)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).map_err(|e| self.told(e)).await
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}
