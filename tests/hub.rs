//! Models from a Hub on the loopback: fetched, cut, resumed, damaged, stopped, found again; by the library, by the real
//! binary, and by the worker that the window drives. `LUXEDIT_PYTHON` names a Python with `huggingface_hub` that has to
//! find the files as well.

#[path = "hub/common.rs"]
mod common;
#[path = "hub/models.rs"]
mod models;
#[path = "hub/refusals.rs"]
mod refusals;
#[path = "hub/server.rs"]
mod server;
#[path = "hub/transfers.rs"]
mod transfers;
