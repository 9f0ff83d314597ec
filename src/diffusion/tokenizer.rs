//! CLIP's tokenizer: lower-cased byte-level byte-pair encoding (Sennrich et al. 2016) as Hugging Face's fast tokenizer
//! runs it, from a model folder's `tokenizer/`. Written here because one wrong id changes every picture, and because
//! the vocabulary, the special tokens and the length are the folder's, not constants.

use super::config::Config;
use crate::{Error, Result};
use regex::Regex;
use serde_json::Value;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use unicode_normalization::UnicodeNormalization;

const PUBLISHED_MERGES: &[u8] = include_bytes!("../../assets/instruct-pix2pix/merges.txt.gz");
const PUBLISHED_CONFIG: &[u8] = include_bytes!("../../assets/instruct-pix2pix/tokenizer.json");

/// Text to token ids.
pub struct Tokenizer {
    vocabulary: HashMap<String, u32>,
    /// Pair of ids → (rank, id of the joined piece).
    merges: HashMap<(u32, u32), (usize, u32)>,
    /// The printable character that stands for each byte, alone and at the end of a word.
    bytes: Vec<(Option<u32>, Option<u32>)>,
    special: Vec<SpecialToken>,
    words: Regex,
    spaces: Regex,
    bos: u32,
    eos: u32,
    pad: u32,
    unknown: u32,
    length: usize,
}

/// A token that is found in the text before it is split into words.
struct SpecialToken {
    content: String,
    id: u32,
    /// Found in the normalized text rather than in the raw one.
    normalized: bool,
}

/// Pieces and merges in one file.
const JOINED: &str = "tokenizer.json";

/// Marks the last piece of a word.
const END_OF_WORD: &str = "</w>";

impl Tokenizer {
    /// From `vocab.json` and `merges.txt`, or from the `tokenizer.json` that transformers 5 saves in their place.
    /// `max_length`: tokens that the text encoder takes, an upper bound on the folder's own `model_max_length`.
    ///
    /// # Errors
    /// Missing or malformed files; special tokens or merged pieces that are not in the vocabulary.
    pub fn load(folder: &Path, max_length: usize) -> Result<Self> {
        let (apart, joined) = (folder.join("vocab.json"), folder.join(JOINED));
        let (vocabulary, path, text) = if !apart.is_file() && joined.is_file() {
            let (vocabulary, text) = read_joined(&joined)?;
            (vocabulary, joined, text)
        } else {
            let path = folder.join("merges.txt");
            let vocabulary = read_vocabulary(&apart)?;
            let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
            (vocabulary, path, text)
        };
        let merges = read_merges(&path, &text, &vocabulary)?;
        let files = SpecialTokenFiles::read(folder)?;
        Self::build(vocabulary, merges, &files, max_length)
    }

