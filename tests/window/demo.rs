//! The first minute: the demo from the start page, examples to click, the model chooser, what the bundled model does not
//! know.

use crate::{
    fake::{Script, fake_worker},
    harness::{Window, bundle_folder, open_window, open_window_with},
};
use luxedit::{
    app::DEMO_CREDITS,
    bundle::{BUNDLED_MODEL, Bundle},
    settings::Settings,
    worker::Command,
};

fn start(bundle: Option<Bundle>) -> Option<(Script, Window)> {
    let mut script = None;
    let worker = |gpu| {
        let (ours, worker) = fake_worker(gpu);
        script = Some(ours);
        worker
    };
    let size = [1280.0, 800.0];
    let window = match bundle {
        Some(bundle) => open_window_with(size, bundle, worker),
        None => open_window(size, worker),
    }?;
    Some((script?, window))
}

/// The newest settings that the window sent.
fn sent(commands: &[Command]) -> Option<&Settings> {
    commands.iter().rev().find_map(|c| match c {
        Command::Settings(settings) => Some(settings.as_ref()),
        _ => None,
    })
}

/// A scene is open and drawn, with the settings that the window had.
fn opened(script: &Script, window: &mut Window) {
    let settings = sent(&script.asked()).cloned().unwrap_or_default();
    script.open(true, settings);
    script.draw(0.2);
    window.until_label("Start edit");
}

#[test]
fn the_start_page_opens_the_demo_with_its_scene() {
    let Some((script, mut window)) = start(None) else {
        return;
    };
    window.steps(3);
    window.keep_picture("start_with_demo");
    window.click("Open demo");
    let asked = script.asked();
    let demo = bundle_folder().join("demo");
    let is_right = asked.iter().any(|c| {
        matches!(c, Command::OpenWithScene { capture, scene }
            if *capture == demo && *scene == demo.join("scene.ply"))
    });
    assert!(is_right, "{asked:?}");
    let settings = sent(&asked).expect("what the model recommends goes first");
    assert_eq!(settings.model, BUNDLED_MODEL);
    assert_eq!(settings.guidance_scale, 3.0);
    assert_eq!(settings.lower_bound, 0.9);
    let is_software = settings.view_side > 0;
    assert_eq!(settings.diffusion_steps, if is_software { 3 } else { 5 });
    script.open(true, settings.clone());
    script.draw(0.2);
    window.until_label("Start edit");
    let says_so = window.has(
        "No graphics card found: denoising steps 3, sweep every 12 steps, views a sweep 6, largest photo side 48 pixels",
    );
    assert_eq!(
        says_so, is_software,
        "the cost is stated where there is one"
    );
    window.keep_picture("demo");
}

#[test]
fn a_missing_demo_and_a_missing_model_are_said_in_words() {
    let nowhere = bundle_folder().join("nothing here");
    let Some((script, mut window)) = start(Some(Bundle::at(nowhere))) else {
        return;
    };
    window.steps(3);
    assert!(window.has("The bundled demo is not installed"));
    script.open(true, Settings::default());
    script.draw(0.2);
    window.until_label("Start edit");
    window.type_into("Instruction", "make it snow");
    assert!(window.is_disabled("Start edit"));
    assert!(window.has("The bundled edit model is not installed"));
}

#[test]
fn an_example_fills_the_instruction() {
    let Some((script, mut window)) = start(None) else {
        return;
    };
    window.steps(2);
    opened(&script, &mut window);
    assert!(window.is_disabled("Start edit"));
    window.click("Marble: turn him into a marble statue");
    let text = window.get("Instruction").value();
    assert_eq!(text.as_deref(), Some("turn him into a marble statue"));
    assert!(!window.is_disabled("Start edit"));
    assert!(!window.has("doesn't know"));
    window.click("More examples…");
    window.click("Unchanged: keep it the same");
    let text = window.get("Instruction").value();
    assert_eq!(text.as_deref(), Some("keep it the same"));
}

#[test]
fn unknown_words_get_a_quiet_notice_and_no_refusal() {
    let Some((script, mut window)) = start(None) else {
        return;
    };
    window.steps(2);
    opened(&script, &mut window);
    window.type_into("Instruction", "Turn the Grizzly into a bronze statue");
    assert!(window.has("The bundled model doesn't know 'grizzly'. InstructPix2Pix does."));
    window.keep_picture("unknown_word");
    assert!(!window.is_disabled("Start edit"), "it is a notice only");
    window.type_into("Instruction", "Don't turn it into marble");
    assert!(!window.has("doesn't know"));
}

#[test]
fn the_chooser_lists_what_the_bundled_model_knows() {
    let Some((script, mut window)) = start(None) else {
        return;
    };
    window.steps(2);
    opened(&script, &mut window);
    window.click("Edit model");
    window.keep_picture("model_chooser");
    assert!(window.has("Knows 3 kinds of edit: marble, snow, unchanged"));
    window.click("Get InstructPix2Pix…");
    window.until_label("Asking the Hub");
    window.steps(3);
    window.keep_picture("get_model");
    window.click("Close");
    assert!(!window.has("Get an edit model"));
    window.steps(5);

    // Another model: nothing is known of it, and the recommendations of the bundled one go with it.
    window.click("Edit model");
    window.click("Local folder…");
    let folder = bundle_folder().join("demo");
    window.type_into("Path", &folder.display().to_string());
    window.click("Use this model");
    window.steps(12);
    window.type_into("Instruction", "Turn the Grizzly into a bronze statue");
    assert!(!window.has("doesn't know"));
    window.click("Start edit");
    let asked = script.asked();
    let settings = sent(&asked).expect("settings go before the edit");
    assert_eq!(settings.model, folder.display().to_string());
    assert_eq!(settings.guidance_scale, Settings::default().guidance_scale);
    assert_eq!(settings.view_side, 0);
}

#[test]
fn what_was_chosen_by_hand_stays_when_the_model_changes() {
    let Some((script, mut window)) = start(None) else {
        return;
    };
    window.steps(2);
    opened(&script, &mut window);
    window.click("Advanced");
    window.steps(20);
    window.set_number("Denoising steps", 7.0);
    window.type_into("Instruction", "make it snow");
    window.click("Edit model");
    window.click("Local folder…");
    window.type_into("Path", &bundle_folder().join("demo").display().to_string());
    window.click("Use this model");
    window.click("Start edit");
    let asked = script.asked();
    let settings = sent(&asked).expect("settings go before the edit");
    assert_eq!(settings.diffusion_steps, 7);
}

#[test]
fn the_about_box_credits_the_demo() {
    let Some((_script, mut window)) = start(None) else {
        return;
    };
    window.click("Help");
    window.click("About luxedit…");
    assert!(window.has("man by Reallusion, CC BY 3.0 US"));
    window.keep_picture("about");
    let table = include_str!("../../assets/demo/LICENSES.md");
    for credit in [
        "Reallusion",
        "CC BY 3.0 US",
        "Evivivi",
        "Elysia",
        "Ndakasha",
        "rameshrj",
        "ColdShiverGames",
        "Poly Haven",
    ] {
        assert!(table.contains(credit), "{credit} is in the table");
        assert!(
            DEMO_CREDITS.contains(credit),
            "{credit} is in the About box"
        );
    }
}
