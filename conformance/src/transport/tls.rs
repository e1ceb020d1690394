//! TLS 1.3 over TCP, with the certificates that the testee's file names.

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring, version::TLS13};

use super::OpenError;

/// The certificates that are trusted, ready for use.
#[derive(Clone)]
pub(crate) struct TlsTrust(Arc<ClientConfig>);

impl TlsTrust {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub(crate) fn read(ca: &Path) -> Result<TlsTrust, String> {
        let fail = |error: String| format!("{}: {error}", ca.display());
        let mut roots = RootCertStore::empty();
        for certificate in
            CertificateDer::pem_file_iter(ca).map_err(|error| fail(error.to_string()))?
        {
            let certificate = certificate.map_err(|error| fail(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| fail(error.to_string()))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| fail(error.to_string()))?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"tidewire/1".to_vec()];
        Ok(TlsTrust(Arc::new(config)))
    }
}

pub(super) async fn connect(
    socket: TcpStream,
    name: &str,
    trust: &TlsTrust,
) -> Result<TlsStream<TcpStream>, OpenError> {
    let fail = |error: String| OpenError::Unreachable(format!("TLS: {error}"));
    let name = ServerName::try_from(name.to_owned()).map_err(|error| fail(error.to_string()))?;
    let stream = TlsConnector::from(Arc::clone(&trust.0))
        .connect(name, socket)
        .await;
    let stream = stream.map_err(|error| fail(error.to_string()))?;
    if stream.get_ref().1.alpn_protocol() != Some(b"tidewire/1") {
        return Err(fail(
            "the server did not select the protocol tidewire/1".to_owned(),
        ));
    }
    Ok(stream)
}