    /// CLIP's own, which is part of the program: for models without a `tokenizer/` folder.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn published(max_length: usize) -> Result<Self> {
        let path = Path::new("the published tokenizer");
        let mut text = String::new();
        flate2::read::GzDecoder::new(PUBLISHED_MERGES)
            .read_to_string(&mut text)
            .map_err(Error::io(path))?;
        let vocabulary = vocabulary_of(&text);
        let merges = read_merges(path, &text, &vocabulary)?;
        let files = SpecialTokenFiles {
            folder: path.to_owned(),
            configs: vec![Config::parse(path, PUBLISHED_CONFIG)?],
            added: None,
        };
        Self::build(vocabulary, merges, &files, max_length)
    }

    fn build(
        vocabulary: HashMap<String, u32>,
        merges: HashMap<(u32, u32), (usize, u32)>,
        files: &SpecialTokenFiles,
        max_length: usize,
    ) -> Result<Self> {
        let find = |key: &str, default: &str| files.find(key, default, &vocabulary);

        let bos = find("bos_token", "<|startoftext|>")?;
        let eos = find("eos_token", "<|endoftext|>")?;
        let pad = find("pad_token", &eos.content)?.id;
        let unknown = find("unk_token", &eos.content)?.id;
        let length = files.max_length().map_or(max_length, |n| n.min(max_length));
        if length < 2 {
            return Err(Error::file(
                &files.folder,
                format!("`model_max_length` {length} leaves no room for start and end of text"),
            ));
        }
        let bytes = byte_characters()
            .map(|c| {
                let id = |piece: String| vocabulary.get(&piece).copied();
                (id(c.to_string()), id(format!("{c}{END_OF_WORD}")))
            })
            .collect();
        let compile = |pattern: &str| {
            Regex::new(pattern).map_err(|e| Error::invalid(format!("the tokenizer's pattern: {e}")))
        };
        Ok(Self {
            merges,
            bytes,
            words: compile(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")?,
            spaces: compile(r"\s+")?,
            bos: bos.id,
            eos: eos.id,
            pad,
            unknown,
            length,
            special: vec![bos, eos],
            vocabulary,
        })
    }

    /// Ids of `text` with start and end of text, padded or cut to [`Self::length`], the end kept.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = vec![self.bos];
        self.encode_into(text, &mut ids);
        ids.truncate(self.length - 1);
        ids.push(self.eos);
        ids.resize(self.length, self.pad);
        ids
    }

    /// [`Self::encode`], padded with 0 as OpenAI's own `clip.tokenize` pads.
    pub fn encode_zero_padded(&self, text: &str) -> Vec<u32> {
        let mut ids = self.encode(text);
        let used = self.count(text).min(self.length);
        ids[used..].fill(0);
        ids
    }

    /// Tokens that `text` needs with start and end of text, before any cut.
    pub fn count(&self, text: &str) -> usize {
        let mut ids = Vec::new();
        self.encode_into(text, &mut ids);
        ids.len() + 2
    }

    /// Tokens of a prompt, start and end included.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Pieces in the vocabulary.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.len()
    }

    fn encode_into(&self, text: &str, ids: &mut Vec<u32>) {
        for raw in self.split_special(text, false) {
            let text = match raw {
                Part::Special(id) => {
                    ids.push(id);
                    continue;
                }
                Part::Text(text) => text,
            };
            let normalized = self.normalize(text);
            for part in self.split_special(&normalized, true) {
                match part {
                    Part::Special(id) => ids.push(id),
                    Part::Text(text) => {
                        for word in self.words.find_iter(text) {
                            self.encode_word(word.as_str(), ids);
                        }
                    }
                }
            }
        }
    }

    /// NFC, runs of white space to one space, lower case character by character (a final sigma stays σ).
    fn normalize(&self, text: &str) -> String {
        let composed: String = text.nfc().collect();
        self.spaces
            .replace_all(&composed, " ")
            .chars()
            .flat_map(char::to_lowercase)
            .collect()
    }

    fn split_special<'a>(&self, text: &'a str, normalized: bool) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        let mut rest = text;
        let tokens = || {
            self.special
                .iter()
                .filter(|token| token.normalized == normalized && !token.content.is_empty())
        };
        // The leftmost token wins, the longest among equals.
        while let Some((at, token)) = tokens()
            .filter_map(|token| Some((rest.find(&token.content)?, token)))
            .min_by_key(|(at, token)| (*at, std::cmp::Reverse(token.content.len())))
        {
            parts.push(Part::Text(&rest[..at]));
            parts.push(Part::Special(token.id));
            rest = &rest[at + token.content.len()..];
        }
        parts.push(Part::Text(rest));
        parts
    }

    /// Join the pair of lowest rank until none is left.
    fn encode_word(&self, word: &str, ids: &mut Vec<u32>) {
        let last = word.len() - 1;
        let mut pieces: Vec<u32> = word
            .bytes()
            .enumerate()
            .map(|(i, byte)| {
                let (inside, at_end) = self.bytes[usize::from(byte)];
                (if i == last { at_end } else { inside }).unwrap_or(self.unknown)
            })
            .collect();
        loop {
            let best = pieces
                .windows(2)
                .enumerate()
                .filter_map(|(i, pair)| {
                    let (rank, joined) = self.merges.get(&(pair[0], pair[1]))?;
                    Some((*rank, i, *joined))
                })
                .min();
            let Some((_, i, joined)) = best else { break };
            pieces[i] = joined;
            pieces.remove(i + 1);
        }
        ids.append(&mut pieces);
    }
}

enum Part<'a> {
    Text(&'a str),
    Special(u32),
}

/// The 256 printable stand-ins of GPT-2's byte-level encoding, by byte.
fn byte_characters() -> impl Iterator<Item = char> {
    let printable = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut next = 256;
    (0..256u32).map(move |byte| {
        let code = if printable(byte) {
            byte
        } else {
            next += 1;
            next - 1
        };
        char::from_u32(code).unwrap_or('\u{fffd}')
    })
}

fn read_vocabulary(path: &Path) -> Result<HashMap<String, u32>> {
    let text = std::fs::read(path).map_err(Error::io(path))?;
    serde_json::from_slice(&text)
        .map_err(|e| Error::file(path, format!("is not a table of pieces and their ids: {e}")))
}

