//! The end that has the model. One thread takes connections, one a connection talks, one edits: a long denoising step never
//! keeps a connection from answering, and edits of several clients take turns.

use super::{
    desk::{Desk, Job, Rest},
    frames::Role,
    identity::ModelIdentity,
    message::{ClientMessage, EditRequest, Message, ServerMessage, VERSION},
    socket::{Heed, Socket},
    upgrade,
};
use crate::{Error, Result, edit::ImageEditor, error::Cancel, gpu::Gpu};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};
use ring::digest::{SHA256, digest};
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// For the upgrade and for the first message, each.
const GREETING_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the edit under way, and between two while there is none.
const BUSY_TICK: Duration = Duration::from_millis(4);
const IDLE_TICK: Duration = Duration::from_millis(100);
const MOST_CONNECTIONS: usize = 32;

/// How a [`Host`] listens.
pub struct HostOptions {
    /// `127.0.0.1:7860`; port 0 takes a free one.
    pub listen: String,
    /// What clients must know.
    pub token: Option<String>,
    pub model: ModelIdentity,
    /// What the editor runs on, for the person.
    pub device: String,
    /// After which a silent client counts as gone. Clients ping every few seconds.
    pub silence: Duration,
    /// When the editor leaves its graphics card; `None`: never.
    pub rest: Option<Rest>,
}

impl HostOptions {
    /// The usual patience with silent clients.
    pub const SILENCE: Duration = Duration::from_secs(60);
}

/// A served editor. Dropping it closes all connections.
pub struct Host {
    address: SocketAddr,
    edits: Arc<AtomicUsize>,
    stop: Cancel,
    threads: Vec<JoinHandle<()>>,
}

/// What connections share.
struct Shared {
    token: Option<String>,
    welcome: ServerMessage,
    jobs: Sender<Job>,
    silence: Duration,
    stop: Cancel,
}

