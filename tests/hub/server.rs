//! A Hub on the loopback: its routes, redirects and headers, and its bad days.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const ID: &str = "someone/tiny-pix2pix";
pub const COMMIT: &str = "31519b5cb02a7fd89b906d88731cd4d6a7bbf88d";

/// What goes wrong.
#[derive(Clone, Default)]
pub struct Faults {
    /// The connection drops after so many bytes of a large file, so many times.
    pub cuts: u32,
    pub cut_after: usize,
    /// One byte of this file is another on its way.
    pub corrupt: Option<String>,
    pub ignores_ranges: bool,
    /// Before every 64 KiB of a large file.
    pub delay: Duration,
    pub needs_token: bool,
    /// Status of every request.
    pub status: Option<u16>,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub range: Option<usize>,
    pub token: Option<String>,
    pub host: String,
}

struct Shared {
    files: BTreeMap<String, Vec<u8>>,
    faults: Mutex<Faults>,
    requests: Mutex<Vec<Request>>,
    port: u16,
}

pub struct Server {
    shared: Arc<Shared>,
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

pub fn git_sha1(bytes: &[u8]) -> String {
    let whole = [format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat();
    hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &whole).as_ref())
}

/// The Hub keeps large files beside the repository.
pub fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors")
}

pub fn etag(name: &str, content: &[u8]) -> String {
    if is_large(name) {
        sha256(content)
    } else {
        git_sha1(content)
    }
}

impl Server {
    /// Serves the files below `folder`, and some that no edit needs.
    pub fn start(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        gather(folder, "", &mut files);
        for name in [
            "README.md",
            "safety_checker/model.safetensors",
            "instruct-pix2pix-00-22000.ckpt",
            "unet/diffusion_pytorch_model.bin",
        ] {
            files.insert(name.to_owned(), vec![7; 1000]);
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let shared = Arc::new(Shared {
            files,
            faults: Mutex::default(),
            requests: Mutex::default(),
            port: listener.local_addr().expect("an address").port(),
        });
        let ours = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                // A client that goes away ends its connection, nothing else.
                std::thread::spawn(move || serve(&shared, stream).unwrap_or_default());
            }
        });
        Self { shared: ours }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.shared.port)
    }

    pub fn fail(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap() = faults;
    }

    pub fn content(&self, name: &str) -> &[u8] {
        &self.shared.files[name]
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub fn forget_requests(&self) {
        self.shared.requests.lock().unwrap().clear();
    }
}

fn gather(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            gather(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, std::fs::read(entry.path()).expect("a file"));
        }
    }
}

fn serve(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut request = Request {
            path,
            range: None,
            token: None,
            host: String::new(),
        };
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim().split_once(':') else {
                break;
            };
            let value = value.trim();
            match name.to_lowercase().as_str() {
                "range" => {
                    let from = value.trim_start_matches("bytes=").trim_end_matches('-');
                    request.range = from.parse().ok();
                }
                "authorization" => request.token = Some(value.to_owned()),
                "host" => value.clone_into(&mut request.host),
                _ => {}
            }
        }
        shared.requests.lock().unwrap().push(request.clone());
        if !answer(shared, &request, &mut out)? {
            return Ok(());
        }
    }
}

/// False: the connection is to be dropped.
fn answer(shared: &Shared, request: &Request, out: &mut TcpStream) -> std::io::Result<bool> {
    let faults = shared.faults.lock().unwrap().clone();
    let path = request.path.as_str();
    if let Some(status) = faults.status {
        return plain(out, status, "", b"{}");
    }
    let is_ours = path.starts_with("/api/") || path.contains("/resolve/");
    if is_ours && faults.needs_token && request.token.as_deref() != Some("Bearer hf_secret") {
        return plain(
            out,
            401,
            "",
            b"{\"error\":\"Invalid username or password.\"}",
        );
    }
    if path == format!("/api/models/{ID}/revision/main?blobs=true") {
        return plain(out, 200, "", description(shared).as_bytes());
    }
    if let Some(name) = path.strip_prefix(&format!("/{ID}/resolve/{COMMIT}/"))
        && let Some(content) = shared.files.get(name)
    {
        if is_large(name) {
            // Another host, as the Hub's large files have.
            let location = format!("Location: http://localhost:{}/lfs/{name}\r\n", shared.port);
            return plain(out, 302, &location, b"");
        }
        return send(shared, &faults, name, content, request.range, out);
    }
    if let Some(name) = path.strip_prefix("/lfs/")
        && let Some(content) = shared.files.get(name)
    {
        return send(shared, &faults, name, content, request.range, out);
    }
    plain(out, 404, "", b"{\"error\":\"Repository not found\"}")
}

fn description(shared: &Shared) -> String {
    let siblings: Vec<serde_json::Value> = shared
        .files
        .iter()
        .map(|(name, content)| {
            let mut file = serde_json::json!({
                "rfilename": name,
                "size": content.len(),
                "blobId": git_sha1(content),
            });
            if is_large(name) {
                file["blobId"] = git_sha1(b"version https://git-lfs.github.com/spec/v1").into();
                file["lfs"] = serde_json::json!({
                    "sha256": sha256(content),
                    "size": content.len(),
                    "pointerSize": 134,
                });
            }
            file
        })
        .collect();
    serde_json::json!({
        "id": ID,
        "sha": COMMIT,
        "private": false,
        "gated": false,
        "tags": ["diffusers", "license:mit"],
        "cardData": { "license": "mit", "tags": ["image-to-image"] },
        "siblings": siblings,
    })
    .to_string()
}

fn plain(out: &mut TcpStream, status: u16, headers: &str, body: &[u8]) -> std::io::Result<bool> {
    write!(
        out,
        "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )?;
    out.write_all(body)?;
    Ok(true)
}

fn send(
    shared: &Shared,
    faults: &Faults,
    name: &str,
    content: &[u8],
    range: Option<usize>,
    out: &mut TcpStream,
) -> std::io::Result<bool> {
    let from = range.filter(|_| !faults.ignores_ranges).unwrap_or(0);
    let mut body = content[from..].to_vec();
    if faults.corrupt.as_deref() == Some(name) {
        let last = body.len() - 1;
        body[last] ^= 1;
    }
    let head = match from {
        0 => "HTTP/1.1 200 OK\r\n".to_owned(),
        _ => format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{}\r\n",
            content.len() - 1,
            content.len()
        ),
    };
    write!(
        out,
        "{head}ETag: \"{}\"\r\nContent-Length: {}\r\n\r\n",
        etag(name, content),
        body.len()
    )?;
    if is_large(name) && faults.cuts > 0 && body.len() > faults.cut_after {
        shared.faults.lock().unwrap().cuts -= 1;
        out.write_all(&body[..faults.cut_after])?;
        return Ok(false);
    }
    for piece in body.chunks(1 << 16) {
        if is_large(name) {
            std::thread::sleep(faults.delay);
        }
        out.write_all(piece)?;
    }
    Ok(true)
}
