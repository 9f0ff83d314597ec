//! Networks that go silent without closing anything, and networks that want TLS. A relay between the two ends stands for
//! both.

use crate::common::{Slow, addresses, gpu, host, identity, options, tiny};
use crate::edits::{bits, instruction, photo, render};
use crate::protocol::{edit, hello, refused, request, say, upgraded};
use luxedit::{
    edit::{EditUpdate, Host, ImageEditor, RemoteEditor, RemoteOptions, Watch},
    error::Cancel,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Short enough for a test, long beside what a loaded machine holds up a thread.
const PING_AFTER: Duration = Duration::from_millis(300);
const SILENCE: Duration = Duration::from_millis(2500);

fn patience() -> RemoteOptions {
    RemoteOptions {
        ping_after: PING_AFTER,
        silence: SILENCE,
        authorities: None,
    }
}

/// Passes bytes between clients and a host.
struct Relay {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// Connections before this one pass nothing any more, and stay open.
    first_alive: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Relay {
    /// To `host`, with TLS before it where there is a `tls` configuration.
    fn start(host: &Host, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let relay = Self {
            address: listener.local_addr().expect("an address"),
            connections: Arc::default(),
            first_alive: Arc::default(),
            over: Arc::default(),
        };
        let (to, connections) = (host.address(), relay.connections.clone());
        let (first_alive, over) = (relay.first_alive.clone(), relay.over.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a client");
                let upstream = TcpStream::connect(to).expect("the host listens");
                for stream in [&client, &upstream] {
                    let tick = Some(Duration::from_millis(3));
                    stream.set_read_timeout(tick).expect("a timeout");
                    stream.set_nodelay(true).expect("an option");
                }
                let number = connections.fetch_add(1, Ordering::Relaxed);
                let (first_alive, over, tls) = (first_alive.clone(), over.clone(), tls.clone());
                std::thread::spawn(move || {
                    let is_alive = || number >= first_alive.load(Ordering::Relaxed);
                    let is_over = || over.load(Ordering::Relaxed);
                    match tls {
                        None => pump(client, upstream, &is_alive, &is_over),
                        Some(config) => {
                            let server = rustls::ServerConnection::new(config).expect("TLS");
                            let client = rustls::StreamOwned::new(server, client);
                            pump(client, upstream, &is_alive, &is_over);
                        }
                    }
                });
            }
        });
        relay
    }

    fn cut(&self) {
        let connections = self.connections.load(Ordering::Relaxed);
        self.first_alive.store(connections, Ordering::Relaxed);
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Until either end closes.
fn pump(
    mut client: impl Read + Write,
    mut host: TcpStream,
    is_alive: &dyn Fn() -> bool,
    is_over: &dyn Fn() -> bool,
) {
    while !is_over() {
        if !is_alive() {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        if !pass(&mut client, &mut host) || !pass(&mut host, &mut client) {
            return;
        }
    }
}

/// What has arrived; `false` at the end.
fn pass(from: &mut impl Read, to: &mut impl Write) -> bool {
    let mut bytes = [0; 1 << 16];
    match from.read(&mut bytes) {
        Ok(0) => false,
        Ok(n) => to.write_all(&bytes[..n]).and_then(|()| to.flush()).is_ok(),
        Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

fn connect(
    gpu: &Arc<luxedit::gpu::Gpu>,
    address: &str,
    options: &RemoteOptions,
) -> luxedit::Result<RemoteEditor> {
    let list = addresses(address);
    let connected =
        RemoteEditor::connect(gpu.clone(), &list, &identity(), options, &Cancel::default());
    connected.map(|(editor, warnings)| {
        assert!(warnings.is_empty(), "{warnings:?}");
        editor
    })
}

#[test]
fn a_silent_cut_in_the_middle_of_an_edit_loses_nothing() {
    let Some(gpu) = gpu() else { return };
    let (photo, render, instruction) = (photo(), render(&gpu), instruction());
    let cancel = Cancel::default();
    let mut expected = None;
    let mut watch = Watch {
        cancel: &cancel,
        wants_previews: false,
        on_update: &mut |_| {},
    };
    let local = tiny(&gpu).edit(0, &render, &photo, &instruction, &mut watch);
    expected.replace(local.expect("a local edit"));

    let slow = Slow {
        inner: tiny(&gpu),
        delay: Duration::from_secs(1),
        card: None,
    };
    let host = host(&gpu, slow);
    let relay = Relay::start(&host, None);
    let address = format!("ws://{}", relay.address);
    let mut editor = connect(&gpu, &address, &patience()).expect("the editor is there");
    assert_eq!(relay.connections(), 1);
    let (mut said, mut back) = (Vec::new(), false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The edit is on its way and not made yet.
            std::thread::sleep(Duration::from_millis(500));
            relay.cut();
        });
        let began = Instant::now();
        let mut watch = Watch {
            cancel: &cancel,
            wants_previews: false,
            on_update: &mut |update| match update {
                EditUpdate::Waiting(why) => said.push(why),
                EditUpdate::Resumed => back = true,
                _ => {}
            },
        };
        let edited = editor.edit(0, &render, &photo, &instruction, &mut watch);
        let edited = edited.expect("the edit is made after all");
        println!("{:.1} s", began.elapsed().as_secs_f64());
        assert_eq!(bits(&edited), bits(expected.as_ref().expect("an edit")));
    });
    println!("{said:?}, resumed: {back}");
    assert!(relay.connections() >= 2, "it called again");
    let heard = said.iter().any(|why| why.contains("nothing was heard"));
    // Calling again may succeed between two looks.
    assert!(heard || said.is_empty(), "{said:?}");
    assert_eq!(host.edits(), 2, "the first one came to nothing on the way");
}

#[test]
fn an_idle_connection_is_kept_by_pings() {
    let Some(gpu) = gpu() else { return };
    let host = host(&gpu, tiny(&gpu));
    let relay = Relay::start(&host, None);
    let editor = connect(&gpu, &format!("ws://{}", relay.address), &patience());
    let editor = editor.expect("the editor is there");
    std::thread::sleep(3 * SILENCE);
    assert_eq!(relay.connections(), 1, "an answered ping is a sign of life");
    // Without an answer it is given up, and called again.
    relay.cut();
    let began = Instant::now();
    while relay.connections() < 2 {
        assert!(began.elapsed() < 10 * SILENCE, "the cut is not noticed");
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("noticed after {:.1} s", began.elapsed().as_secs_f64());
    drop(editor);
}

#[test]
fn a_silent_client_frees_the_editor() {
    let Some(gpu) = gpu() else { return };
    let slow = Slow {
        inner: tiny(&gpu),
        delay: Duration::from_secs(600),
        card: None,
    };
    let mut options = options("127.0.0.1:0", None);
    options.silence = Duration::from_secs(1);
    let host = Host::start(options, gpu.clone(), Box::new(slow)).expect("a free port");
    let mut silent = upgraded(host.address());
    hello(&mut silent);
    say(&mut silent, edit(request(8, 8), 8 * 8 * 15));
    let began = Instant::now();
    refused(&mut silent, "fallen silent");
    println!("given up after {:.1} s", began.elapsed().as_secs_f64());
    // The editor stops for it: dropping the host joins the thread that would edit for ten minutes.
    drop(host);
    assert!(began.elapsed() < Duration::from_secs(60));
}

fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tls")
        .join(name)
}

fn server_config() -> Arc<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_file_iter(tls_file("server.pem")).expect("a certificate");
    let chain = chain.map(|c| c.expect("a certificate")).collect();
    let key = PrivateKeyDer::from_pem_file(tls_file("server.key")).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key);
    Arc::new(config.expect("a key that fits"))
}

