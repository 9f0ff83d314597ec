//! Programs that play COLMAP.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What they all say of themselves, in the words of version 3.8, and the arguments that they are given.
const BEGIN: &str = r#"#!/bin/sh
echo "$@" >> "$0.log"
case "$2" in -h)
  echo "COLMAP 3.8 (Commit Unknown on Unknown without CUDA)"
  echo "  --SiftExtraction.use_gpu arg (=1)"
  echo "  --SiftMatching.use_gpu arg (=1)"
  exit 0;;
esac
step=$1
shift
while [ $# -gt 1 ]; do
  case "$1" in
    --database_path) database=$2;;
    --image_path) images=$2;;
    --output_path) output=$2;;
  esac
  shift
  shift
done
"#;

/// Places every photo but the last.
const WORKS: &str = r#"
case $step in
feature_extractor)
  touch "$database"
  for i in 1 2 3 4 5; do echo "Processed file [$i/5]"; done;;
exhaustive_matcher|sequential_matcher)
  echo "Matching block [1/2, 1/2] in 0.1s"
  echo "Matching block [2/2, 2/2] in 0.1s";;
mapper)
  mkdir -p "$output/0"
  echo "1 OPENCV 40 30 45 46 20 15 0.01 0 0 0" > "$output/0/cameras.txt"
  echo "1 10 20 30 1 2 3 0.1" > "$output/0/points3D.txt"
  n=0
  (cd "$images" && find . -type f | sort | sed 's|^\./||') > "$output/names"
  count=$(wc -l < "$output/names")
  while read -r name; do
    n=$((n + 1))
    [ $n -eq $count ] && break
    echo "Registering image #$n ($n)"
    echo "$n 1 0 0 0 $n 0.5 0 1 $name"
    echo
  done < "$output/names" > "$output/said"
  grep Registering "$output/said"
  grep -v Registering "$output/said" > "$output/0/images.txt";;
esac
"#;

const FAILS: &str = r#"
case $step in
feature_extractor) touch "$database"; echo "Processed file [1/5]";;
*) echo "ERROR: the database is locked" >&2; exit 3;;
esac
"#;

/// Begins, and never ends.
const HANGS: &str = r#"
case $step in
feature_extractor) touch "$database"; echo "Processed file [1/5]"; exec sleep 600;;
esac
"#;

/// Hangs in a program of its own, which says that it lives.
const HANGS_BELOW: &str = r#"
case $step in
feature_extractor)
  touch "$database"
  (while :; do echo lives >> "$0.lives"; sleep 0.05; done) &
  while [ ! -s "$0.lives" ]; do sleep 0.05; done
  echo "Processed file [1/5]"
  wait;;
esac
"#;

/// Finds nothing.
const FINDS_NOTHING: &str = r#"
case $step in feature_extractor) touch "$database";; esac
"#;

/// A program that is open for writing anywhere cannot be run, and what another test's thread starts meanwhile inherits the
/// files that are open here: so another process writes it.
fn script(folder: &Path, name: &str, rest: &str) -> PathBuf {
    let path = folder.join(name);
    let mut writer = Command::new("sh")
        .args(["-c", r#"cat > "$0" && chmod 755 "$0""#])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut content = writer.stdin.take().unwrap();
    write!(content, "{BEGIN}{rest}").unwrap();
    drop(content);
    assert!(writer.wait().unwrap().success());
    path
}

pub fn working(folder: &Path) -> PathBuf {
    script(folder, "colmap-works", WORKS)
}
pub fn failing(folder: &Path) -> PathBuf {
    script(folder, "colmap-fails", FAILS)
}
pub fn hanging(folder: &Path) -> PathBuf {
    script(folder, "colmap-hangs", HANGS)
}
pub fn hanging_below(folder: &Path) -> PathBuf {
    script(folder, "colmap-hangs-below", HANGS_BELOW)
}
/// What the program within [`hanging_below`] has said.
pub fn signs_of_life(script: &Path) -> usize {
    let said = PathBuf::from(format!("{}.lives", script.display()));
    std::fs::read(said).unwrap_or_default().len()
}
pub fn finding_nothing(folder: &Path) -> PathBuf {
    script(folder, "colmap-finds-nothing", FINDS_NOTHING)
}

/// The arguments of every call so far.
pub fn calls(script: &Path) -> String {
    let log = PathBuf::from(format!("{}.log", script.display()));
    std::fs::read_to_string(log).unwrap_or_default()
}
