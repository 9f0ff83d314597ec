//! The client's connections. Each remote editor has a thread that calls it, again and again where it must, and takes asks
//! from one queue; an ask whose connection is lost goes back to the head of the queue, where any editor may take it.

use super::{
    frames::Role,
    identity::ModelIdentity,
    message::{ClientMessage, EditRequest, Message, ServerMessage, VERSION},
    options::RemoteOptions,
    socket::{Heed, Socket, Wire},
    tls, upgrade,
};
use crate::{Error, Result, error::Cancel, settings::EditorAddress};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::{
    collections::VecDeque,
    net::{TcpStream, ToSocketAddrs},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const CALL_PATIENCE: Duration = Duration::from_secs(5);
/// Between two calls of an editor that does not answer, at first and at most.
const FIRST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(4);
/// Between two looks at the flag that cancels.
const TICK: Duration = Duration::from_millis(25);

/// An edit that waits for an editor, or is being made.
struct Ask {
    request: EditRequest,
    payload: Vec<u8>,
    cancel: Cancel,
    answers: Sender<Message<ServerMessage>>,
}

/// The asker's end. Dropping it cancels the edit.
pub(super) struct Ticket {
    pub answers: Receiver<Message<ServerMessage>>,
    cancel: Cancel,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// How a connection stands.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// It was not reached yet.
    Calling,
    Ready {
        weights: String,
    },
    /// It cannot be reached, and why.
    Lost(String),
    /// It can, and edits nothing at the moment.
    Unable(String),
    /// It can, and will not edit for this client.
    Refused(String),
}

struct State {
    queue: VecDeque<Ask>,
    standings: Vec<Standing>,
    /// Hash of the weights that the first editor runs, which all must.
    weights: Option<String>,
    is_over: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All connections. Dropping it ends them; a thread that is calling just then ends when the call does.
pub(super) struct Pool {
    shared: Arc<Shared>,
    addresses: Vec<EditorAddress>,
}

impl Pool {
    /// # Errors
    /// [`Error::Invalid`] when the operating system starts no thread.
    pub fn start(
        addresses: &[EditorAddress],
        expected: &ModelIdentity,
        options: &RemoteOptions,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                standings: vec![Standing::Calling; addresses.len()],
                weights: None,
                is_over: false,
            }),
            changed: Condvar::new(),
        });
        let pool = Self {
            shared,
            addresses: addresses.to_vec(),
        };
        for (index, address) in addresses.iter().enumerate() {
            let line = Line {
                index,
                address: address.clone(),
                expected: expected.clone(),
                options: options.clone(),
                shared: pool.shared.clone(),
            };
            std::thread::Builder::new()
                .name("luxedit remote editor".into())
                .spawn(move || line.run())
                .map_err(|e| Error::Invalid(format!("a thread does not start: {e}")))?;
        }
        Ok(pool)
    }

    pub fn ask(&self, request: EditRequest, payload: Vec<u8>) -> Ticket {
        let (sender, answers) = unbounded();
        let cancel = Cancel::default();
        self.shared.lock().queue.push_back(Ask {
            request,
            payload,
            cancel: cancel.clone(),
            answers: sender,
        });
        self.shared.changed.notify_all();
        Ticket { answers, cancel }
    }

    /// How each editor stands.
    pub fn standings(&self) -> Vec<(&EditorAddress, Standing)> {
        let state = self.shared.lock();
        self.addresses
            .iter()
            .zip(state.standings.iter().cloned())
            .collect()
    }

    pub fn editors(&self) -> usize {
        self.addresses.len()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_all();
    }
}

/// Why there is no connection.
enum NoCall {
    Unreachable(String),
    Refused(String),
}

impl From<String> for NoCall {
    fn from(why: String) -> Self {
        Self::Unreachable(why)
    }
}

/// One editor's thread.
struct Line {
    index: usize,
    address: EditorAddress,
    expected: ModelIdentity,
    options: RemoteOptions,
    shared: Arc<Shared>,
}

