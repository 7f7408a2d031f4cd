//! A client that can be told to behave badly: HTTP/1.1 by hand, over one socket.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// No answer may take longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Nobody here sends more.
const LONGEST_BODY: usize = 256 << 20;

/// A connection to a server.
pub(crate) struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    host: String,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; `Null` where it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Connection {
    /// Opens one.
    pub(crate) fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, reader, host: address.to_owned() })
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Asks and waits for the whole answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.send(request)?;
        self.answer()
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let (status, length) = self.head()?;
        let mut body = Vec::new();
        match length {
            Length::Known(length) => {
                body.resize(length.min(LONGEST_BODY), 0);
                self.reader.read_exact(&mut body)?;
            }
            Length::Chunks => while self.chunk(&mut body)? {},
            Length::UntilEnd => drop(self.reader.read_to_end(&mut body)?),
        }
        Ok(Answer { status, body })
    }

    /// Status line and headers of an answer, and how long its body is.
    pub(crate) fn head(&mut self) -> io::Result<(u16, Length)> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| wrong(&line))?;
        let mut length = if status == 204 || status == 304 { Length::Known(0) } else { Length::UntilEnd };
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", value)) => length = Length::Known(value.parse().map_err(|_| wrong(&line))?),
                Some(("transfer-encoding", "chunked")) => length = Length::Chunks,
                None if line.is_empty() => return Ok((status, length)),
                _ => {}
            }
        }
    }

    /// Appends a chunk of a body; `false` after the last one.
    pub(crate) fn chunk(&mut self, body: &mut Vec<u8>) -> io::Result<bool> {
        let line = self.line()?;
        let length =
            usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).map_err(|_| wrong(&line))?;
        let begin = body.len();
        if begin + length > LONGEST_BODY {
            return Err(wrong("the answer has no end"));
        }
        body.resize(begin + length, 0);
        self.reader.read_exact(&mut body[begin..])?;
        self.line()?;
        Ok(length > 0)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Err(io::Error::from(ErrorKind::UnexpectedEof)),
            _ => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
        }
    }

    /// A request without a body.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        self.request("GET", path, &[])
    }

    /// A request with JSON.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len().to_string();
        let mut request =
            self.request("POST", path, &[("Content-Type", "application/json"), ("Content-Length", &length)]);
        request.extend_from_slice(body);
        request
    }

    /// The head of a request.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("Host: {}\r\n", self.host);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        (head + "\r\n").into_bytes()
    }
}

/// How long a body is.
pub(crate) enum Length {
    Known(usize),
    Chunks,
    UntilEnd,
}

fn wrong(line: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("no HTTP: {}", line.chars().take(80).collect::<String>()))
}
