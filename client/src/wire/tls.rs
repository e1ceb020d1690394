//! TLS 1.3, with the certificates that the app names or else those that browsers trust.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring, version::TLS13};

use crate::error::BuildError;
use crate::url::Scheme;

/// What ALPN calls version 1.
const ALPN: &[u8] = b"tidewire/1";

/// Whom a client believes to be its server.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    roots: Arc<RootCertStore>,
    /// The name in the certificate, where it is not the host of the address.
    name: Option<String>,
}

impl Trust {
    /// The roots of a PEM file, or else Mozilla's.
    pub(crate) fn new(ca: Option<&Path>, name: Option<String>) -> Result<Trust, BuildError> {
        let mut roots = RootCertStore::empty();
        match ca {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(path) => {
                let fail = |error: String| {
                    BuildError::Certificates(format!("{}: {error}", path.display()))
                };
                for certificate in
                    CertificateDer::pem_file_iter(path).map_err(|error| fail(error.to_string()))?
                {
                    let certificate = certificate.map_err(|error| fail(error.to_string()))?;
                    roots
                        .add(certificate)
                        .map_err(|error| fail(error.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(fail("no certificate in it".to_owned()));
                }
            }
        }
        Ok(Trust {
            roots: Arc::new(roots),
            name,
        })
    }

    pub(crate) async fn connect(
        &self,
        socket: TcpStream,
        host: &str,
        scheme: Scheme,
    ) -> io::Result<TlsStream<TcpStream>> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(io::Error::other)?;
        let mut config = config
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        // Inside of WebSocket the subprotocol says what is spoken.
        if !scheme.is_websocket() {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        let name = self.name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, socket)
            .await?;
        if !scheme.is_websocket() && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(io::Error::other(
                "the server did not select the protocol tidewire/1",
            ));
        }
        Ok(stream)
    }
}
