//! What carries the lines: the pipes of a process, a TCP connection, or a WebSocket.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::AdapterFault;
use super::file::How;

/// The longest line, in bytes, in both directions.
const MAX_LINE: usize = 16 << 20;
/// The lines of stderr that are kept, and the longest of them.
const TAIL_LINES: usize = 40;
const TAIL_LINE: usize = 2_000;
/// A browser asks for the upgrade at once; whoever says nothing in this time waits for our hello.
const UPGRADE_WAIT: Duration = Duration::from_millis(300);

/// The last lines that an adapter wrote to stderr.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    pub(super) fn lines(&self) -> Vec<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }

    fn push(&self, line: String) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == TAIL_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}

/// Where lines come from.
pub(super) enum Source {
    Lines(Box<dyn AsyncBufRead + Send + Unpin>),
    Ws(futures_util::stream::SplitStream<WebSocketStream<TcpStream>>),
}

/// Where lines go to.
pub(super) enum Sink {
    Lines(Box<dyn AsyncWrite + Send + Unpin>),
    Ws(futures_util::stream::SplitSink<WebSocketStream<TcpStream>, Message>),
}

/// An adapter that is there, before anything was said.
pub(super) struct Channel {
    pub(super) source: Source,
    pub(super) sink: Sink,
    pub(super) tail: Tail,
    pub(super) child: Option<Child>,
}

impl Channel {
    /// Starts the command, or waits for somebody to dial in. `announce` is told where to.
    pub(super) async fn open(
        how: &How,
        announce: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Channel, AdapterFault> {
        match &how.listen {
            Some(address) => dialled(address, announce).await,
            None => started(how),
        }
    }
}

fn started(how: &How) -> Result<Channel, AdapterFault> {
    let (program, arguments) = how
        .command
        .split_first()
        .ok_or_else(|| AdapterFault::new("an empty command"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(&how.cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| AdapterFault::new(format!("{program} does not start: {error}")))?;
    let tail = Tail::default();
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err(AdapterFault::new("the adapter has no pipes"));
    };
    let kept = tail.clone();
    tokio::spawn(async move {
        let mut stderr = BufReader::new(stderr);
        // The rest of a line that is too long counts as lines of its own: nothing of stderr is parsed.
        while let Ok(Some(line)) = line_of(&mut stderr, TAIL_LINE, true).await {
            kept.push(line);
        }
    });
    Ok(Channel {
        source: Source::Lines(Box::new(BufReader::new(stdout))),
        sink: Sink::Lines(Box::new(stdin)),
        tail,
        child: Some(child),
    })
}

async fn dialled(
    address: &str,
    announce: &(dyn Fn(String) + Send + Sync),
) -> Result<Channel, AdapterFault> {
    let fail = |error: std::io::Error| AdapterFault::new(format!("{address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let here = listener.local_addr().map_err(fail)?;
    announce(format!(
        "waiting for the adapter at {here}, with lines over TCP or at ws://{here}"
    ));
    let (socket, _) = listener.accept().await.map_err(fail)?;
    socket.set_nodelay(true).map_err(fail)?;
    let mut first = [0; 4];
    let peeked = timeout(UPGRADE_WAIT, socket.peek(&mut first)).await;
    let is_http = matches!(peeked, Ok(Ok(_))) && first.starts_with(b"GET");
    let (source, sink) = if is_http {
        let stream = tokio_tungstenite::accept_async(socket).await;
        let stream = stream
            .map_err(|error| AdapterFault::new(format!("the upgrade to WebSocket: {error}")))?;
        let (sink, source) = stream.split();
        (Source::Ws(source), Sink::Ws(sink))
    } else {
        let (reader, writer) = socket.into_split();
        (
            Source::Lines(Box::new(BufReader::new(reader))),
            Sink::Lines(Box::new(writer)),
        )
    };
    Ok(Channel {
        source,
        sink,
        tail: Tail::default(),
        child: None,
    })
}

impl Source {
    /// The next line; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<String>, AdapterFault> {
        match self {
            Source::Lines(reader) => line_of(reader.as_mut(), MAX_LINE, false).await,
            Source::Ws(stream) => loop {
                match stream.next().await {
                    Some(Ok(Message::Text(text))) if text.len() > MAX_LINE => {
                        return Err(AdapterFault::new("a message longer than 16 MiB"));
                    }
                    Some(Ok(Message::Text(text))) => return Ok(Some(text.as_str().to_owned())),
                    Some(Ok(Message::Binary(_))) => {
                        return Err(AdapterFault::new(
                            "a binary message, and lines go in text messages",
                        ));
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
                    // WebSocket's own pings are answered by the library.
                    Some(Ok(_)) => {}
                }
            },
        }
    }
}

impl Sink {
    pub(super) async fn send(&mut self, line: String) -> std::io::Result<()> {
        match self {
            Sink::Lines(writer) => {
                writer.write_all(line.as_bytes()).await?;
                writer.write_all(b"\n").await?;
                writer.flush().await
            }
            Sink::Ws(stream) => stream
                .send(Message::text(line))
                .await
                .map_err(std::io::Error::other),
        }
    }
}

/// A line without its end. One that is longer than `max` is a fault, or, with `cut`, ends there.
async fn line_of<R: AsyncBufRead + Unpin + ?Sized>(
    reader: &mut R,
    max: usize,
    cut: bool,
) -> Result<Option<String>, AdapterFault> {
    let mut line = Vec::new();
    loop {
        let Ok(read) = reader.fill_buf().await else {
            return Ok(None);
        };
        if read.is_empty() && line.is_empty() {
            return Ok(None);
        }
        let newline = read.iter().position(|byte| *byte == b'\n');
        let wanted = newline.unwrap_or(read.len());
        let room = max.saturating_sub(line.len());
        line.extend(read.iter().take(wanted.min(room)));
        let is_whole = newline.is_some() || read.is_empty();
        if wanted > room && !cut {
            let head = String::from_utf8_lossy(&line).into_owned();
            return Err(AdapterFault::of_line(
                format!("a line longer than {max} bytes"),
                &head,
            ));
        }
        let used = if wanted > room {
            room
        } else {
            wanted + usize::from(newline.is_some())
        };
        reader.consume(used);
        if is_whole || wanted > room {
            break;
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    match String::from_utf8(line) {
        Ok(line) => Ok(Some(line)),
        Err(error) if cut => Ok(Some(String::from_utf8_lossy(error.as_bytes()).into_owned())),
        Err(error) => Err(AdapterFault::of_line(
            "a line that is not UTF-8",
            &String::from_utf8_lossy(error.as_bytes()),
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[tokio::test]
    async fn lines_are_bounded() {
        let text = b"one\r\n\ntwo and more\nrest".to_vec();
        let mut reader = BufReader::with_capacity(3, &text[..]);
        let mut lines = Vec::new();
        while let Some(line) = line_of(&mut reader, 12, false).await.unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, ["one", "", "two and more", "rest"]);
        let mut reader = &b"four\n"[..];
        assert!(line_of(&mut reader, 3, false).await.is_err());
        let mut reader = &b"four\n"[..];
        assert_eq!(
            line_of(&mut reader, 3, true).await.unwrap().as_deref(),
            Some("fou")
        );
        assert_eq!(
            line_of(&mut reader, 3, true).await.unwrap().as_deref(),
            Some("r")
        );
    }
}
