//! From a TCP connection to a WebSocket: the HTTP upgrade of RFC 6455, both ends. Heads are short and
//! bounded.

use crate::{Error, Result, settings::EditorAddress};
use ring::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, digest},
    rand::{SecureRandom, SystemRandom},
};
use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

const MOST_HEAD: usize = 8192;
/// For a whole head, however slowly it drips in.
const PATIENCE: Duration = Duration::from_secs(10);
/// RFC 6455, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Ask for the upgrade.
///
/// # Errors
/// [`Error::Invalid`] when the other end does not answer as a WebSocket.
pub(super) fn ask<S: Read + Write>(stream: &mut S, address: &EditorAddress) -> Result<()> {
    let mut key = [0; 16];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| Error::invalid("the operating system gives no random numbers"))?;
    let key = base64(&key);
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n",
        address.path, address.host, address.port
    );
    send(stream, &request)?;
    let head = read_head(stream)?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        let status: String = status
            .chars()
            .filter(|c| !c.is_control())
            .take(80)
            .collect();
        return Err(Error::Invalid(format!(
            "it is no remote editor: it answers \"{status}\""
        )));
    }
    if field(&head, "sec-websocket-accept") != Some(accept(&key).as_str()) {
        return Err(Error::invalid(
            "it is no remote editor: it answers the upgrade wrongly",
        ));
    }
    Ok(())
}

/// Grant the upgrade.
///
/// # Errors
/// [`Error::Invalid`] when the other end asks for something else; it has been told so.
pub(super) fn grant<S: Read + Write>(stream: &mut S) -> Result<()> {
    let head = read_head(stream)?;
    let has = |name: &str, value: &str| {
        field(&head, name).is_some_and(|v| v.to_ascii_lowercase().contains(value))
    };
    let key = field(&head, "sec-websocket-key");
    let is_asked = head.starts_with("GET ")
        && has("upgrade", "websocket")
        && has("connection", "upgrade")
        && has("sec-websocket-version", "13");
    let (true, Some(key)) = (is_asked, key) else {
        send(
            stream,
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        )?;
        return Err(Error::invalid("a request that asks for no WebSocket"));
    };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        accept(key)
    );
    send(stream, &answer)
}

fn send<S: Write>(stream: &mut S, text: &str) -> Result<()> {
    stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush())
        .map_err(|e| Error::Invalid(format!("the connection broke: {e}")))
}

/// Byte by byte: what follows the head belongs to the frames.
fn read_head<S: Read>(stream: &mut S) -> Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    let began = Instant::now();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MOST_HEAD {
            return Err(Error::Invalid(format!(
                "an HTTP head of more than {MOST_HEAD} bytes"
            )));
        }
        if began.elapsed() > PATIENCE {
            return Err(Error::invalid("an HTTP head that takes too long"));
        }
        match stream.read(&mut byte) {
            Ok(0) => return Err(Error::invalid("the connection was closed")),
            Ok(_) => head.push(byte[0]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::Invalid(format!("no answer: {e}"))),
        }
    }
    String::from_utf8(head).map_err(|_| Error::invalid("an HTTP head that is no text"))
}

/// The value of a header; names are of no case.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim())
    })
}

fn accept(key: &str) -> String {
    let text = format!("{key}{GUID}");
    base64(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let at = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            if i <= group.len() {
                text.push(char::from(LETTERS[(bits >> (18 - 6 * i) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}