impl Line {
    fn run(self) {
        let mut rest = FIRST_REST;
        while !self.shared.lock().is_over {
            let called = self.call().and_then(|(socket, welcome)| {
                let weights = self.admit(&welcome)?;
                Ok((socket, weights))
            });
            match called {
                Ok((mut socket, weights)) => {
                    self.stand(Standing::Ready { weights });
                    let mut has_edited = false;
                    match self.work(&mut socket, &mut has_edited) {
                        Ok(()) => socket.close(),
                        Err(NoCall::Unreachable(why)) => self.stand(Standing::Lost(why)),
                        Err(NoCall::Refused(why)) => self.stand(Standing::Unable(why)),
                    }
                    if has_edited {
                        rest = FIRST_REST;
                    }
                }
                Err(NoCall::Unreachable(why)) => self.stand(Standing::Lost(why)),
                Err(NoCall::Refused(why)) => self.stand(Standing::Refused(why)),
            }
            self.rest(rest);
            rest = (rest * 2).min(LONGEST_REST);
        }
    }

    fn stand(&self, standing: Standing) {
        log::debug!("{}: {standing:?}", self.address);
        self.shared.lock().standings[self.index] = standing;
        self.shared.changed.notify_all();
    }

    /// Sleep, unless all is over.
    fn rest(&self, duration: Duration) {
        let began = Instant::now();
        while began.elapsed() < duration && !self.shared.lock().is_over {
            std::thread::sleep(TICK);
        }
    }

    /// Connect, upgrade, say hello.
    fn call(&self) -> Result<(Socket, ServerMessage), NoCall> {
        let unreachable = |e: String| NoCall::Unreachable(e);
        let wire = connect(&self.address, &self.options).map_err(unreachable)?;
        wire.tcp()
            .set_read_timeout(Some(CALL_PATIENCE))
            .map_err(|e| unreachable(e.to_string()))?;
        let mut wire = wire;
        upgrade::ask(&mut wire, &self.address).map_err(|e| unreachable(e.to_string()))?;
        let mut socket = Socket::new(wire, Role::Client).map_err(|e| unreachable(e.to_string()))?;
        let token = self.address.token.clone().or_else(|| {
            std::env::var("LUXEDIT_TOKEN")
                .ok()
                .filter(|token| !token.is_empty())
        });
        let hello = ClientMessage::Hello {
            protocol: VERSION,
            version: env!("CARGO_PKG_VERSION").into(),
            token,
        };
        socket
            .send(&Message::new(hello))
            .map_err(|e| unreachable(e.to_string()))?;
        let began = Instant::now();
        loop {
            match socket.heed::<ServerMessage>(TICK) {
                Heed::Message(message) => match message.header {
                    ServerMessage::Refused { problem } => return Err(NoCall::Refused(problem)),
                    welcome @ ServerMessage::Welcome { .. } => {
                        socket.trust();
                        return Ok((socket, welcome));
                    }
                    _ => return Err(NoCall::Refused("it answers, but not with a welcome".into())),
                },
                Heed::Nothing if began.elapsed() > CALL_PATIENCE => {
                    return Err(unreachable("it does not answer".into()));
                }
                Heed::Nothing => {}
                Heed::Lost(why) => return Err(unreachable(why)),
                Heed::Broken(what) => return Err(NoCall::Refused(what)),
            }
        }
    }

    /// Its weights' hash, if it speaks this protocol and runs the model that is wanted.
    fn admit(&self, welcome: &ServerMessage) -> Result<String, NoCall> {
        let refused = |e: Error| NoCall::Refused(e.to_string());
        self.expected.check(welcome).map_err(refused)?;
        let ServerMessage::Welcome {
            protocol, weights, ..
        } = welcome
        else {
            return Err(NoCall::Refused("it answers, but not with a welcome".into()));
        };
        if *protocol != VERSION {
            return Err(NoCall::Refused(format!(
                "it speaks version {protocol} of the protocol, and this luxedit {VERSION}"
            )));
        }
        let mut state = self.shared.lock();
        let first = state.weights.get_or_insert_with(|| weights.clone());
        if first != weights {
            return Err(NoCall::Refused(
                "its model has other weights than that of the other editors, or than before".into(),
            ));
        }
        Ok(weights.clone())
    }

    /// Edit until all is over, or the connection is lost: the reason.
    fn work(&self, socket: &mut Socket, has_edited: &mut bool) -> Result<(), NoCall> {
        let mut pinged = Instant::now();
        loop {
            let Some(ask) = self.next_ask() else {
                if self.shared.lock().is_over {
                    return Ok(());
                }
                self.idle(socket, &mut pinged)?;
                continue;
            };
            if let Err(why) = self.make(socket, &ask) {
                self.shared.lock().queue.push_front(ask);
                self.shared.changed.notify_all();
                return Err(why);
            }
            *has_edited = true;
        }
    }

