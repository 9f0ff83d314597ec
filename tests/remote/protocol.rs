//! Peers that do not keep to the protocol: an answer in words, a closed connection, and an editor that goes on.

use crate::common::{addresses, gpu, host, identity, options, tiny};
use luxedit::{
    edit::{
        ClientMessage, EditKind, EditRequest, Host, MOST_PIXELS, Message, PROTOCOL_VERSION,
        RemoteEditor, RemoteOptions, ServerMessage,
    },
    error::Cancel,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn tcp(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).expect("the host listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    stream
}

/// What comes until the host closes, or ends an HTTP head.
fn answer(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A client's end, written from RFC 6455.
pub struct Raw(TcpStream);

const BINARY: u8 = 0x82;

impl Raw {
    /// A frame of one first byte. A host that has closed already is what some tests are about.
    fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut bytes = vec![first];
        match payload.len() {
            n @ 0..=125 => bytes.push(0x80 | n as u8),
            n @ 126..=0xffff => {
                bytes.push(0x80 | 126);
                bytes.extend((n as u16).to_be_bytes());
            }
            n => {
                bytes.push(0x80 | 127);
                bytes.extend((n as u64).to_be_bytes());
            }
        }
        let mask = [7, 200, 3, 90];
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        self.bytes(&bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if let Err(e) = self.0.write_all(bytes) {
            println!("not sent: {e}");
        }
    }

    /// First byte and payload of the next frame; `None` once the connection is over.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).ok()?;
        let length = match head[1] {
            126 => {
                let mut bytes = [0; 2];
                self.0.read_exact(&mut bytes).ok()?;
                u64::from(u16::from_be_bytes(bytes))
            }
            127 => {
                let mut bytes = [0; 8];
                self.0.read_exact(&mut bytes).ok()?;
                u64::from_be_bytes(bytes)
            }
            short => u64::from(short),
        };
        assert!(length < 1 << 24, "hosts do not mask");
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some((head[0], payload))
    }
}

pub fn upgraded(at: SocketAddr) -> Raw {
    let mut stream = tcp(at);
    stream.write_all(UPGRADE.as_bytes()).expect("bytes go");
    let head = answer(&stream);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    // The example of RFC 6455.
    assert!(
        head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "{head}"
    );
    Raw(stream)
}

pub fn say(socket: &mut Raw, bytes: Vec<u8>) {
    socket.frame(BINARY, &bytes);
}

/// The next message; `None` once the connection is over.
pub fn hear(socket: &mut Raw) -> Option<ServerMessage> {
    loop {
        match socket.next()? {
            (BINARY, bytes) => {
                return Some(Message::from_bytes(&bytes).expect("a message").header);
            }
            (0x88, _) => return None,
            _ => {}
        }
    }
}

pub fn hello(socket: &mut Raw) {
    let hello = ClientMessage::Hello {
        protocol: PROTOCOL_VERSION,
        version: "0".into(),
        token: None,
    };
    say(socket, Message::new(hello).to_bytes().expect("short"));
    let welcome = hear(socket);
    assert!(
        matches!(welcome, Some(ServerMessage::Welcome { .. })),
        "{welcome:?}"
    );
}

#[track_caller]
pub fn refused(socket: &mut Raw, says: &str) {
    match hear(socket) {
        Some(ServerMessage::Refused { problem }) => {
            assert!(problem.contains(says), "\"{says}\" is not in: {problem}");
        }
        other => panic!("no refusal but {other:?}"),
    }
    assert_eq!(hear(socket), None, "the connection is closed");
}

/// Whoever comes next is served.
fn still_serves(host: &Host) {
    hello(&mut upgraded(host.address()));
}

pub fn request(width: u32, height: u32) -> EditRequest {
    EditRequest {
        id: 1,
        kind: EditKind::View,
        width,
        height,
        prompt: "make it bronze".into(),
        guidance_scale: 7.5,
        image_guidance_scale: 1.5,
        diffusion_steps: 2,
        solver: luxedit::diffusion::EditSolver::Ddim,
        guidance_low: 0.0,
        guidance_high: 1.0,
        edited_side: 96,
        photo_detail: 0.1 + 0.2,
        timestep: 900,
        seed: 0,
        noise_stream: 0,
        wants_previews: false,
    }
}

pub fn edit(request: EditRequest, payload: usize) -> Vec<u8> {
    let message = Message {
        header: ClientMessage::Edit(request),
        payload: vec![0; payload],
    };
    message.to_bytes().expect("short")
}

#[test]
fn what_is_no_upgrade_is_turned_away() {
    let Some(gpu) = gpu() else { return };
    let host = host(&gpu, tiny(&gpu));
    for (bytes, says) in [
        (
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "HTTP/1.1 426",
        ),
        ("POST /edit HTTP/1.1\r\n\r\n".to_owned(), "HTTP/1.1 426"),
        ("x".repeat(100_000), ""),
        ("\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), "HTTP/1.1 426"),
        (UPGRADE.replace("Sec-WebSocket-Key", "Key"), "HTTP/1.1 426"),
    ] {
        let mut stream = tcp(host.address());
        // The host may have closed in the middle of what is too long.
        if let Err(e) = stream.write_all(bytes.as_bytes()) {
            println!("not sent: {e}");
        }
        let answer = answer(&stream);
        assert!(answer.starts_with(says), "{answer}");
        still_serves(&host);
    }
}

#[test]
fn messages_before_the_hello_are_refused() {
    let Some(gpu) = gpu() else { return };
    let host = host(&gpu, tiny(&gpu));
    let with_header = |length: u32, text: &str| {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes
    };
    for (bytes, says) in [
        (vec![1, 2], "less than four bytes"),
        (
            with_header(4_000_000, "{}"),
            "is said to have 4000000 bytes",
        ),
        (with_header(2, "{}"), "not understood"),
        (with_header(5, "\u{7f}nope"), "not understood"),
        (
            with_header(21, r#"{"type":"shutdown_now"}"#),
            "not understood",
        ),
        (edit(request(8, 8), 0), "the first message is no hello"),
        // No stranger makes the host hold much.
        (vec![0; 200_000], "too long"),
    ] {
        let mut socket = upgraded(host.address());
        say(&mut socket, bytes);
        refused(&mut socket, says);
    }
    for (first, payload, says) in [
        (0x81, &b"hello"[..], "all are binary"),
        (0xc2, b"x", "an extension that was not agreed on"),
        (0x80, b"x", "out of order"),
        (0x83, b"x", "out of order"),
        (0x09, b"x", "a control frame in parts"),
        (0x89, &[0; 126], "too long"),
    ] {
        let mut socket = upgraded(host.address());
        socket.frame(first, payload);
        refused(&mut socket, says);
    }
    for (bytes, says) in [
        // Not masked; and of a length that no machine has.
        (&[0x82, 1, 0][..], "masked where it should not"),
        (
            &[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            "too long",
        ),
    ] {
        let mut socket = upgraded(host.address());
        socket.bytes(bytes);
        refused(&mut socket, says);
    }
    // Parts, with a ping between, are one message.
    let bytes = Message::new(ClientMessage::Hello {
        protocol: PROTOCOL_VERSION,
        version: "0".into(),
        token: None,
    })
    .to_bytes()
    .expect("short");
    let mut socket = upgraded(host.address());
    socket.frame(0x02, &bytes[..3]);
    socket.frame(0x00, &bytes[3..20]);
    socket.frame(0x89, b"there?");
    socket.frame(0x80, &bytes[20..]);
    assert_eq!(socket.next(), Some((0x8a, b"there?".to_vec())));
    let welcome = hear(&mut socket);
    assert!(
        matches!(welcome, Some(ServerMessage::Welcome { .. })),
        "{welcome:?}"
    );

    let mut socket = upgraded(host.address());
    let old = ClientMessage::Hello {
        protocol: PROTOCOL_VERSION + 1,
        version: "9.9".into(),
        token: None,
    };
    say(&mut socket, Message::new(old).to_bytes().expect("short"));
    refused(&mut socket, "the same luxedit on both sides");
    still_serves(&host);
}

#[test]
fn edits_that_cannot_be_are_refused() {
    let Some(gpu) = gpu() else { return };
    let host = host(&gpu, tiny(&gpu));
    let good = 16 * 16 * 15;
    let wrong = |change: fn(&mut EditRequest)| {
        let mut request = request(16, 16);
        change(&mut request);
        edit(request, good)
    };
    for (bytes, says) in [
        (
            edit(request(16, 16), good - 1),
            "bytes of pictures where 16×16",
        ),
        (edit(request(16, 16), 0), "0 bytes of pictures"),
        (edit(request(0, 16), 0), "a picture of 0×16"),
        (edit(request(1 << 20, 1 << 20), 0), "pixels are served"),
        (edit(request(u32::MAX, u32::MAX), 0), "pixels are served"),
        (wrong(|r| r.diffusion_steps = 0), "0 denoising steps"),
        (
            wrong(|r| r.diffusion_steps = 100_000),
            "1 to 1000 are served",
        ),
        (
            wrong(|r| r.guidance_scale = f64::NAN),
            "a guidance that is no number",
        ),
        (
            wrong(|r| r.guidance_low = f64::INFINITY),
            "a guidance that is no number",
        ),
    ] {
        let mut socket = upgraded(host.address());
        hello(&mut socket);
        say(&mut socket, bytes);
        refused(&mut socket, says);
    }
    assert!(request(4096, 4096).pictures(&[]).is_err());
    assert_eq!(u64::from(4096u32) * 4096, MOST_PIXELS);

    let mut socket = upgraded(host.address());
    hello(&mut socket);
    let slow = EditRequest {
        diffusion_steps: 800,
        ..request(96, 96)
    };
    say(&mut socket, edit(slow.clone(), 96 * 96 * 15));
    say(&mut socket, edit(slow, 96 * 96 * 15));
    let problem = loop {
        match hear(&mut socket) {
            Some(ServerMessage::Step { .. }) => {}
            other => break other,
        }
    };
    let is_refused = matches!(&problem, Some(ServerMessage::Refused { problem }) if problem.contains("one edit at a time"));
    assert!(is_refused, "{problem:?}");

    // A picture that is too small for the model is this edit's failure, and nothing else's.
    let mut socket = upgraded(host.address());
    hello(&mut socket);
    say(&mut socket, edit(request(1, 1), 15));
    let failed = hear(&mut socket);
    assert!(
        matches!(&failed, Some(ServerMessage::Failed { problem, .. }) if problem.contains("too small")),
        "{failed:?}"
    );
    say(&mut socket, edit(request(16, 16), good));
    let last = loop {
        match hear(&mut socket) {
            Some(ServerMessage::Step { .. }) => {}
            other => break other,
        }
    };
    assert_eq!(last, Some(ServerMessage::Edited { id: 1 }));
}

#[test]
fn a_client_that_leaves_frees_the_editor() {
    let Some(gpu) = gpu() else { return };
    let host = host(&gpu, tiny(&gpu));
    let mut socket = upgraded(host.address());
    hello(&mut socket);
    let slow = EditRequest {
        diffusion_steps: 800,
        ..request(96, 96)
    };
    say(&mut socket, edit(slow, 96 * 96 * 15));
    assert!(matches!(
        hear(&mut socket),
        Some(ServerMessage::Step { .. })
    ));
    drop(socket);
    let began = Instant::now();
    let mut socket = upgraded(host.address());
    hello(&mut socket);
    say(&mut socket, edit(request(16, 16), 16 * 16 * 15));
    while !matches!(hear(&mut socket), Some(ServerMessage::Edited { .. })) {}
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(host.edits(), 1);
}

#[test]
fn an_address_that_is_something_else_is_said_to_be() {
    let Some(gpu) = gpu() else { return };
    // A web server, and a host of a port that is taken.
    let web = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = web.local_addr().expect("bound");
    let serving = std::thread::spawn(move || {
        for stream in web.incoming().take(1) {
            let mut stream = stream.expect("a connection");
            let mut head = [0; 512];
            let read = stream.read(&mut head).expect("a request");
            assert!(head[..read].starts_with(b"GET / HTTP/1.1"));
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                .expect("an answer");
        }
    });
    let list = addresses(&format!("ws://{at}"));
    let Err(problem) = RemoteEditor::connect(
        gpu.clone(),
        &list,
        &identity(),
        &RemoteOptions::default(),
        &Cancel::default(),
    ) else {
        panic!("a web server is no editor");
    };
    let problem = problem.to_string();
    assert!(problem.contains("404 Not Found"), "{problem}");
    serving.join().expect("the web server ends");

    let host = host(&gpu, tiny(&gpu));
    let taken = host.address().to_string();
    let again = Host::start(options(&taken, None), gpu.clone(), Box::new(tiny(&gpu)));
    let problem = again.err().expect("the port is taken").to_string();
    assert!(
        problem.contains(&format!("cannot listen on {taken}")),
        "{problem}"
    );
}
