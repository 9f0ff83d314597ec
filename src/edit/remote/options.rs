//! How connections to remote editors are kept. A network may go silent without closing anything: a cable is pulled, a
//! laptop sleeps, a router forgets. Only a ping that is not answered tells that from a long step.

use std::{path::PathBuf, time::Duration};

/// How a [`super::RemoteEditor`] keeps its connections, and whom it trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteOptions {
    /// Silence after which an editor is pinged.
    pub ping_after: Duration,
    /// Silence after which an editor counts as gone.
    pub silence: Duration,
    /// PEM file of authorities that `wss://` trusts beside the public ones.
    pub authorities: Option<PathBuf>,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            ping_after: Duration::from_secs(5),
            silence: Duration::from_secs(20),
            authorities: None,
        }
    }
}

impl RemoteOptions {
    /// With the authorities that the variable `SSL_CERT_FILE` names.
    pub fn from_environment() -> Self {
        Self {
            authorities: std::env::var_os("SSL_CERT_FILE")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            ..Self::default()
        }
    }
}
