//! A real server process, and clients that speak to it through the codec. Blocking, with a time-out on every read.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    missing_docs,
    reason = "tests, each of which uses a part of it"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidewire_codec::{Decoder, Flags, Frame, FrameType, Item, PREFACE, RawFrame, proto};

/// Longer than anything that should happen takes; a test that runs into it has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server process with a data folder of its own.
pub struct Server {
    child: Child,
    pub data: PathBuf,
    pub tcp: SocketAddr,
    pub ws: SocketAddr,
    pub tls: SocketAddr,
    pub ca: PathBuf,
    admin: SocketAddr,
    key: String,
    users: toml::Table,
}

/// A folder for the data of a server.
pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn command(data: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire-server"));
    command.args(["--dev", "--data"]).arg(data);
    if !flags.contains(&"--log") {
        command.args(["--log", "warn"]);
    }
    for listener in ["--listen", "--ws-listen", "--tls-listen", "--admin-listen"] {
        if !flags.contains(&listener) {
            command.args([listener, "127.0.0.1:0"]);
        }
    }
    command
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Starts a server that is not to come up, and returns what it says.
pub fn refused(data: &Path, flags: &[&str]) -> (ExitStatus, String) {
    let output = command(data, flags).output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

impl Server {
    /// Starts one and waits until it is ready.
    pub fn start(data: &Path, flags: &[&str]) -> Server {
        let child = command(data, flags)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Server::ready(data, child)
    }

    /// As [`Server::start`]; the log comes from the thread once the server has ended.
    pub fn start_logging(data: &Path, flags: &[&str]) -> (Server, JoinHandle<String>) {
        let mut child = command(data, flags).spawn().unwrap();
        let mut err = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            err.read_to_string(&mut log).unwrap();
            log
        });
        (Server::ready(data, child), log)
    }

    fn ready(data: &Path, mut child: Child) -> Server {
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("for programs") {
            line.clear();
            assert_ne!(
                out.read_line(&mut line).unwrap(),
                0,
                "the server did not start"
            );
        }
        // What else it says must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        let text = std::fs::read_to_string(data.join("users.toml")).unwrap();
        let file: toml::Table = text.parse().unwrap();
        let address = |name: &str| file["server"][name].as_str().unwrap().parse().unwrap();
        let url = file["admin"]["url"].as_str().unwrap();
        Server {
            child,
            data: data.to_owned(),
            tcp: address("tcp"),
            ws: address("ws"),
            tls: address("tls"),
            ca: file["server"]["ca"].as_str().unwrap().into(),
            admin: url.strip_prefix("http://").unwrap().parse().unwrap(),
            key: file["admin"]["key"].as_str().unwrap().into(),
            users: file,
        }
    }

    /// The token of a demo user.
    pub fn token(&self, user: &str) -> String {
        let users = self.users["user"].as_array().unwrap();
        let found = users
            .iter()
            .find(|entry| entry["id"].as_str() == Some(user))
            .unwrap();
        found["token"].as_str().unwrap().into()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// An operator's call: status and JSON.
    pub fn admin(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.http(method, path, &body.to_string(), Some(&self.key))
    }

    pub fn http(&self, method: &str, path: &str, body: &str, key: Option<&str>) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let authorization = key.map_or_else(String::new, |key| {
            format!("Authorization: Bearer {key}\r\n")
        });
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// A new token.
    pub fn new_token(&self, user: &str) -> String {
        let (status, answer) = self.admin("POST", &format!("/v1/users/{user}/tokens"), json!({}));
        assert_eq!(status, 201, "{answer}");
        answer["token"].as_str().unwrap().into()
    }

    /// A client on plain TCP, logged in and in step.
    pub fn client(&self, user: &str) -> Client<TcpStream> {
        let mut client = self.connect();
        client.login(&self.token(user), user);
        client.expect(FrameType::SYNCED);
        client
    }

    /// A client on plain TCP, logged in; what it missed comes next.
    pub fn client_with_backlog(&self, user: &str) -> Client<TcpStream> {
        let mut client = self.connect();
        client.login(&self.token(user), user);
        client
    }

    /// A client on plain TCP that has sent nothing but the preface.
    pub fn connect(&self) -> Client<TcpStream> {
        let stream = TcpStream::connect(self.tcp).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client::new(stream, true)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client on any byte stream.
pub struct Client<S> {
    pub stream: S,
    decoder: Decoder,
    buf: BytesMut,
    last_ref: u32,
}

impl<S: Read + Write> Client<S> {
    pub fn new(mut stream: S, preface: bool) -> Client<S> {
        if preface {
            stream.write_all(&PREFACE).unwrap();
        }
        let mut decoder = Decoder::new(preface);
        decoder.set_max_frame(1 << 20);
        Client {
            stream,
            decoder,
            buf: BytesMut::new(),
            last_ref: 0,
        }
    }

    /// A client that has sent nothing at all.
    pub fn raw(stream: S) -> Client<S> {
        let mut decoder = Decoder::new(true);
        decoder.set_max_frame(1 << 20);
        Client {
            stream,
            decoder,
            buf: BytesMut::new(),
            last_ref: 0,
        }
    }

    /// Logs in with a device named after the user.
    pub fn login(&mut self, token: &str, device: &str) -> proto::LoginOk {
        self.send_login(token, device, None);
        match self.recv().decode().unwrap() {
            Frame::LoginOk(ok) => ok,
            other => panic!("{other:?}"),
        }
    }

    pub fn send_login(&mut self, token: &str, device: &str, resume: Option<proto::Resume>) {
        let mut device_id = [b'.'; 16];
        device_id[..device.len()].copy_from_slice(device.as_bytes());
        self.request(proto::Login {
            version_min: 1,
            version_max: 1,
            features: (1..=64).collect(),
            token: Bytes::copy_from_slice(token.as_bytes()),
            device_id: Bytes::copy_from_slice(&device_id),
            event_limit: u64::MAX,
            resume,
            ..proto::Login::default()
        });
    }

    /// Sends a request; its ref is returned.
    pub fn request(&mut self, body: impl Into<Frame>) -> u32 {
        self.last_ref += 1;
        self.write(&body.into().to_raw(Flags::NONE, self.last_ref));
        self.last_ref
    }

    pub fn event(&mut self, body: impl Into<Frame>) {
        self.write(&body.into().to_event());
    }

    pub fn write(&mut self, frame: &RawFrame) {
        self.stream.write_all(&frame.to_bytes().unwrap()).unwrap();
    }

    /// The next frame; grease and notices are skipped.
    #[track_caller]
    pub fn recv(&mut self) -> RawFrame {
        self.try_recv().expect("the server closed the connection")
    }

    /// The next frame, or `None` where the connection ends.
    #[track_caller]
    pub fn try_recv(&mut self) -> Option<RawFrame> {
        loop {
            match self.decoder.poll(&mut self.buf) {
                Some(Item::Frame(frame)) if frame.frame_type == FrameType::NOTICE => {}
                Some(Item::Frame(frame)) if frame.frame_type.info().is_none() => {}
                Some(Item::Frame(frame)) => return Some(frame),
                Some(Item::Preface) => {}
                Some(Item::Violation(violation)) => panic!("{violation}"),
                None => {
                    let mut bytes = [0; 16 << 10];
                    match self.stream.read(&mut bytes) {
                        Ok(0) => return None,
                        Ok(len) => self.buf.extend_from_slice(&bytes[..len]),
                        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                            return None;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }

    /// The next frame is of this type.
    #[track_caller]
    pub fn expect(&mut self, frame_type: FrameType) -> Frame {
        let frame = self.recv();
        let decoded = frame.decode().unwrap();
        assert_eq!(frame.frame_type, frame_type, "{decoded:?}");
        decoded
    }

    /// GOAWAY with this code, and then the end.
    #[track_caller]
    pub fn expect_goaway(&mut self, code: tidewire_codec::Code) -> proto::Goaway {
        let Frame::Goaway(goaway) = self.expect(FrameType::GOAWAY) else {
            panic!()
        };
        assert_eq!(goaway.code, u32::from(code.0), "{goaway:?}");
        assert!(self.try_recv().is_none());
        goaway
    }

    /// A MESSAGE with this content.
    #[track_caller]
    pub fn expect_message(&mut self, content: &str) -> proto::Message {
        let Frame::Message(message) = self.expect(FrameType::MESSAGE) else {
            panic!()
        };
        assert_eq!(message.content, content);
        message
    }

    /// Nothing else was sent: a PING is answered next.
    #[track_caller]
    pub fn fence(&mut self) {
        self.request(proto::Ping::default());
        self.expect(FrameType::PONG);
    }

    /// Sends a message and returns its acknowledgement.
    #[track_caller]
    pub fn send(&mut self, to: &str, key: u64, content: &str) -> proto::SendAck {
        self.request(message(to, key, content));
        let Frame::SendAck(ack) = self.expect(FrameType::SEND_ACK) else {
            panic!()
        };
        ack
    }

    pub fn ack(&mut self, pos: u64) {
        self.event(proto::Ack { pos });
    }
}

/// A SEND.
pub fn message(to: &str, key: u64, content: &str) -> proto::Send {
    let mut idem = [7; 16];
    idem[..8].copy_from_slice(&key.to_be_bytes());
    proto::Send {
        target: Some(proto::send::Target::ToUser(to.into())),
        idem: Bytes::copy_from_slice(&idem),
        delivery: proto::Delivery::Store.into(),
        content: Bytes::copy_from_slice(content.as_bytes()),
        ..proto::Send::default()
    }
}
