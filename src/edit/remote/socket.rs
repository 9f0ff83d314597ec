//! A WebSocket of messages: reads wait for a moment only, so that one thread can listen and talk, and note when the other
//! end was last heard of.

use super::{
    frames::{Frame, Frames, NoFrame, Role},
    message::{MOST_BYTES, MOST_GREETING, Message},
};
use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// After which a peer that takes no bytes counts as gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// How long a closing end listens.
const LINGER: Duration = Duration::from_millis(500);

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
    frames: Frames<Heard>,
}

impl Socket {
    pub fn new(wire: Box<dyn Wire>, role: Role) -> Result<Self> {
        wire.tcp()
            .set_write_timeout(Some(WRITE_PATIENCE))
            .map_err(lost)?;
        let heard = Heard {
            wire,
            at: Instant::now(),
        };
        Ok(Self {
            frames: Frames::new(heard, role, MOST_GREETING),
        })
    }

    /// The other end is who it should be: messages may be long from here on.
    pub fn trust(&mut self) {
        self.frames.limit = MOST_BYTES;
    }

    /// Time since the other end was heard of.
    pub fn silence(&self) -> Duration {
        self.frames.stream.at.elapsed()
    }

    /// # Errors
    /// [`Error::Invalid`] when the connection is lost.
    pub fn send<H: Serialize + DeserializeOwned>(&mut self, message: &Message<H>) -> Result<()> {
        self.frames.binary(message.to_bytes()?).map_err(lost)
    }

    /// # Errors
    /// As [`Self::send`].
    pub fn ping(&mut self) -> Result<()> {
        self.frames.ping().map_err(lost)
    }

    /// The next message; waits for `patience` at most where nothing arrives.
    pub fn heed<H: Serialize + DeserializeOwned>(&mut self, patience: Duration) -> Heed<H> {
        let tcp = self.frames.stream.wire.tcp();
        if let Err(e) = tcp.set_read_timeout(Some(patience)) {
            return Heed::Lost(e.to_string());
        }
        match self.frames.read() {
            Ok(Frame::Binary(bytes)) => match Message::from_bytes(&bytes) {
                Ok(message) => Heed::Message(message),
                Err(e) => Heed::Broken(e.to_string()),
            },
            Ok(Frame::Ping(payload)) => match self.frames.pong(payload) {
                Ok(()) => Heed::Nothing,
                Err(e) => Heed::Lost(e.to_string()),
            },
            Ok(Frame::Pong) | Err(NoFrame::Early) => Heed::Nothing,
            Ok(Frame::Close) => Heed::Lost("it was closed".into()),
            Err(NoFrame::Lost(why)) => Heed::Lost(why),
            Err(NoFrame::Broken(what)) => Heed::Broken(what),
        }
    }

    /// Close in order. What the other end still sends is taken for a moment: unread bytes would reset the connection, and
    /// with it the last word.
    pub fn close(&mut self) {
        if let Err(e) = self.frames.close() {
            log::debug!("a connection was gone before it was closed: {e}");
            return;
        }
        let wire = &mut self.frames.stream.wire;
        let began = Instant::now();
        let mut rest = [0; 4096];
        let timed = wire
            .tcp()
            .shutdown(std::net::Shutdown::Write)
            .and_then(|()| wire.tcp().set_read_timeout(Some(LINGER)));
        while timed.is_ok() && began.elapsed() < LINGER {
            match wire.read(&mut rest) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
    }
}

fn lost(e: io::Error) -> Error {
    Error::Invalid(format!("the connection is lost: {e}"))
}
