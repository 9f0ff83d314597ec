//! The documentation's table of settings is the table of settings. `LUXEDIT_BLESS=1` rewrites it.

use luxedit::settings::{SETTINGS, Settings, jobs};

const BEGIN: &str = "<!-- settings: made from src/settings.rs by tests/docs.rs -->\n";
const END: &str = "<!-- /settings -->";

fn table() -> String {
    let mut text = String::from(
        "| flag | default | values | used by | what it does |\n| --- | --- | --- | --- | --- |\n",
    );
    for s in SETTINGS {
        let default = (s.get)(&Settings::default()).to_string();
        let users = [
            (jobs::RECONSTRUCT, "reconstruct"),
            (jobs::EDIT, "edit"),
            (jobs::EDIT_IMAGE, "edit-image"),
            (jobs::RENDER, "render"),
            (jobs::EVAL, "eval"),
            (jobs::CHECK, "model check"),
            (jobs::VIEWS, "views"),
            (jobs::SERVE, "serve-editor"),
            (jobs::CONVERT, "convert"),
        ]
        .iter()
        .filter(|(job, _)| s.jobs & job != 0)
        .map(|(_, name)| *name)
        .collect::<Vec<_>>()
        .join(", ");
        text.push_str(&format!(
            "| `--{}` | {default} | {} | {users} | {} |\n",
            s.flag,
            s.expects(),
            s.help
        ));
    }
    text
}

#[test]
fn the_readme_lists_every_setting_as_it_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the opening marker");
    let (found, after) = rest.split_once(END).expect("the closing marker");
    if std::env::var_os("LUXEDIT_BLESS").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
        return;
    }
    assert_eq!(
        found,
        table(),
        "run LUXEDIT_BLESS=1 cargo test --release --test docs"
    );
}

#[test]
fn every_setting_accepts_its_default_and_refuses_what_is_out_of_range() {
    use luxedit::settings::{Kind, Value};
    for s in SETTINGS {
        let mut settings = Settings::default();
        let default = (s.get)(&settings);
        s.set(&mut settings, default)
            .unwrap_or_else(|e| panic!("{}: {e}", s.key));
        let bad = match s.kind {
            Kind::Int { max: u64::MAX, .. } | Kind::Text => continue,
            Kind::Int { max, .. } => Value::Int(max + 1),
            Kind::Float { max, .. } => Value::Float(max + 0.5),
            Kind::Choice(_) | Kind::Device => Value::Text("no such choice".into()),
        };
        let message = s.set(&mut settings, bad).unwrap_err().to_string();
        assert!(message.contains(s.flag), "{message}");
        assert_eq!(settings, Settings::default());
    }
}
