//! A folder of bundled assets for tests: the tiny capture as the demo, the tiny model with notes as the bundled model. No
//! test needs the real ones.

use std::path::{Path, PathBuf};

/// Of the model: three families, two of them offered first.
const FAMILIES: &str = r#"{
 "families": {
  "unchanged": {"example": "keep it the same", "phrasings": ["keep it the same"]},
  "marble": {"example": "turn him into a marble statue", "phrasings": ["turn {s} into a marble statue"]},
  "snow": {"example": "make it snow", "phrasings": ["make it snow"]}
 },
 "subjects": ["him"],
 "words": ["a", "bronze", "don", "him", "into", "it", "keep", "make", "marble", "same", "snow", "statue", "t", "the", "turn"],
 "trained": {}
}"#;

const NOTES: &str = r#"{
 "name": "tiny",
 "featured": ["marble", "snow"],
 "settings": {"guidance_scale": 3, "lower_bound": 0.9, "diffusion_steps": 5},
 "settings_without_graphics_card": {"diffusion_steps": 3, "view_side": 48, "sweep_views": 6, "sweep_interval": 12}
}"#;

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("it can be listed");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

/// Fill `folder` and return it.
pub fn make(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy_folder(&root.join("assets/tiny"), &folder.join("demo"));
    let model = folder.join("models/luxedit-small");
    copy_folder(&root.join("tests/fixtures/ip2p_tiny"), &model);
    for (name, text) in [("families.json", FAMILIES), ("luxedit.json", NOTES)] {
        std::fs::write(model.join(name), text).expect("the notes are written");
    }
    folder.to_owned()
}
