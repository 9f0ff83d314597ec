//! A cache and a hub of one's own.

use crate::server::{ID, Server, etag};
use luxedit::error::Cancel;
use luxedit::hub::{Hub, Offer, get, offer};
use luxedit::settings::Precision;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

pub const UNET: &str = "unet/diffusion_pytorch_model.fp16.safetensors";

pub const TEXT: &str = "text_encoder/model.fp16.safetensors";

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub struct Setup {
    pub server: Server,
    pub hub: Hub,
    pub home: TempDir,
}

impl Setup {
    pub fn new() -> Self {
        Self::at(TempDir::new().unwrap())
    }

    pub fn at(home: TempDir) -> Self {
        let server = Server::start(&root().join("tests/fixtures/ip2p_tiny"));
        let hub = Hub {
            endpoint: server.endpoint(),
            cache: home.path().join("hub"),
            token: None,
            offline: false,
        };
        Self { server, hub, home }
    }

    pub fn offer(&self) -> Offer {
        offer(&self.hub, ID, Precision::Half, &Cancel::default()).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn get(&self) -> luxedit::Result<PathBuf> {
        get(&self.hub, &self.offer(), &Cancel::default(), &mut |_| {})
    }

    pub fn repo(&self) -> PathBuf {
        self.hub
            .cache
            .join(format!("models--{}", ID.replace('/', "--")))
    }

    pub fn partial(&self, name: &str) -> PathBuf {
        let etag = etag(name, self.server.content(name));
        self.repo().join("blobs").join(format!("{etag}.incomplete"))
    }

    pub fn assert_whole(&self, folder: &Path) {
        for file in self.offer().files {
            let found = std::fs::read(folder.join(&file.name)).unwrap();
            assert!(
                found == self.server.content(&file.name),
                "{} differs",
                file.name
            );
        }
    }

    pub fn binary(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_luxedit"));
        command
            .args(args)
            .current_dir(root())
            .env("HF_HOME", self.home.path())
            .env("HF_ENDPOINT", self.server.endpoint())
            .env("XDG_CONFIG_HOME", self.home.path().join("config"));
        for name in [
            "HF_HUB_CACHE",
            "HF_TOKEN",
            "HF_HUB_OFFLINE",
            "HF_TOKEN_PATH",
        ] {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.binary(args).output().expect("the binary starts")
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "\"{word}\" is not in: {message}");
    }
}
