//! `wss://`: TLS to the proxy before a remote editor. Trusted are the public authorities, and those of a file where a
//! studio has an authority of its own.

use super::socket::Wire;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{net::TcpStream, path::Path, sync::Arc};

/// TLS over `tcp`, to a peer that proves to be `host`. The error says why not.
pub(super) fn secure(
    host: &str,
    tcp: TcpStream,
    authorities: Option<&Path>,
) -> Result<Box<dyn Wire>, String> {
    let mut roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = authorities {
        add(&mut roots, path).map_err(|e| format!("SSL_CERT_FILE, {}: {e}", path.display()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|e| e.to_string())?;
    let client =
        rustls::ClientConnection::new(Arc::new(config), name).map_err(|e| e.to_string())?;
    Ok(Box::new(rustls::StreamOwned::new(client, tcp)))
}

/// The certificates of a PEM file, all of which must be usable.
fn add(roots: &mut rustls::RootCertStore, path: &Path) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|e| e.to_string())?;
    let mut count = 0;
    for certificate in certificates {
        let certificate = certificate.map_err(|e| e.to_string())?;
        roots.add(certificate).map_err(|e| e.to_string())?;
        count += 1;
    }
    match count {
        0 => Err("holds no certificate".into()),
        _ => Ok(()),
    }
}