    /// The next ask that is still wanted; waits a moment for one.
    fn next_ask(&self) -> Option<Ask> {
        let mut state = self.shared.lock();
        if state.queue.is_empty() && !state.is_over {
            state = self
                .shared
                .changed
                .wait_timeout(state, Duration::from_millis(500))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if state.is_over {
            return None;
        }
        while let Some(ask) = state.queue.pop_front() {
            if !ask.cancel.is_cancelled() {
                return Some(ask);
            }
        }
        None
    }

    /// Between two edits: is it still there?
    fn idle(&self, socket: &mut Socket, pinged: &mut Instant) -> Result<(), NoCall> {
        match socket.heed::<ServerMessage>(Duration::from_millis(1)) {
            Heed::Nothing => Ok(self.keep_alive(socket, pinged)?),
            Heed::Message(message) => match message.header {
                ServerMessage::Refused { problem } => Err(NoCall::Refused(problem)),
                // The late answer to an edit that was cancelled.
                _ => Ok(()),
            },
            Heed::Lost(why) | Heed::Broken(why) => Err(NoCall::Unreachable(why)),
        }
    }

    /// Let the editor make one edit. An error means that the connection is lost and the edit was not made.
    fn make(&self, socket: &mut Socket, ask: &Ask) -> Result<(), NoCall> {
        let id = ask.request.id;
        let edit = Message {
            header: ClientMessage::Edit(ask.request.clone()),
            payload: ask.payload.clone(),
        };
        socket.send(&edit).map_err(|e| e.to_string())?;
        drop(edit);
        let mut has_cancelled = false;
        let mut pinged = Instant::now();
        loop {
            match socket.heed::<ServerMessage>(TICK) {
                Heed::Message(message) => {
                    let (of, is_last) = match &message.header {
                        ServerMessage::Step { id, .. } => (*id, false),
                        ServerMessage::Edited { id }
                        | ServerMessage::Distilled { id, .. }
                        | ServerMessage::Cancelled { id }
                        | ServerMessage::Failed { id, .. } => (*id, true),
                        ServerMessage::Refused { problem } => {
                            return Err(NoCall::Refused(problem.clone()));
                        }
                        ServerMessage::Welcome { .. } => {
                            return Err(NoCall::Unreachable(
                                "it says welcome in the middle of an edit".into(),
                            ));
                        }
                    };
                    if of != id {
                        continue;
                    }
                    if ask.answers.send(message).is_err() {
                        log::debug!("an edit came that nobody waits for");
                    }
                    if is_last {
                        return Ok(());
                    }
                }
                Heed::Nothing => {
                    if (ask.cancel.is_cancelled() || self.shared.lock().is_over) && !has_cancelled {
                        has_cancelled = true;
                        let cancel = Message::new(ClientMessage::Cancel { id });
                        socket.send(&cancel).map_err(|e| e.to_string())?;
                    }
                    if has_cancelled && self.shared.lock().is_over {
                        return Ok(());
                    }
                    self.keep_alive(socket, &mut pinged)?;
                }
                Heed::Lost(why) | Heed::Broken(why) => return Err(NoCall::Unreachable(why)),
            }
        }
    }

    /// Ping a silent editor, give up one that was silent for long.
    fn keep_alive(&self, socket: &mut Socket, pinged: &mut Instant) -> Result<(), String> {
        let silence = socket.silence();
        if silence > self.options.silence {
            return Err(format!(
                "nothing was heard for {:.0} s",
                silence.as_secs_f64()
            ));
        }
        if silence > self.options.ping_after && pinged.elapsed() > self.options.ping_after {
            *pinged = Instant::now();
            socket.ping().map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

fn connect(address: &EditorAddress, options: &RemoteOptions) -> Result<Box<dyn Wire>, String> {
    let host = address.host.trim_matches(['[', ']']);
    let places = (host, address.port)
        .to_socket_addrs()
        .map_err(|e| e.to_string())?;
    let mut problem = "its name leads nowhere".to_owned();
    for place in places {
        match TcpStream::connect_timeout(&place, CALL_PATIENCE) {
            Ok(tcp) => {
                tcp.set_nodelay(true).map_err(|e| e.to_string())?;
                return if address.is_tls {
                    tls::secure(host, tcp, options.authorities.as_deref())
                } else {
                    Ok(Box::new(tcp))
                };
            }
            Err(e) => problem = e.to_string(),
        }
    }
    Err(problem)
}
