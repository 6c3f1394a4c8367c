//! Why an object store cannot hold the tables, and what its user can do about it.

use polder_base::{Advice, ExitKind};
use thiserror::Error;

/// Why a store cannot be used. None of these holds what opens it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// A text that names no place for tables.
    #[error("`{place}` is no place for tables: {reason}")]
    Place {
        /// What was asked for.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A kind of store that this program was built without.
    #[error("this program is built without `{scheme}://`")]
    NotBuilt {
        /// `gs` or `az`.
        scheme: String,
    },
    /// The settings for the store make no sense.
    #[error("the settings for `{place}` do not fit together: {reason}")]
    Settings {
        /// The place.
        place: String,
        /// What is wrong with them.
        reason: String,
    },
    /// Nothing says who asks.
    #[error("there are no credentials for `{place}`")]
    NoCredentials {
        /// The place.
        place: String,
    },
    /// The store does not let these credentials do that.
    #[error("the store refuses these credentials at `{place}`: {reason}")]
    Denied {
        /// The place.
        place: String,
        /// The store's own word for it.
        reason: String,
    },
    /// There is no such bucket.
    #[error("there is no bucket `{bucket}`")]
    NoBucket {
        /// Its name.
        bucket: String,
    },
    /// The bucket stands elsewhere.
    #[error("`{place}` does not stand in the region `{region}`")]
    Region {
        /// The place.
        place: String,
        /// Where it was looked for.
        region: String,
        /// Where it stands, where the store says so.
        right: Option<String>,
    },
    /// An endpoint without encryption, which was not allowed.
    #[error("the endpoint for `{place}` is not encrypted")]
    Http {
        /// The place.
        place: String,
    },
    /// No answer.
    #[error("`{place}` cannot be reached: {reason}")]
    Unreachable {
        /// The place.
        place: String,
        /// Why.
        reason: String,
    },
    /// An endpoint whose certificate nobody vouches for.
    #[error("the certificate of the endpoint for `{place}` is not trusted: {reason}")]
    Certificate {
        /// The place.
        place: String,
        /// Why.
        reason: String,
    },
    /// A store on which two writers would lose each other's rows.
    #[error("the store of `{place}` writes over an object that it was told to leave: two writers would lose each other's rows")]
    NoConditions {
        /// The place.
        place: String,
    },
    /// Anything else that a store says.
    #[error("the store of `{place}` failed: {reason}")]
    Failed {
        /// The place.
        place: String,
        /// What it said.
        reason: String,
    },
}

impl Advice for StoreError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Place { .. } => "Write s3://BUCKET/PREFIX, or leave --tables out: then tables stand in the lake's own folder.",
            Self::NotBuilt { scheme } => return Some(format!("Build it with `cargo build --release --bin polder --features {scheme}`.")),
            Self::Settings { .. } => "Look at the variables of the store in the environment, such as AWS_REGION and AWS_ENDPOINT_URL.",
            Self::NoCredentials { .. } => {
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for a profile that has keys, or run it where the machine has a role."
            }
            Self::Denied { .. } => {
                "Look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and at what they may do there: list, read, write, delete."
            }
            Self::NoBucket { .. } => "Make the bucket with the store's own tools, or look at AWS_ENDPOINT_URL and at the name.",
            Self::Region { right: Some(right), .. } => return Some(format!("Set AWS_REGION={right}.")),
            Self::Region { .. } => "Set AWS_REGION to the region in which the bucket stands.",
            Self::Http { .. } => "Write https:// in AWS_ENDPOINT_URL, or allow it with AWS_ALLOW_HTTP=true.",
            Self::Unreachable { .. } => "Look at the network and at AWS_ENDPOINT_URL, and run the same command again; nothing was lost.",
            Self::Certificate { .. } => {
                "Name the file of the authority that signed it, in PEM, in SSL_CERT_FILE; or look at AWS_ENDPOINT_URL."
            }
            Self::NoConditions { .. } => "Use a store that honours `If-None-Match` on PUT, or keep the tables in the lake's own folder.",
            Self::Failed { .. } => "Run the same command again; nothing was lost.",
        };
        Some(text.to_owned())
    }

    fn exit(&self) -> ExitKind {
        match self {
            Self::Place { .. } | Self::NotBuilt { .. } => ExitKind::Usage,
            _ => ExitKind::Failed,
        }
    }
}
