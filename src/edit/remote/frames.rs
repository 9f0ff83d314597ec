//! Frames of RFC 6455, both ends: binary messages in one frame or several, pings, closes. Written out because the crate for
//! it changes features that would rebuild the networks' crates. A frame's length is checked before its bytes are taken in,
//! and a read that finds too little keeps what came.

use ring::rand::{SecureRandom, SystemRandom};
use std::{
    io::{self, Read, Write},
    time::{Duration, Instant},
};

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// Most bytes of a control frame.
const MOST_CONTROL: usize = 125;
const CHUNK: usize = 1 << 16;
/// A frame that drips in does not keep its reader from other work for longer.
const LONGEST_READ: Duration = Duration::from_secs(1);

/// Which end of the connection this is: clients mask what they send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

/// What came.
#[derive(Debug)]
pub(super) enum Frame {
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close,
}

/// Why nothing came.
#[derive(Debug)]
pub(super) enum NoFrame {
    /// Not yet.
    Early,
    Lost(String),
    /// The other end does not keep to the protocol.
    Broken(String),
}

/// A stream of frames.
pub(super) struct Frames<S> {
    pub stream: S,
    role: Role,
    /// Most bytes of a message.
    pub limit: usize,
    /// Received, and no frame yet.
    received: Vec<u8>,
    /// The parts of a message whose last frame has not come.
    parts: Option<Vec<u8>>,
}

impl<S: Read + Write> Frames<S> {
    pub fn new(stream: S, role: Role, limit: usize) -> Self {
        Self {
            stream,
            role,
            limit,
            received: Vec::new(),
            parts: None,
        }
    }

    /// The next frame that means something.
    ///
    /// # Errors
    /// See [`NoFrame`].
    pub fn read(&mut self) -> Result<Frame, NoFrame> {
        let began = Instant::now();
        loop {
            if let Some(frame) = self.parse().map_err(NoFrame::Broken)? {
                return Ok(frame);
            }
            let had = self.received.len();
            self.received.resize(had + CHUNK, 0);
            let read = self.stream.read(&mut self.received[had..]);
            self.received
                .truncate(had + read.as_ref().map_or(0, |n| *n));
            match read {
                Ok(0) => return Err(NoFrame::Lost("it was closed".into())),
                Ok(_) if began.elapsed() < LONGEST_READ => {}
                Ok(_) => return Err(NoFrame::Early),
                Err(e) if is_early(&e) => return Err(NoFrame::Early),
                Err(e) => return Err(NoFrame::Lost(e.to_string())),
            }
        }
    }

    /// A frame out of what was received, if it is complete and ends a message.
    fn parse(&mut self) -> Result<Option<Frame>, String> {
        loop {
            let bytes = &self.received;
            let [first, second, ..] = bytes[..] else {
                return Ok(None);
            };
            let (is_last, opcode) = (first & 0x80 != 0, first & 0x0f);
            let is_masked = second & 0x80 != 0;
            if first & 0x70 != 0 {
                return Err("a frame with an extension that was not agreed on".into());
            }
            if is_masked != (self.role == Role::Server) {
                return Err(
                    "a frame that is masked where it should not be, or not where it should".into(),
                );
            }
            let (length, mut at) = match second & 0x7f {
                126 => match bytes.get(2..4).and_then(|b| b.try_into().ok()) {
                    Some(b) => (u64::from(u16::from_be_bytes(b)), 4),
                    None => return Ok(None),
                },
                127 => match bytes.get(2..10).and_then(|b| b.try_into().ok()) {
                    Some(b) => (u64::from_be_bytes(b), 10),
                    None => return Ok(None),
                },
                short => (u64::from(short), 2),
            };
            let is_control = opcode >= CLOSE;
            let limit = if is_control {
                MOST_CONTROL
            } else {
                self.limit - self.parts.as_ref().map_or(0, Vec::len)
            };
            if length > limit as u64 {
                return Err(format!(
                    "too long: a message of {length} bytes or more, {} is the most",
                    self.limit
                ));
            }
            let mask: Option<[u8; 4]> = if is_masked {
                let Some(mask) = bytes.get(at..at + 4).and_then(|b| b.try_into().ok()) else {
                    return Ok(None);
                };
                at += 4;
                Some(mask)
            } else {
                None
            };
            let end = at + length as usize;
            if bytes.len() < end {
                return Ok(None);
            }
            let mut payload = bytes[at..end].to_vec();
            self.received.drain(..end);
            if let Some(mask) = mask {
                apply_mask(&mut payload, mask);
            }
            if is_control && !is_last {
                return Err("a control frame in parts".into());
            }
            match (opcode, self.parts.take()) {
                (BINARY, None) if is_last => return Ok(Some(Frame::Binary(payload))),
                (BINARY, None) => self.parts = Some(payload),
                (CONTINUATION, Some(mut parts)) => {
                    parts.extend(payload);
                    if is_last {
                        return Ok(Some(Frame::Binary(parts)));
                    }
                    self.parts = Some(parts);
                }
                (PING, parts) => {
                    self.parts = parts;
                    return Ok(Some(Frame::Ping(payload)));
                }
                (PONG, parts) => {
                    self.parts = parts;
                    return Ok(Some(Frame::Pong));
                }
                (CLOSE, _) => return Ok(Some(Frame::Close)),
                (TEXT, _) => return Err("a text message; all are binary".into()),
                _ => return Err("frames out of order".into()),
            }
        }
    }

    /// # Errors
    /// When the connection is lost.
    pub fn binary(&mut self, payload: Vec<u8>) -> io::Result<()> {
        self.write(BINARY, payload)
    }

    /// # Errors
    /// When the connection is lost.
    pub fn ping(&mut self) -> io::Result<()> {
        self.write(PING, Vec::new())
    }

    /// # Errors
    /// When the connection is lost.
    pub fn pong(&mut self, payload: Vec<u8>) -> io::Result<()> {
        self.write(PONG, payload)
    }

    /// # Errors
    /// When the connection is lost.
    pub fn close(&mut self) -> io::Result<()> {
        self.write(CLOSE, 1000u16.to_be_bytes().to_vec())
    }

    fn write(&mut self, opcode: u8, mut payload: Vec<u8>) -> io::Result<()> {
        let masked = if self.role == Role::Client { 0x80 } else { 0 };
        let mut head = vec![0x80 | opcode];
        match payload.len() {
            short @ 0..=125 => head.push(masked | short as u8),
            middle @ 126..=0xffff => {
                head.push(masked | 126);
                head.extend((middle as u16).to_be_bytes());
            }
            long => {
                head.push(masked | 127);
                head.extend((long as u64).to_be_bytes());
            }
        }
        if self.role == Role::Client {
            let mut mask = [0; 4];
            SystemRandom::new()
                .fill(&mut mask)
                .map_err(|_| io::Error::other("the operating system gives no random numbers"))?;
            head.extend(mask);
            apply_mask(&mut payload, mask);
        }
        self.stream.write_all(&head)?;
        self.stream.write_all(&payload)?;
        self.stream.flush()
    }
}

fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let (groups, rest) = bytes.as_chunks_mut::<4>();
    for group in groups {
        for (byte, key) in group.iter_mut().zip(mask) {
            *byte ^= key;
        }
    }
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// A read that found nothing in time.
fn is_early(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
