//! TLS and WebSocket.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use common::{Client, PATIENCE, Server, folder};
use tidewire_codec::{Code, FrameType, proto};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocket;
use tokio_tungstenite::tungstenite::{Error, Message, client};

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn tls(server: &Server) -> Tls {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&server.ca).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"tidewire/1".to_vec()];
    let stream = TcpStream::connect(server.tls).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = StreamOwned::new(
        ClientConnection::new(Arc::new(config), name).unwrap(),
        stream,
    );
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock).unwrap();
    }
    tls
}

#[test]
fn a_session_over_tls() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let stream = tls(&server);
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"tidewire/1"[..]));
    let mut alice = Client::new(stream, true);
    alice.login(&server.token("alice"), "alice");
    alice.expect(FrameType::SYNCED);
    let mut bob = server.client("bob");
    let large = "x".repeat(60_000);
    alice.send("bob", 1, &large);
    bob.expect_message(&large);
    bob.send("alice", 1, &large);
    alice.expect_message(&large);
    alice.request(proto::Logout::default());
    alice.expect(FrameType::OK);
    alice.expect_goaway(Code::LOGGED_OUT);
}

#[test]
fn no_older_tls() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    // The first words of a client that knows TLS 1.2 and nothing newer: no supported_versions among its extensions.
    let mut hello = vec![0x03, 0x03];
    hello.extend_from_slice(&[0x5A; 32]);
    hello.extend_from_slice(&[0, 0, 4, 0xC0, 0x2B, 0xC0, 0x2F, 1, 0]);
    let extensions: &[u8] = &[0, 10, 0, 4, 0, 2, 0, 29, 0, 13, 0, 6, 0, 4, 4, 3, 8, 4];
    hello.extend_from_slice(&[0, u8::try_from(extensions.len()).unwrap()]);
    hello.extend_from_slice(extensions);
    let len = u8::try_from(hello.len()).unwrap();
    let mut record = vec![0x16, 0x03, 0x01, 0, len + 4, 1, 0, 0, len];
    record.append(&mut hello);

    let mut stream = TcpStream::connect(server.tls).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&record).unwrap();
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).unwrap();
    //= spec/04-security.md#security
    //= type=test
    //# [SEC-001] Outside of loopback the server MUST offer TLS 1.3 and no older version.
    // An alert, fatal, protocol_version.
    assert_eq!([answer[0], answer[5], answer[6]], [21, 2, 70]);
}

/// A WebSocket as a byte stream of binary messages.
struct Ws(WebSocket<TcpStream>);

impl Read for Ws {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read() {
                Ok(Message::Binary(bytes)) => {
                    assert!(
                        bytes.len() <= buf.len(),
                        "messages of these tests are small"
                    );
                    buf[..bytes.len()].copy_from_slice(&bytes);
                    return Ok(bytes.len());
                }
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    return Ok(0);
                }
                Ok(_) => {}
                Err(Error::Io(error)) => return Err(error),
                Err(other) => return Err(io::Error::other(other)),
            }
        }
    }
}

impl Write for Ws {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0
            .send(Message::Binary(buf.to_vec().into()))
            .map_err(io::Error::other)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn ws(server: &Server, subprotocol: Option<&'static str>) -> Result<Client<Ws>, u16> {
    let stream = TcpStream::connect(server.ws).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!("ws://{}/", server.ws)
        .into_client_request()
        .unwrap();
    if let Some(name) = subprotocol {
        request
            .headers_mut()
            .insert("sec-websocket-protocol", HeaderValue::from_static(name));
    }
    match client(request, stream) {
        Ok((socket, _)) => Ok(Client::new(Ws(socket), false)),
        Err(tokio_tungstenite::tungstenite::HandshakeError::Failure(Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_session_over_websocket() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let mut alice = ws(&server, Some("chat, tidewire.v1")).ok().unwrap();
    alice.login(&server.token("alice"), "alice");
    alice.expect(FrameType::SYNCED);
    let mut bob = server.client("bob");
    alice.send("bob", 1, "over the web");
    bob.expect_message("over the web");
    bob.send("alice", 1, "and back");
    alice.expect_message("and back");

    //= spec/01-framing.md#transports
    //= type=test
    //# [FRM-005] The server MUST accept one or more whole frames in one binary WebSocket message.
    let mut several = Vec::new();
    for data in [&b"1"[..], b"2", b"3"] {
        let ping = proto::Ping {
            data: data.into(),
            ..proto::Ping::default()
        };
        let frame = tidewire_codec::Frame::from(ping).to_raw(tidewire_codec::Flags::NONE, 9);
        several.extend_from_slice(&frame.to_bytes().unwrap());
    }
    alice.stream.write_all(&several).unwrap();
    for _ in 0..3 {
        alice.expect(FrameType::PONG);
    }
}

#[test]
fn the_subprotocol_has_to_be_offered() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    //= spec/01-framing.md#transports
    //= type=test
    //# [FRM-004] On WebSocket the server MUST select the subprotocol tidewire.v1 and refuse the upgrade with an HTTP
    //# error if the client does not offer it.
    assert_eq!(ws(&server, None).err(), Some(400));
    assert_eq!(ws(&server, Some("chat")).err(), Some(400));
}

#[test]
fn a_message_that_ends_inside_a_frame_ends_the_connection() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    //= spec/01-framing.md#transports
    //= type=test
    //# [FRM-006] When a WebSocket message is a text message or does not end at the end of a frame, the server MUST send
    //# GOAWAY PROTOCOL_VIOLATION and close.
    for cut in [3, 11] {
        let mut client = ws(&server, Some("tidewire.v1")).ok().unwrap();
        client
            .stream
            .write_all(&[0, 0, 5, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0][..cut])
            .unwrap();
        client.expect_goaway(Code::PROTOCOL_VIOLATION);
    }
    let mut client = ws(&server, Some("tidewire.v1")).ok().unwrap();
    client.stream.0.send(Message::text("hello")).unwrap();
    client.expect_goaway(Code::PROTOCOL_VIOLATION);
}
