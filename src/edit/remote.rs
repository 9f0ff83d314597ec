//! Editing on another machine: `luxedit serve-editor` there, an address here. Views are independent of each other, so
//! several editors share one sweep; one that is lost gives its view back, and an edit without any waits until one returns.
//!
//! The protocol is version [`VERSION`]: WebSocket (RFC 6455), binary messages only, each one
//!
//! ```text
//! header length in bytes, u32 little endian | header, JSON in UTF-8 | payload
//! ```
//!
//! with headers and payloads as [`ClientMessage`] and [`ServerMessage`] say. Pictures are rows from top to bottom of RGB: eight
//! bits each, or f32 little endian where the result depends on it, so that an edit is the same to the bit wherever it runs on
//! the same kind of device. The client says [`ClientMessage::Hello`] first; the answer is [`ServerMessage::Welcome`] or
//! [`ServerMessage::Refused`]. Then it asks for one edit at a time; one that cannot be made now is refused too, and is another
//! editor's or waits. Either side closes at a message that is not understood or too long. Pings every few seconds tell a long
//! step from a lost connection.

mod client;
mod desk;
mod frames;
mod host;
mod identity;
mod message;
mod options;
mod pool;
mod socket;
mod tls;
mod upgrade;

pub use client::RemoteEditor;
pub use desk::Rest;
pub use host::{Host, HostOptions};
pub use identity::ModelIdentity;
pub use message::{
    ClientMessage, EditKind, EditRequest, MOST_PIXELS, Message, ServerMessage, VERSION,
};
pub use options::RemoteOptions;
