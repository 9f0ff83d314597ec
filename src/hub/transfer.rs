//! HTTP for downloads. A request runs on a thread of its own and hands its chunks over a short channel, so that the one who
//! waits can stop within a fraction of a second even when the line is dead. The thread ends with its next chunk, or when
//! the line has been silent for [`SILENCE`].

use super::Hub;
use crate::error::Cancel;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::io::Read;
use std::time::Duration;
use ureq::config::RedirectAuthHeaders;

/// After which a connection counts as dead.
const SILENCE: Duration = Duration::from_secs(30);
/// Between two looks at the stop flag.
const LOOK: Duration = Duration::from_millis(100);
const CHUNK: usize = 1 << 18;
/// Chunks on their way from the line to the disk.
const AHEAD: usize = 4;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Refusal {
    Cancelled,
    /// An HTTP status that is no success.
    Status(u16),
    /// The connection, in words.
    Failed(String),
}

/// How an answer begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    /// Byte of the file that the answer begins at.
    pub start: u64,
}

enum Message {
    Opened(Opening),
    Chunk(Vec<u8>),
    End,
    Refused(Refusal),
}

/// Makes requests with the Hub's token, which no other host gets to see.
pub(super) struct Client {
    agent: ureq::Agent,
    token: Option<String>,
}

impl Client {
    pub fn new(hub: &Hub) -> Self {
        let config = ureq::Agent::config_builder()
            .user_agent(concat!("luxedit/", env!("CARGO_PKG_VERSION")))
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .http_status_as_error(false)
            .timeout_connect(Some(SILENCE))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build();
        Self {
            agent: config.new_agent(),
            token: hub.token.clone(),
        }
    }

    /// Ask for `url` from byte `from` on.
    pub fn start(&self, url: &str, from: u64) -> Answer {
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let (sender, messages) = bounded(AHEAD);
        std::thread::spawn(move || {
            let last = match request.call() {
                Ok(response) => pump(response, &sender),
                Err(e) => Message::Refused(Refusal::Failed(e.to_string())),
            };
            // Nobody waits any more after a stop.
            sender.send(last).unwrap_or_default();
        });
        Answer { messages }
    }

    /// The whole of a short answer.
    pub fn read(&self, url: &str, most: u64, cancel: &Cancel) -> Result<Vec<u8>, Refusal> {
        let answer = self.start(url, 0);
        answer.opening(cancel)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.next(cancel)? {
            bytes.extend(chunk);
            if bytes.len() as u64 > most {
                return Err(Refusal::Failed("its answer does not end".into()));
            }
        }
        Ok(bytes)
    }
}

/// Pass a response on; what is returned is the last message.
fn pump(mut response: ureq::http::Response<ureq::Body>, sender: &Sender<Message>) -> Message {
    let status = response.status().as_u16();
    let start = match status {
        200 => Some(0),
        206 => response
            .headers()
            .get("Content-Range")
            .and_then(|range| range.to_str().ok())
            .and_then(range_start),
        _ => return Message::Refused(Refusal::Status(status)),
    };
    let Some(start) = start else {
        return Message::Refused(Refusal::Failed(
            "it does not say where its answer begins".into(),
        ));
    };
    let mut body = response.body_mut().as_reader();
    let mut message = Message::Opened(Opening { start });
    loop {
        if sender.send(message).is_err() {
            return Message::End;
        }
        let mut chunk = vec![0; CHUNK];
        match read_some(&mut body, &mut chunk) {
            Ok(0) => return Message::End,
            Ok(len) => chunk.truncate(len),
            Err(e) => return Message::Refused(Refusal::Failed(e.to_string())),
        }
        message = Message::Chunk(chunk);
    }
}

/// One read, repeated where a signal came between.
fn read_some(body: &mut impl Read, chunk: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match body.read(chunk) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// `bytes 100-999/1000` → 100.
fn range_start(range: &str) -> Option<u64> {
    let range = range.trim().strip_prefix("bytes")?;
    range.trim().split_once('-')?.0.parse().ok()
}

/// A running request. Dropping it ends it.
pub(super) struct Answer {
    messages: Receiver<Message>,
}

impl Answer {
    /// Wait for the answer's beginning.
    pub fn opening(&self, cancel: &Cancel) -> Result<Opening, Refusal> {
        match self.message(cancel)? {
            Message::Opened(opening) => Ok(opening),
            Message::Refused(refusal) => Err(refusal),
            Message::Chunk(_) | Message::End => Err(Refusal::Failed("no answer".into())),
        }
    }

    /// The next bytes; `None` at the end.
    pub fn next(&self, cancel: &Cancel) -> Result<Option<Vec<u8>>, Refusal> {
        match self.message(cancel)? {
            Message::Chunk(chunk) => Ok(Some(chunk)),
            Message::End => Ok(None),
            Message::Refused(refusal) => Err(refusal),
            Message::Opened(_) => Err(Refusal::Failed("two answers".into())),
        }
    }

    fn message(&self, cancel: &Cancel) -> Result<Message, Refusal> {
        loop {
            if cancel.is_cancelled() {
                return Err(Refusal::Cancelled);
            }
            match self.messages.recv_timeout(LOOK) {
                Ok(message) => return Ok(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Refusal::Failed("the request ended unexpectedly".into()));
                }
            }
        }
    }
}
