//! `luxedit model get|list|check`: edit models fetched, found and examined. Needs a graphics adapter only to test it.

use super::out::{say, tell};
use super::{driver, flags};
use crate::{
    Error, Result,
    app::Recents,
    bundle::{BUNDLED_MODEL, Bundle},
    diffusion::{self, ModelReport, SelfTest},
    edit,
    error::Cancel,
    gpu::Gpu,
    hub::{self, FetchProgress, Hub, INSTRUCT_PIX2PIX, Offer, size},
    settings::{EditDevice, Precision, Settings, jobs::CHECK},
};
use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde_json::json;
use std::time::{Duration, Instant};

pub fn command() -> Command {
    let get = Command::new("get")
        .about("Fetch an edit model from the Hugging Face Hub into its cache")
        .arg(
            Arg::new("id")
                .value_name("ID")
                .default_value(INSTRUCT_PIX2PIX)
                .help("Model on the Hub, owner/name"),
        )
        .arg(
            Arg::new("full")
                .long("full")
                .action(ArgAction::SetTrue)
                .help("Weights in full precision, twice the size, instead of half"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Say what would be fetched, and fetch nothing"),
        );
    let list = Command::new("list").about("List the edit models that are here");
    let check = flags::add(
        Command::new("check")
            .about("Examine every tensor of an edit model, and test the device's arithmetic")
            .arg(
                Arg::new("model")
                    .value_name("MODEL")
                    .required(true)
                    .help("Folder, original checkpoint, or id of a fetched model"),
            ),
        CHECK,
    );
    Command::new("model")
        .about("Get, list and check edit models")
        .subcommand_required(true)
        .subcommands([get, list, check].map(|command| command.arg(flags::json())))
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    match matches.subcommand() {
        Some(("get", matches)) => get(matches),
        Some(("list", matches)) => list(matches),
        Some(("check", matches)) => check(matches),
        _ => Ok(()),
    }
}

fn text(matches: &ArgMatches, name: &str) -> String {
    matches.get_one::<String>(name).cloned().unwrap_or_default()
}

fn get(matches: &ArgMatches) -> Result<()> {
    let hub = Hub::from_env()?;
    let id = text(matches, "id");
    let precision = if matches.get_flag("full") {
        Precision::Full
    } else {
        Precision::Half
    };
    let cancel = Cancel::default();
    driver::cancel_on_interrupt(&cancel);
    let began = Instant::now();
    let offer = hub::offer(&hub, &id, precision, &cancel)?;
    tell!("{}", describe(&offer));
    let is_dry = matches.get_flag("dry-run");
    if !is_dry {
        let bar = ProgressBar::new(offer.total_bytes).with_style(
            ProgressStyle::with_template("fetching {wide_bar} {bytes}/{total_bytes}  {msg}")
                .map_err(|e| Error::Invalid(e.to_string()))?,
        );
        let outcome = hub::get(&hub, &offer, &cancel, &mut |now| show(&bar, now));
        bar.finish_and_clear();
        outcome?;
    }
    if matches.get_flag("json") {
        let mut object = json!(offer);
        object["command"] = "model get".into();
        object["fetched"] = (!is_dry).into();
        object["duration_secs"] = began.elapsed().as_secs_f64().into();
        say!("{object}");
    } else if !is_dry {
        say!("{}", offer.folder.display());
        say!("use it with --model {id}");
    }
    Ok(())
}

fn describe(offer: &Offer) -> String {
    let license = offer.license.as_deref().unwrap_or("not stated");
    format!(
        "{}: license {license}, {} files, {}, {} of it to fetch\nto {} ({} free)",
        offer.id,
        offer.files.len(),
        size(offer.total_bytes),
        size(offer.missing_bytes),
        offer.folder.display(),
        size(offer.free_bytes),
    )
}

fn show(bar: &ProgressBar, now: &FetchProgress) {
    bar.set_position(now.done_bytes);
    let mut message = String::new();
    if now.bytes_per_sec > 0.0 {
        message = format!("{}/s", size(now.bytes_per_sec as u64));
    }
    if let Some(eta_secs) = now.eta_secs {
        let left = HumanDuration(Duration::from_secs_f64(eta_secs.min(1e9)));
        message += &format!(", {left} left");
    }
    bar.set_message(message);
}

fn list(matches: &ArgMatches) -> Result<()> {
    let hub = Hub::from_env()?;
    let cached = hub::cached_models(&hub)?;
    let recents = Recents::load();
    let bundled = Bundle::find().edit_model().ok();
    let last = Some(recents.model()).filter(|model| !model.is_empty());
    if matches.get_flag("json") {
        say!(
            "{}",
            json!({
                "command": "model list",
                "cache": hub.cache,
                "bundled": bundled,
                "models": cached,
                "last_used": last,
            })
        );
        return Ok(());
    }
    if let Some(folder) = &bundled {
        say!("{BUNDLED_MODEL}  {}", folder.display());
    }
    if cached.is_empty() {
        say!(
            "no edit model in {}; get one: luxedit model get {INSTRUCT_PIX2PIX}",
            hub.cache.display()
        );
    }
    for model in cached {
        let state = match model.missing.len() {
            0 => size(model.bytes),
            n => format!(
                "incomplete, {n} files missing: luxedit model get {}",
                model.id
            ),
        };
        say!("{}  {state}  {}", model.id, model.folder.display());
    }
    if let Some(last) = last {
        say!("last used: {last}");
    }
    Ok(())
}

fn check(matches: &ArgMatches) -> Result<()> {
    let mut settings = Settings::default();
    flags::apply(matches, CHECK, &mut settings)?;
    let folder = Bundle::find().model_path(&text(matches, "model"))?;
    let precision = edit::weights_of(settings.precision);
    let report = diffusion::check_model(&folder, precision)?;
    let (device, device_name) = match &settings.edit_device {
        EditDevice::Cpu => edit::cpu_device(),
        EditDevice::Remote(_) => {
            return Err(Error::invalid(
                "a check runs where it is asked for: run it on the machine that serves the editor",
            ));
        }
        device => match Gpu::headless() {
            Ok(gpu) => edit::choose_device(device, &gpu)?,
            Err(e) if matches!(device, EditDevice::Gpu(_)) => return Err(e),
            Err(_) => edit::cpu_device(),
        },
    };
    let test = diffusion::self_test(&device, precision)?;
    if matches.get_flag("json") {
        let mut object = json!(report);
        object["command"] = "model check".into();
        object["model"] = json!(folder);
        object["device"] = device_name.clone().into();
        object["self_test"] = json!(test);
        say!("{object}");
    } else {
        print_report(&report, &test, &device_name);
    }
    if test.passed() {
        return Ok(());
    }
    Err(Error::Gpu(format!(
        "{device_name} computes wrong: its result is off by {:.1e}, {:.0e} is allowed. Update the graphics driver, or \
         edit with --edit-device cpu",
        test.relative_error, test.tolerance
    )))
}

fn print_report(report: &ModelReport, test: &SelfTest, device_name: &str) {
    for part in &report.parts {
        let kinds: Vec<String> = part
            .dtypes
            .iter()
            .map(|(dtype, count)| format!("{count} {dtype}"))
            .collect();
        say!(
            "{}: {} tensors ({}), {:.1} M parameters, {}, all finite  {}",
            part.name,
            part.tensors,
            kinds.join(", "),
            part.parameters as f64 / 1e6,
            size(part.bytes),
            part.file.display()
        );
    }
    say!("hash {}", report.hash);
    say!(
        "a picture of 512 × 512 needs on the processor {}; on a graphics card {}; in half precision {}",
        report.memory_on_processor,
        report.memory_on_card,
        report.memory_on_card_half
    );
    if test.passed() {
        say!(
            "{device_name} computes right: off by {:.1e} ({:.0e} allowed)",
            test.relative_error,
            test.tolerance
        );
    }
}