#[test]
fn tls_is_spoken_with_whom_an_authority_vouches_for() {
    let Some(gpu) = gpu() else { return };
    let (photo, instruction) = (photo(), instruction());
    let host = host(&gpu, tiny(&gpu));
    let relay = Relay::start(&host, Some(server_config()));
    let address = format!("wss://localhost:{}", relay.address.port());
    let refusal = |options: &RemoteOptions| match connect(&gpu, &address, options) {
        Ok(_) => panic!("trusted for nothing"),
        Err(e) => e.to_string(),
    };
    let stranger = refusal(&RemoteOptions::default());
    println!("{stranger}");
    assert!(stranger.contains("certificate"), "{stranger}");
    for (name, says) in [
        ("nothing.pem", "nothing.pem"),
        ("server.key", "no certificate"),
    ] {
        let options = RemoteOptions {
            authorities: Some(tls_file(name)),
            ..Default::default()
        };
        let refusal = refusal(&options);
        println!("{refusal}");
        assert!(refusal.contains(says), "{refusal}");
    }

    let options = RemoteOptions {
        authorities: Some(tls_file("authority.pem")),
        ..Default::default()
    };
    let mut editor = connect(&gpu, &address, &options).expect("an authority vouches for it");
    let cancel = Cancel::default();
    let mut watch = Watch {
        cancel: &cancel,
        wants_previews: true,
        on_update: &mut |_| {},
    };
    let there = editor.edit_photo(&photo, &instruction, &mut watch);
    let here = tiny(&gpu).edit_photo(&photo, &instruction, &mut watch);
    assert_eq!(there.expect("an edit"), here.expect("an edit"));
}
