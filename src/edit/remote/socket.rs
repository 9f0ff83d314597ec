//! A WebSocket of messages: reads wait for a moment only, so that one thread can listen and talk, and note when the other
//! end was last heard of.

use super::message::{MOST_BYTES, MOST_GREETING, Message};
use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};
use tungstenite::{
    Message as Frame, WebSocket,
    protocol::{Role, WebSocketConfig},
};

/// After which a peer that takes no bytes counts as gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// TCP, or TLS over it.
pub(super) trait Wire: Read + Write + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

/// Remembers when bytes last came.
struct Heard {
    wire: Box<dyn Wire>,
    at: Instant,
}

impl Read for Heard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.wire.read(buffer)?;
        if read > 0 {
            self.at = Instant::now();
        }
        Ok(read)
    }
}

impl Write for Heard {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.wire.write(buffer)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}

/// What came of a read.
pub(super) enum Heed<H> {
    Message(Message<H>),
    /// Nothing yet.
    Nothing,
    /// The other end is gone, and why.
    Lost(String),
    /// The other end does not keep to the protocol.
    Broken(String),
}

/// A connection after its upgrade.
pub(super) struct Socket {
    socket: WebSocket<Heard>,
}

impl Socket {
    pub fn new(wire: Box<dyn Wire>, role: Role) -> Result<Self> {
        wire.tcp()
            .set_write_timeout(Some(WRITE_PATIENCE))
            .map_err(|e| Error::Invalid(format!("the connection broke: {e}")))?;
        let heard = Heard {
            wire,
            at: Instant::now(),
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(MOST_GREETING))
            .max_frame_size(Some(MOST_GREETING));
        Ok(Self {
            socket: WebSocket::from_raw_socket(heard, role, Some(config)),
        })
    }

    /// The other end is who it should be: messages may be long from here on.
    pub fn trust(&mut self) {
        self.socket.set_config(|config| {
            config.max_message_size = Some(MOST_BYTES);
            config.max_frame_size = Some(MOST_BYTES);
        });
    }

    /// Time since the other end was heard of.
    pub fn silence(&self) -> Duration {
        self.socket.get_ref().at.elapsed()
    }

    /// # Errors
    /// [`Error::Invalid`] when the connection is lost.
    pub fn send<H: Serialize + DeserializeOwned>(&mut self, message: &Message<H>) -> Result<()> {
        let frame = Frame::binary(message.to_bytes()?);
        self.socket
            .send(frame)
            .map_err(|e| Error::Invalid(format!("the connection is lost: {e}")))
    }

    /// # Errors
    /// As [`Self::send`].
    pub fn ping(&mut self) -> Result<()> {
        self.socket
            .send(Frame::Ping(Default::default()))
            .map_err(|e| Error::Invalid(format!("the connection is lost: {e}")))
    }

    /// The next message; waits for `patience` at most where none has begun to arrive.
    pub fn heed<H: Serialize + DeserializeOwned>(&mut self, patience: Duration) -> Heed<H> {
        let tcp = self.socket.get_ref().wire.tcp();
        if let Err(e) = tcp.set_read_timeout(Some(patience)) {
            return Heed::Lost(e.to_string());
        }
        match self.socket.read() {
            Ok(Frame::Binary(bytes)) => match Message::from_bytes(&bytes) {
                Ok(message) => Heed::Message(message),
                Err(e) => Heed::Broken(e.to_string()),
            },
            Ok(Frame::Text(_)) => Heed::Broken("a text message; all are binary".into()),
            Ok(Frame::Close(_)) => Heed::Lost("it was closed".into()),
            Ok(_) => Heed::Nothing,
            Err(tungstenite::Error::Io(e)) if is_early(&e) => Heed::Nothing,
            Err(tungstenite::Error::Io(e)) => Heed::Lost(e.to_string()),
            Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => {
                Heed::Lost("it was closed".into())
            }
            Err(tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => Heed::Lost("it was cut".into()),
            Err(tungstenite::Error::Capacity(e)) => Heed::Broken(format!("too long: {e}")),
            Err(e) => Heed::Broken(e.to_string()),
        }
    }

    /// Close in order, as far as the other end goes along.
    pub fn close(&mut self) {
        let closed = self.socket.close(None).and_then(|()| self.socket.flush());
        if let Err(e) = closed {
            log::debug!("a connection was gone before it was closed: {e}");
        }
    }
}

/// A read that found nothing in time.
fn is_early(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
