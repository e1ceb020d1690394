//! A reference server in a process of its own, its operator's door, and a wire that can be cut.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidewire_client::{Builder, Client, Entry, Event, Events, FileStore, Received};
use tokio::net::{TcpListener, TcpStream as Socket};
use tokio::sync::watch;
use tokio::time::timeout;

/// Longer than anything that should happen takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Where the child that is the server finds its arguments.
const ARGUMENTS: &str = "TIDEWIRE_TEST_SERVER";

/// The program of the tests, started once more, is the server.
#[test]
#[ignore = "this is the server that the other tests start"]
fn the_server() {
    if let Ok(arguments) = std::env::var(ARGUMENTS) {
        let _ = tidewire_server::cli::main_from(arguments.split('\n'));
    }
}

pub(crate) struct Server {
    child: Child,
    pub(crate) folder: TempDir,
    file: toml::Table,
}

impl Server {
    /// With demo users, on ports of its own.
    pub(crate) fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("server");
        let mut arguments = vec![
            "tidewire-server",
            "--dev",
            "--testing",
            "--log",
            "warn",
            "--data",
        ];
        arguments.push(data.to_str().unwrap());
        for listener in ["--listen", "--ws-listen", "--tls-listen", "--admin-listen"] {
            arguments.extend([listener, "127.0.0.1:0"]);
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "server::the_server", "--nocapture"])
            .env(ARGUMENTS, arguments.join("\n"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
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
        let file = std::fs::read_to_string(data.join("users.toml"))
            .unwrap()
            .parse()
            .unwrap();
        Server {
            child,
            folder,
            file,
        }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        let address = self.file["server"][scheme].as_str().unwrap();
        format!("{scheme}://{address}")
    }

    pub(crate) fn users_file(&self) -> PathBuf {
        self.folder.path().join("server/users.toml")
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.file["server"]["ca"].as_str().unwrap().into()
    }

    pub(crate) fn token(&self, user: &str) -> String {
        let users = self.file["user"].as_array().unwrap();
        let found = users
            .iter()
            .find(|entry| entry["id"].as_str() == Some(user))
            .unwrap();
        found["token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn store(&self, name: &str) -> FileStore {
        FileStore::open(self.folder.path().join(name)).unwrap()
    }

    /// A client over TCP with a store of this name.
    pub(crate) fn client(&self, user: &str) -> Builder {
        self.client_at(&self.url("tcp"), user)
    }

    pub(crate) fn client_at(&self, url: &str, user: &str) -> Builder {
        Client::builder(url)
            .token(self.token(user))
            .store(self.store(user))
    }

    /// The process is killed and started no more by itself; this one restarts its engine, which cuts everybody.
    pub(crate) fn restart(&self) {
        assert_eq!(
            self.admin("POST", "/v1/testing/restart", &json!({ "mode": "crash" }))
                .0,
            200
        );
    }

    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = self.file["admin"]["url"].as_str().unwrap();
        let key = self.file["admin"]["key"].as_str().unwrap();
        let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let body = body.to_string();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// A fresh token of a user.
    pub(crate) fn new_token(&self, user: &str, body: &Value) -> String {
        let (status, answer) = self.admin("POST", &format!("/v1/users/{user}/tokens"), body);
        assert_eq!(status, 201, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A relay before the server, whose connections can be cut and refused.
pub(crate) struct Wire {
    pub(crate) url: String,
    /// Connections of another number are cut; none is taken while it is odd.
    era: Arc<watch::Sender<u64>>,
}

impl Wire {
    pub(crate) async fn to(server: &Server) -> Wire {
        let target: SocketAddr = server
            .url("tcp")
            .strip_prefix("tcp://")
            .unwrap()
            .parse()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        let era = Arc::new(watch::Sender::new(0_u64));
        let eras = Arc::clone(&era);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut era = eras.subscribe();
                let mine = *era.borrow();
                if mine % 2 == 1 {
                    continue;
                }
                tokio::spawn(async move {
                    let mut far = Socket::connect(target).await?;
                    tokio::select! {
                        done = tokio::io::copy_bidirectional(&mut near, &mut far) => done.map(drop),
                        _ = era.wait_for(|era| *era != mine) => Ok(()),
                    }
                });
            }
        });
        Wire { url, era }
    }

    /// Cuts every connection; new ones are taken.
    pub(crate) fn cut(&self) {
        self.era.send_modify(|era| *era += 2);
    }

    /// Cuts every connection and takes none.
    pub(crate) fn down(&self) {
        self.era.send_modify(|era| *era += 1);
    }

    pub(crate) fn up(&self) {
        self.era.send_modify(|era| *era += 1);
    }
}

/// The next event for which `pick` has something.
pub(crate) async fn until<T>(events: &mut Events, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("the client goes on");
            if let Some(found) = pick(event) {
                return found;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("it came in time")
}

pub(crate) async fn message(events: &mut Events) -> Received {
    until(events, |event| match event {
        Event::Entry(Entry::Message(message)) => Some(message),
        _ => None,
    })
    .await
}

pub(crate) async fn synced(events: &mut Events) {
    until(events, |event| (event == Event::Synced).then_some(())).await;
}