/// The vocabulary of a `tokenizer.json`, and its merges as lines.
fn read_joined(path: &Path) -> Result<(HashMap<String, u32>, String)> {
    #[derive(serde::Deserialize)]
    struct File {
        model: Model,
    }
    #[derive(serde::Deserialize)]
    struct Model {
        vocab: HashMap<String, u32>,
        merges: Vec<Merge>,
    }
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Merge {
        Pair([String; 2]),
        Line(String),
    }
    let text = std::fs::read(path).map_err(Error::io(path))?;
    let file: File = serde_json::from_slice(&text)
        .map_err(|e| Error::file(path, format!("is not a tokenizer of byte pairs (BPE): {e}")))?;
    let lines = file.model.merges.into_iter().map(|merge| match merge {
        Merge::Pair(pieces) => pieces.join(" "),
        Merge::Line(line) => line,
    });
    Ok((file.model.vocab, lines.collect::<Vec<_>>().join("\n")))
}

/// CLIP's vocabulary: the bytes, the bytes at the end of a word, what `merges` join, start and end of text. Bytes that
/// print as themselves come first.
fn vocabulary_of(merges: &str) -> HashMap<String, u32> {
    let mut characters: Vec<char> = byte_characters().collect();
    characters.sort_unstable();
    let alone = characters.iter().map(char::to_string);
    let at_end = characters.iter().map(|c| format!("{c}{END_OF_WORD}"));
    let joined = merges
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.trim().is_empty())
        .map(|line| line.trim_end().replacen(' ', "", 1));
    let special = ["<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
    alone
        .chain(at_end)
        .chain(joined)
        .chain(special)
        .zip(0..)
        .collect()
}

/// `path`: where `text` is from, for errors.
fn read_merges(
    path: &Path,
    text: &str,
    vocabulary: &HashMap<String, u32>,
) -> Result<HashMap<(u32, u32), (usize, u32)>> {
    let mut merges = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || (number == 0 && line.starts_with("#version")) {
            continue;
        }
        let Some((first, second)) = line.trim_end().split_once(' ') else {
            return Err(Error::file(
                path,
                format!("line {}: expected two pieces, found `{line}`", number + 1),
            ));
        };
        let id = |piece: &str| {
            vocabulary.get(piece).copied().ok_or_else(|| {
                Error::file(
                    path,
                    format!("line {}: `{piece}` is not in the vocabulary", number + 1),
                )
            })
        };
        let pair = (id(first)?, id(second)?);
        let joined = id(&format!("{first}{second}"))?;
        let rank = merges.len();
        merges.entry(pair).or_insert((rank, joined));
    }
    Ok(merges)
}

/// The files that name special tokens, each optional.
struct SpecialTokenFiles {
    folder: PathBuf,
    /// In the order in which they are asked.
    configs: Vec<Config>,
    added: Option<Config>,
}

impl SpecialTokenFiles {
    fn read(folder: &Path) -> Result<Self> {
        let optional = |name: &str| {
            let path = folder.join(name);
            path.is_file().then(|| Config::read(&path)).transpose()
        };
        let names = ["special_tokens_map.json", "tokenizer_config.json"];
        Ok(Self {
            folder: folder.to_owned(),
            configs: names
                .into_iter()
                .filter_map(|name| optional(name).transpose())
                .collect::<Result<_>>()?,
            added: optional("added_tokens.json")?,
        })
    }

    fn max_length(&self) -> Option<usize> {
        let value = self
            .configs
            .iter()
            .find_map(|c| c.get("model_max_length"))?;
        // Files without a limit hold 1e30.
        value.as_f64().map(|n| n as usize)
    }

    /// A token is a string or an object with `content`; strings are searched in the raw text, as Hugging Face does.
    fn find(
        &self,
        key: &str,
        default: &str,
        vocabulary: &HashMap<String, u32>,
    ) -> Result<SpecialToken> {
        let value = self.configs.iter().find_map(|c| c.get(key));
        let (content, normalized) = match value {
            None => (default, false),
            Some(Value::String(content)) => (content.as_str(), false),
            Some(object) => match object.get("content").and_then(Value::as_str) {
                Some(content) => {
                    let flag = object.get("normalized").and_then(Value::as_bool);
                    (content, flag.unwrap_or(false))
                }
                None => {
                    return Err(Error::file(
                        &self.folder,
                        format!("`{key}` = {object} names no token"),
                    ));
                }
            },
        };
        let added = |config: &Config| {
            config
                .get(content)
                .and_then(Value::as_u64)
                .map(|n| n as u32)
        };
        let id = vocabulary
            .get(content)
            .copied()
            .or_else(|| self.added.as_ref().and_then(added))
            .ok_or_else(|| {
                Error::file(
                    self.folder.join("vocab.json"),
                    format!("has no `{content}`, which the tokenizer's `{key}` asks for"),
                )
            })?;
        Ok(SpecialToken {
            content: content.to_owned(),
            id,
            normalized,
        })
    }
}
