//! ZIP archives, entry by entry, with whatever is wrong with them.

use flate2::{Compression, Crc, write::DeflateEncoder};
use std::io::Write;
use std::path::Path;

/// A file of an archive and how it is put there.
pub struct Packed {
    pub name: String,
    pub method: u16,
    pub flags: u16,
    pub crc: u32,
    pub len: u32,
    pub bytes: Vec<u8>,
}

impl Packed {
    pub fn new(name: &str, content: &[u8], deflate: bool) -> Self {
        let mut crc = Crc::new();
        crc.update(content);
        let bytes = if deflate {
            let mut out = DeflateEncoder::new(Vec::new(), Compression::fast());
            out.write_all(content).unwrap();
            out.finish().unwrap()
        } else {
            content.to_vec()
        };
        Self {
            name: name.to_owned(),
            method: if deflate { 8 } else { 0 },
            flags: 0,
            crc: crc.sum(),
            len: content.len() as u32,
            bytes,
        }
    }
}

pub fn archive(files: &[Packed]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for file in files {
        let local = out.len() as u32;
        let mut common = Vec::new();
        for v in [20, file.flags, file.method, 0, 0] {
            common.extend(v.to_le_bytes());
        }
        let name_len = file.name.len() as u32;
        for v in [file.crc, file.bytes.len() as u32, file.len, name_len] {
            common.extend(v.to_le_bytes());
        }
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(file.name.bytes());
        out.extend(&file.bytes);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(local.to_le_bytes());
        directory.extend(file.name.bytes());
    }
    let start = out.len() as u32;
    let len = directory.len() as u32;
    out.append(&mut directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        out.extend((files.len() as u16).to_le_bytes());
    }
    out.extend(len.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    out
}

/// Everything in `folder`, under `prefix`; text files deflated.
pub fn pack(folder: &Path, prefix: &str, into: &mut Vec<Packed>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            pack(&path, &format!("{name}/"), into);
        } else {
            let is_photo = name.ends_with("png") || name.ends_with("jpg");
            into.push(Packed::new(
                &name,
                &std::fs::read(&path).unwrap(),
                !is_photo,
            ));
        }
    }
}
