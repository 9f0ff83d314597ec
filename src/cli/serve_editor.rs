//! `luxedit serve-editor`: edit for scenes that lie on other machines.

use super::out::{say, tell};
use super::{driver, flags};
use crate::{
    Error, Result,
    edit::{Host, HostOptions, IDLE, ImageEditor, Ip2pEditor, ModelIdentity, Rest, memory_limit},
    error::Cancel,
    gpu::Gpu,
    settings::{Settings, jobs::SERVE},
};
use clap::{Arg, ArgMatches, Command};
use serde_json::json;
use std::{net::ToSocketAddrs, time::Duration};

pub fn command() -> Command {
    flags::add(
        Command::new("serve-editor")
            .about("Edit views for scenes on other machines; they name it with --edit-device ws://HOST:PORT")
            .arg(
                Arg::new("listen")
                    .long("listen")
                    .value_name("HOST:PORT")
                    .default_value("127.0.0.1:7860")
                    .help("Where to listen; port 0 takes a free one"),
            )
            .arg(
                Arg::new("token")
                    .long("token")
                    .value_name("TEXT")
                    .help("What clients must know; the environment variable LUXEDIT_TOKEN is not seen by other users"),
            ),
        SERVE,
    )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let mut settings = Settings::default();
    flags::apply(matches, SERVE, &mut settings)?;
    if settings.edit_device.is_remote() {
        return Err(Error::invalid(
            "an editor that is served edits here: --edit-device takes auto, gpu, gpu:N or cpu",
        ));
    }
    let listen = matches
        .get_one::<String>("listen")
        .cloned()
        .unwrap_or_default();
    let token = matches
        .get_one::<String>("token")
        .cloned()
        .or_else(|| std::env::var("LUXEDIT_TOKEN").ok())
        .filter(|token| !token.is_empty());
    if token.is_none() && !is_loopback(&listen) {
        tell!(
            "luxedit: {listen} can be reached from other machines and no --token is set: whoever reaches it can edit \
             here"
        );
    }
    let cancel = Cancel::default();
    driver::cancel_on_interrupt(&cancel);
    let path = crate::bundle::Bundle::find().model_path(&settings.model)?;
    let gpu = Gpu::headless()?;
    let load = {
        let (gpu, path, settings) = (gpu.clone(), path.clone(), settings.clone());
        move || {
            Ip2pEditor::load(
                gpu.clone(),
                &path,
                &settings.edit_device,
                settings.precision,
                memory_limit(&settings),
            )
        }
    };
    let editor = load()?;
    for notice in editor.notices() {
        tell!("luxedit: {notice}");
    }
    let device = editor.device_name().to_owned();
    let weights = editor.model_hash().to_owned();
    let host = Host::start(
        HostOptions {
            listen,
            token,
            model: ModelIdentity::of(&settings.model, &path)?,
            device: device.clone(),
            silence: HostOptions::SILENCE,
            rest: Some(Rest {
                after: IDLE,
                load: Box::new(move || Ok(Box::new(load()?))),
            }),
        },
        gpu,
        Box::new(editor),
    )?;
    tell!(
        "luxedit: serving the edit model \"{}\" ({weights}) on {device} at ws://{}; Ctrl-C ends",
        settings.model,
        host.address()
    );
    while !cancel.is_cancelled() && !host.is_broken() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let (edits, is_broken) = (host.edits(), host.is_broken());
    let address = host.address();
    drop(host);
    if is_broken {
        return Err(Error::Gpu(
            "the editor has broken down; start it again, with a newer graphics driver if this repeats".into(),
        ));
    }
    if matches.get_flag("json") {
        let object = json!({
            "command": "serve-editor",
            "address": format!("ws://{address}"),
            "device": device,
            "model_hash": weights,
            "edits": edits,
            "settings": settings,
        });
        say!("{object}");
    } else {
        say!("edits made: {edits}");
    }
    Ok(())
}

/// Whether only this machine reaches it. A name that leads nowhere is refused later.
fn is_loopback(listen: &str) -> bool {
    listen
        .to_socket_addrs()
        .is_ok_and(|mut places| places.all(|place| place.ip().is_loopback()))
}