impl Host {
    /// # Errors
    /// [`Error::Invalid`] when the address cannot be listened on.
    pub fn start(
        options: HostOptions,
        gpu: Arc<Gpu>,
        editor: Box<dyn ImageEditor>,
    ) -> Result<Self> {
        let HostOptions {
            listen,
            token,
            model,
            device,
            silence,
            rest,
        } = options;
        let refused = |e| Error::Invalid(format!("cannot listen on {listen}: {e}"));
        let listener = TcpListener::bind(&listen).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        // Polled, so that a stop is noticed.
        listener.set_nonblocking(true).map_err(refused)?;
        let (jobs, received) = bounded(MOST_CONNECTIONS);
        let stop = Cancel::default();
        let edits = Arc::new(AtomicUsize::new(0));
        let shared = Arc::new(Shared {
            token,
            welcome: ServerMessage::Welcome {
                protocol: VERSION,
                version: env!("CARGO_PKG_VERSION").into(),
                model: model.name,
                config: model.config,
                weights: editor.model_hash().into(),
                device,
            },
            jobs,
            silence,
            stop: stop.clone(),
        });
        let desk = Desk::new(gpu, editor, rest, edits.clone());
        let editing = spawn("luxedit editor", move || desk.run(&received))?;
        let listening = spawn("luxedit listener", move || listen_on(&listener, &shared))?;
        Ok(Self {
            address,
            edits,
            stop,
            threads: vec![listening, editing],
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// It stopped by itself: the editor has broken down.
    pub fn is_broken(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Edits that were finished.
    pub fn edits(&self) -> usize {
        self.edits.load(Ordering::Relaxed)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a thread of the served editor panicked");
            }
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.into())
        .stack_size(16 << 20)
        .spawn(run)
        .map_err(|e| Error::Invalid(format!("a thread does not start: {e}")))
}

fn listen_on(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while !shared.stop.is_cancelled() {
        threads.retain(|thread| !thread.is_finished());
        let (stream, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(e) => {
                if e.kind() != std::io::ErrorKind::WouldBlock {
                    log::warn!("a connection was not taken: {e}");
                }
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
        };
        if threads.len() >= MOST_CONNECTIONS {
            log::warn!("{peer} was turned away: {MOST_CONNECTIONS} connections are open");
            continue;
        }
        let for_thread = shared.clone();
        let served = spawn("luxedit connection", move || {
            if let Err(e) = serve(stream, &for_thread) {
                log::warn!("{peer}: {e}");
            }
        });
        match served {
            Ok(thread) => threads.push(thread),
            Err(e) => log::warn!("{peer}: {e}"),
        }
    }
    for thread in threads {
        if thread.join().is_err() {
            log::error!("the thread of a connection panicked");
        }
    }
}

/// One connection, to its end.
fn serve(mut stream: TcpStream, shared: &Shared) -> Result<()> {
    let broke = |e| Error::Invalid(format!("the connection broke: {e}"));
    stream.set_nonblocking(false).map_err(broke)?;
    stream.set_nodelay(true).map_err(broke)?;
    stream
        .set_read_timeout(Some(GREETING_PATIENCE))
        .map_err(broke)?;
    upgrade::grant(&mut stream)?;
    let mut socket = Socket::new(Box::new(stream), Role::Server)?;
    if let Err(problem) = greet(&mut socket, shared) {
        refuse(&mut socket, &problem);
        return Err(problem);
    }
    socket.trust();
    socket.send(&Message::new(shared.welcome.clone()))?;
    let ended = talk(&mut socket, shared);
    match &ended {
        Err(problem) => refuse(&mut socket, problem),
        Ok(()) => socket.close(),
    }
    ended
}

fn refuse(socket: &mut Socket, problem: &Error) {
    let told = socket.send(&Message::new(ServerMessage::Refused {
        problem: problem.to_string(),
    }));
    if told.is_ok() {
        socket.close();
    }
}

fn greet(socket: &mut Socket, shared: &Shared) -> Result<()> {
    let began = Instant::now();
    let hello = loop {
        match socket.heed::<ClientMessage>(IDLE_TICK) {
            Heed::Message(message) => break message.header,
            Heed::Nothing if began.elapsed() < GREETING_PATIENCE => shared.stop.check()?,
            Heed::Nothing => return Err(Error::invalid("nothing was said after the upgrade")),
            Heed::Lost(why) => {
                return Err(Error::Invalid(format!("the connection is lost: {why}")));
            }
            Heed::Broken(what) => return Err(Error::Invalid(what)),
        }
    };
    let ClientMessage::Hello {
        protocol,
        version,
        token,
    } = hello
    else {
        return Err(Error::invalid("the first message is no hello"));
    };
    if protocol != VERSION {
        return Err(Error::Invalid(format!(
            "luxedit {version} speaks version {protocol} of the protocol, and luxedit {} here speaks {VERSION}: \
             take the same luxedit on both sides",
            env!("CARGO_PKG_VERSION")
        )));
    }
    match (&shared.token, &token) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(Error::invalid(
            "a token is needed: write ws://TOKEN@HOST:PORT, or set LUXEDIT_TOKEN",
        )),
        // Digests, so that the time it takes tells nothing.
        (Some(wanted), Some(given))
            if digest(&SHA256, wanted.as_bytes()).as_ref()
                == digest(&SHA256, given.as_bytes()).as_ref() =>
        {
            Ok(())
        }
        _ => Err(Error::invalid("the token is wrong")),
    }
}

/// The edit that a connection waits for.
struct Pending {
    id: u64,
    cancel: Cancel,
    answers: Receiver<Message<ServerMessage>>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Take edits until the client leaves.
fn talk(socket: &mut Socket, shared: &Shared) -> Result<()> {
    let mut pending: Option<Pending> = None;
    while !shared.stop.is_cancelled() {
        let tick = if pending.is_some() {
            BUSY_TICK
        } else {
            IDLE_TICK
        };
        match socket.heed::<ClientMessage>(tick) {
            Heed::Message(message) => match message.header {
                ClientMessage::Edit(request) if pending.is_none() => {
                    pending = Some(take(request, &message.payload, shared)?);
                }
                ClientMessage::Edit(_) => {
                    return Err(Error::invalid("a connection has one edit at a time"));
                }
                ClientMessage::Cancel { id } => {
                    if let Some(pending) = pending.as_ref().filter(|p| p.id == id) {
                        pending.cancel.cancel();
                    }
                }
                ClientMessage::Hello { .. } => return Err(Error::invalid("a second hello")),
            },
            Heed::Nothing if socket.silence() > shared.silence => {
                return Err(Error::invalid("the client has fallen silent"));
            }
            Heed::Nothing => {}
            Heed::Lost(why) => {
                log::debug!("a client left: {why}");
                return Ok(());
            }
            Heed::Broken(what) => return Err(Error::Invalid(what)),
        }
        let Some(waited) = &pending else { continue };
        let mut is_over = false;
        loop {
            match waited.answers.try_recv() {
                Ok(answer) => {
                    if let ServerMessage::Refused { problem } = answer.header {
                        return Err(Error::Invalid(problem));
                    }
                    is_over = !matches!(answer.header, ServerMessage::Step { .. });
                    socket.send(&answer)?;
                }
                Err(TryRecvError::Disconnected) if !is_over => {
                    shared.stop.cancel();
                    return Err(Error::invalid("the editor has broken down"));
                }
                Err(_) => break,
            }
        }
        if is_over {
            pending = None;
        }
    }
    Ok(())
}

/// Hand an edit to the editing thread.
fn take(request: EditRequest, payload: &[u8], shared: &Shared) -> Result<Pending> {
    let (render, original) = request.pictures(payload)?;
    let (sender, answers) = unbounded();
    let cancel = Cancel::default();
    let id = request.id;
    let job = Job {
        request,
        render,
        original,
        cancel: cancel.clone(),
        answers: sender,
    };
    shared
        .jobs
        .try_send(job)
        .map_err(|_| Error::invalid("the editor takes no more edits at the moment"))?;
    Ok(Pending {
        id,
        cancel,
        answers,
    })
}
