//! Why a service cannot start or go on.

use std::io;
use std::net::SocketAddr;

use polder_base::{Advice, EventError, ExitKind};
use thiserror::Error;

/// Why a service cannot start or go on.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Another program listens there.
    #[error("port {} of {} is in use", address.port(), address.ip())]
    PortInUse {
        /// Where it should listen.
        address: SocketAddr,
        /// Why it does not.
        #[source]
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where it should listen.
        address: SocketAddr,
        /// Why it does not.
        #[source]
        source: io::Error,
    },
    /// Others could reach it, and nobody has to say who they are.
    #[error("{address} can be reached from other machines, and no token is set")]
    TokenRequired {
        /// Where it should listen.
        address: SocketAddr,
    },
    /// A token that could be guessed.
    #[error("the token has {n_bytes} bytes; at least 16 are needed")]
    TokenTooShort {
        /// Its length.
        n_bytes: usize,
    },
    /// The log of what is served cannot be opened.
    #[error(transparent)]
    Usage(#[from] EventError),
    /// The machine that the model runs on failed while serving.
    #[error("the service ended, for the machine that its model runs on has failed")]
    Model,
    /// The network failed while serving.
    #[error("the service stopped listening")]
    Serve {
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Advice for ServeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::PortInUse { .. } => Some("Choose another port with --listen 127.0.0.1:PORT; port 0 takes a free one.".into()),
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("Choose a port above 1023 with --listen ADDRESS:PORT.".into())
            }
            Self::Bind { .. } => Some("Choose an address of this machine with --listen ADDRESS:PORT; 127.0.0.1 always is one.".into()),
            Self::TokenRequired { .. } => {
                Some("Set POLDER_SERVE_TOKEN to a long random text, or leave out --listen to serve this machine only.".into())
            }
            Self::TokenTooShort { .. } => Some("Make one with `openssl rand -hex 32`.".into()),
            Self::Usage(e) => e.hint(),
            Self::Model => {
                Some("Start it again; `polder-gpu kernels check` looks for what is wrong with a GPU, and --device cpu needs none.".into())
            }
            Self::Serve { .. } => None,
        }
    }
    fn exit(&self) -> ExitKind {
        match self {
            Self::Serve { .. } | Self::Model | Self::Usage(_) => ExitKind::Failed,
            _ => ExitKind::Usage,
        }
    }
}
