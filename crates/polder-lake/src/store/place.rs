//! A place for tables outside the lake's folder, `s3://bucket/prefix`, and what opens it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use object_store::client::SpawnedReqwestConnector;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use url::Url;

use super::StoreError;
use super::guard::Guard;

/// A store that is asked in vain is asked this often again, for some seconds in all.
const RETRIES_MAX: usize = 5;

/// A prefix of an object store.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    url: Url,
}

impl Place {
    /// Its address, which ends in `/`.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    fn bucket(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Place {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let wrong = |place: &str, reason: &str| StoreError::Place { place: place.to_owned(), reason: reason.to_owned() };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(wrong(text, "it is no address of an object store"));
        };
        if !["s3", "gs", "az"].contains(&scheme) {
            return Err(wrong(&format!("{scheme}://…"), "no such kind of store is known"));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        // What stands before an `@` may be a password: it is not repeated.
        if rest.contains('@') {
            return Err(wrong(&format!("{scheme}://…"), "an address holds no credentials; they come from the environment"));
        }
        let is_plain = |part: &str, marks: &[u8]| {
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(|b| b.is_ascii_alphanumeric() || marks.contains(&b))
        };
        if !is_plain(bucket, b".-_") {
            return Err(wrong(text, "it names no bucket"));
        }
        let prefix = prefix.trim_end_matches('/');
        if !prefix.is_empty() && !prefix.split('/').all(|part| is_plain(part, b".-_=+")) {
            return Err(wrong(text, "the parts of its path have letters, digits, `.`, `-`, `_`, `=` and `+`"));
        }
        let slash = if prefix.is_empty() { "" } else { "/" };
        let url = Url::parse(&format!("{scheme}://{bucket}/{prefix}{slash}")).map_err(|e| wrong(text, &e.to_string()))?;
        Ok(Self { url })
    }
}

/// What opens an object store: credentials, region, endpoint, by the names of the environment's variables. It is held in memory alone.
#[derive(Clone, Default)]
pub struct StoreAccess(BTreeMap<String, String>);

/// Names that stores' own tools know. Others are not looked at.
const PREFIXES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

impl StoreAccess {
    /// What the environment of this process says, and for AWS the files of the profile that it names.
    pub fn of_environment() -> Self {
        let all = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let mut access: Self = all.collect();
        super::profile::complete(&mut access.0, |name| std::env::var_os(name).filter(|value| !value.is_empty()));
        access
    }

    fn of<'a, K: FromStr + 'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (K, &'a str)> + 'a {
        let all = self.0.iter().filter(move |(name, value)| name.starts_with(prefix) && !value.is_empty());
        all.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value.as_str())))
    }

    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_empty())
    }

    /// What must never be shown.
    fn secrets(&self) -> Vec<String> {
        const OPEN: [&str; 4] = ["REGION", "ENDPOINT", "URL", "ALLOW"];
        let hidden = self.0.iter().filter(|(name, value)| value.len() >= 4 && !OPEN.iter().any(|open| name.contains(open)));
        hidden.map(|(_, value)| value.clone()).collect()
    }

    /// Makes a client of the store that holds a place. Nothing is asked of it yet.
    pub(crate) fn open(&self, place: &Place) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let inner: Arc<dyn ObjectStore> = match place.url.scheme() {
            "s3" => self.open_s3(place)?,
            #[cfg(feature = "gs")]
            "gs" => {
                let builder = object_store::gcp::GoogleCloudStorageBuilder::new()
                    .with_bucket_name(place.bucket())
                    .with_retry(retries())
                    .with_http_connector(connector(place)?);
                let set = self.of("GOOGLE_").fold(builder, |builder, (key, value)| builder.with_config(key, value));
                Arc::new(set.build().map_err(|e| self.guard(place, None).settings(&e))?)
            }
            #[cfg(feature = "az")]
            "az" => {
                let builder = object_store::azure::MicrosoftAzureBuilder::new()
                    .with_container_name(place.bucket())
                    .with_retry(retries())
                    .with_http_connector(connector(place)?);
                let set = self.of("AZURE_").fold(builder, |builder, (key, value)| builder.with_config(key, value));
                Arc::new(set.build().map_err(|e| self.guard(place, None).settings(&e))?)
            }
            other => return Err(StoreError::NotBuilt { scheme: other.to_owned() }),
        };
        Ok(Arc::new(self.guard(place, Some(inner))))
    }

    fn open_s3(&self, place: &Place) -> Result<Arc<dyn ObjectStore>, StoreError> {
        use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
        let builder = AmazonS3Builder::new().with_retry(retries()).with_http_connector(connector(place)?);
        let set = self.of::<AmazonS3ConfigKey>("AWS_").fold(builder, |builder, (key, value)| builder.with_config(key, value));
        // Commits stand on this: it is no setting.
        let set = set.with_bucket_name(place.bucket()).with_conditional_put(S3ConditionalPut::ETagMatch);
        Ok(Arc::new(set.build().map_err(|e| self.guard(place, None).settings(&e))?))
    }

    fn guard(&self, place: &Place, inner: Option<Arc<dyn ObjectStore>>) -> Guard {
        let region = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| self.0.get(*name).cloned());
        let named = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_STORAGE_ACCOUNT_KEY"];
        Guard {
            inner: inner.unwrap_or_else(|| Arc::new(object_store::memory::InMemory::new())),
            place: place.to_string(),
            bucket: place.bucket().to_owned(),
            region: region.unwrap_or_else(|| "us-east-1".to_owned()),
            has_credentials: named.iter().any(|name| self.has(name)),
            secrets: self.secrets(),
        }
    }
}

impl FromIterator<(String, String)> for StoreAccess {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(all: T) -> Self {
        Self(all.into_iter().filter(|(name, _)| PREFIXES.iter().any(|p| name.starts_with(p))).collect())
    }
}

impl fmt::Debug for StoreAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// Requests run on threads of their own.
fn connector(place: &Place) -> Result<SpawnedReqwestConnector, StoreError> {
    let failed = || StoreError::Failed { place: place.to_string(), reason: "the system gives no threads to ask it with".into() };
    Ok(SpawnedReqwestConnector::new(super::threads().ok_or_else(failed)?.handle().clone()))
}

fn retries() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES_MAX, ..RetryConfig::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_a_prefix_and_nothing_else() {
        let of = |text: &str| text.parse::<Place>().map(|p| p.url().to_string());
        assert_eq!(of("s3://bucket").expect("a place"), "s3://bucket/");
        assert_eq!(of("s3://my.bucket/a/b_c/").expect("a place"), "s3://my.bucket/a/b_c/");
        for wrong in
            ["", "lake", "/tmp/x", "ftp://a/b", "s3://", "s3:///x", "s3://b/../x", "s3://b//x", "s3://b/x?y=1", "s3://b/x#y", "s3://b:80/x"]
        {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_with_a_password_is_refused_and_not_repeated() {
        for text in ["s3://user:hunter2@bucket/x", "s3://hunter2@bucket", "ftp://user:hunter2@bucket/x"] {
            let told = text.parse::<Place>().expect_err("refused").to_string();
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn what_opens_a_store_is_not_shown() {
        let all = [("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_REGION", "eu-1"), ("HOME", "/root")];
        let access: StoreAccess = all.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        assert_eq!(format!("{access:?}"), r#"["AWS_REGION", "AWS_SECRET_ACCESS_KEY"]"#);
        assert_eq!(access.secrets(), ["hunter2"]);
    }
}
