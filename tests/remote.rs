//! Editing on other machines, over loopback: the same pictures as here, several editors on one sweep, lost and silent
//! connections, TLS, and peers that do not keep to the protocol.

#[path = "support/adapter.rs"]
mod adapter;
#[path = "remote/binary.rs"]
mod binary;
#[path = "remote/common.rs"]
mod common;
#[path = "remote/edits.rs"]
mod edits;
#[path = "remote/idle.rs"]
mod idle;
#[path = "remote/network.rs"]
mod network;
#[path = "remote/protocol.rs"]
mod protocol;
#[path = "remote/sweeps.rs"]
mod sweeps;
