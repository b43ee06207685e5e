//! [`Wire`]: one connection, of which as little is made as can be: whoever measures must not be what is measured.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// A connection to the gateway.
pub(super) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// To a gateway on loopback, from the loopback address with that number, of 16 million.
pub(crate) async fn connect(gateway: &str, from: u32) -> Result<TcpStream> {
    let address: SocketAddr = gateway.parse().with_context(|| format!("{gateway} is no address"))?;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::from(0x7f00_0001 + from), 0)))?;
    let stream = socket.connect(address).await.with_context(|| format!("cannot reach {gateway}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A request as it goes out.
pub(super) fn request(gateway: &str, line: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: {gateway}\r\ncontent-type: {kind}\r\nforemap-bench: 1\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

impl Wire {
    pub(super) async fn connect(gateway: &str, from: u32) -> Result<Self> {
        Ok(Self { stream: connect(gateway, from).await?, buffer: Vec::new() })
    }

    /// The status of the answer, which is read to its end.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            let count = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(count > 0, "the gateway closed the connection");
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut answer = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(head) = answer.parse(&self.buffer)? else { continue };
            let status = answer.code.context("an answer without status")?;
            let length = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let length: usize = match length {
                Some(header) => std::str::from_utf8(header.value)?.parse()?,
                None => 0,
            };
            while self.buffer.len() < head + length {
                ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the gateway closed the connection");
            }
            return Ok(status);
        }
    }
}
