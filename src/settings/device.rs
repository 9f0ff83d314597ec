//! Where the networks run, as a person writes it: a word, or the addresses of editors on other machines.

use super::{Field, Value};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Where the diffusion model runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum EditDevice {
    /// The graphics card, or the CPU where there is only a software adapter.
    Auto,
    /// The graphics card, or the one of this number.
    Gpu(Option<u32>),
    Cpu,
    /// Editors on other machines: see [`Self::addresses`].
    Remote(String),
}

/// An editor on another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditorAddress {
    /// `wss://`: through a proxy that speaks TLS.
    pub is_tls: bool,
    pub host: String,
    pub port: u16,
    /// What the request asks for; a proxy may route by it.
    pub path: String,
    /// Written before an `@`; never shown.
    pub token: Option<String>,
}

impl std::fmt::Display for EditorAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.is_tls { "wss" } else { "ws" };
        let path = if self.path == "/" { "" } else { &self.path };
        write!(f, "{scheme}://{}:{}{path}", self.host, self.port)
    }
}

impl EditorAddress {
    /// The editor runs on this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    }
}

impl EditDevice {
    /// What each can be written as.
    pub const EXPECTS: &str = "auto, gpu, gpu:N, cpu, or ws://HOST:PORT (several with commas)";

    /// `None` for what is none of [`Self::EXPECTS`]. Addresses are not looked into, so that one can be typed.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text {
            "auto" => Some(Self::Auto),
            "gpu" => Some(Self::Gpu(None)),
            "cpu" => Some(Self::Cpu),
            _ if text.starts_with("ws://") || text.starts_with("wss://") => {
                Some(Self::Remote(text.to_owned()))
            }
            _ => {
                let number = text.strip_prefix("gpu:")?.parse().ok()?;
                Some(Self::Gpu(Some(number)))
            }
        }
    }

    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Remote(_))
    }

    /// The remote editors; none where the networks run here.
    ///
    /// # Errors
    /// [`Error::Invalid`] names an address that is none.
    pub fn addresses(&self) -> Result<Vec<EditorAddress>> {
        match self {
            Self::Remote(list) => list.split(',').map(|text| address(text.trim())).collect(),
            _ => Ok(Vec::new()),
        }
    }
}

fn address(text: &str) -> Result<EditorAddress> {
    let shown = match text.split_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => text.to_owned(),
    };
    let wrong = |what: &str| {
        Error::Invalid(format!(
            "\"{shown}\" is no address of an editor: {what}. Write ws://HOST:PORT, as `luxedit serve-editor` says it"
        ))
    };
    let (is_tls, rest) = match (text.strip_prefix("ws://"), text.strip_prefix("wss://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err(wrong("it begins with neither ws:// nor wss://")),
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => (&rest[..at], &rest[at..]),
        None => (rest, "/"),
    };
    let (token, place) = match authority.rsplit_once('@') {
        Some((token, place)) => (Some(token.to_owned()), place),
        None => (None, authority),
    };
    // The colons of an IPv6 address are inside brackets.
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (
            host,
            port.parse().map_err(|_| wrong("its port is no number"))?,
        ),
        _ if is_tls => (place, 443),
        _ => return Err(wrong("it has no port")),
    };
    let is_clean = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
    if host.is_empty() || !is_clean(host) || !is_clean(path) {
        return Err(wrong("its host is missing or has strange characters"));
    }
    Ok(EditorAddress {
        is_tls,
        host: host.to_owned(),
        port,
        path: path.to_owned(),
        token,
    })
}

impl std::fmt::Display for EditDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Gpu(None) => f.write_str("gpu"),
            Self::Gpu(Some(n)) => write!(f, "gpu:{n}"),
            Self::Cpu => f.write_str("cpu"),
            Self::Remote(list) => f.write_str(list),
        }
    }
}

impl From<EditDevice> for String {
    fn from(device: EditDevice) -> Self {
        device.to_string()
    }
}

impl TryFrom<String> for EditDevice {
    type Error = String;
    fn try_from(text: String) -> std::result::Result<Self, String> {
        Self::parse(&text)
            .ok_or_else(|| format!("the device that edits is {}, not \"{text}\"", Self::EXPECTS))
    }
}

impl Field for EditDevice {
    fn to_value(&self) -> Value {
        Value::Text(self.to_string())
    }
    fn from_value(value: Value, old: Self) -> Self {
        match value {
            Value::Text(text) => Self::parse(&text).unwrap_or(old),
            _ => old,
        }
    }
}
