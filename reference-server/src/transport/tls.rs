//! TLS 1.3 over TCP, and nothing older.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use anyhow::{Context as _, anyhow};
use bytes::BytesMut;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::server::TlsStream;
use tokio_util::io::poll_read_buf;

use super::{Fill, Link};
use crate::conn::Chunks;

/// The protocol's name in ALPN.
const ALPN: &[u8] = b"tidewire/1";

/// The certificate that a server shows.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// PEM: the certificate, then what signed it.
    pub(crate) cert: PathBuf,
    /// PEM: the key.
    pub(crate) key: PathBuf,
}

impl Identity {
    /// A certificate for this machine and the CA that signed it, kept in `folder` once they are made. For development:
    /// the CA's own key is thrown away, so it signs nothing else. Returns the path of the CA as well.
    pub(crate) fn for_development(folder: &Path) -> anyhow::Result<(Identity, PathBuf)> {
        let identity = Identity {
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        };
        let ca = folder.join("ca.pem");
        if !(identity.cert.exists() && identity.key.exists() && ca.exists()) {
            std::fs::create_dir_all(folder)?;
            let made = certificates().context("cannot make a certificate")?;
            crate::files::write_secret(&identity.key, &made.key)?;
            crate::files::write_public(&identity.cert, &made.cert)?;
            crate::files::write_public(&ca, &made.ca)?;
        }
        Ok((identity, ca))
    }
}

struct Made {
    ca: String,
    cert: String,
    key: String,
}

fn certificates() -> Result<Made, rcgen::Error> {
    let mut ca_params = CertificateParams::default();
    ca_params
        .distinguished_name
        .push(DnType::CommonName, "Tidewire development CA");
    ca_params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca_params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let ca_key = KeyPair::generate()?;
    let ca = ca_params.self_signed(&ca_key)?;
    let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
    let key = KeyPair::generate()?;
    let cert = CertificateParams::new(names)?.signed_by(&key, &Issuer::new(ca_params, ca_key))?;
    Ok(Made {
        ca: ca.pem(),
        cert: cert.pem(),
        key: key.serialize_pem(),
    })
}

//= spec/04-security.md#security
//# [SEC-001] Outside of loopback the server MUST offer TLS 1.3 and no older version.
/// Accepts TLS 1.3 with this certificate.
pub(crate) fn acceptor(identity: &Identity) -> anyhow::Result<TlsAcceptor> {
    let read = || identity.cert.display().to_string();
    let chain = CertificateDer::pem_file_iter(&identity.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| anyhow!("{error}"))
        .with_context(read)?;
    let key = PrivateKeyDer::from_pem_file(&identity.key)
        .map_err(|error| anyhow!("{error}"))
        .with_context(|| identity.key.display().to_string())?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(read)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A TLS connection.
pub(super) struct TlsLink {
    stream: TlsStream<TcpStream>,
    /// Something may lie in the buffers of TLS.
    unflushed: bool,
}

impl TlsLink {
    pub(super) fn new(stream: TlsStream<TcpStream>) -> TlsLink {
        TlsLink {
            stream,
            unflushed: false,
        }
    }
}

impl Link for TlsLink {
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut BytesMut, room: usize) -> Poll<Fill> {
        buf.reserve(room);
        match ready!(poll_read_buf(Pin::new(&mut self.stream), cx, buf)) {
            Ok(0) | Err(_) => Poll::Ready(Fill::End),
            Ok(_) => Poll::Ready(Fill::More),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, chunks: &mut Chunks) -> Poll<io::Result<()>> {
        while let Some(front) = chunks.front() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, front))?;
            self.unflushed = true;
            chunks.consume(written);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.stream).poll_shutdown(cx).map(|_| ())
    }
}
