//! A server of this program as a process of its own, to be measured from outside.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::failure::Failure;

/// A reply that has not come by then does not come.
const PATIENCE: Duration = Duration::from_mins(5);

/// A server that listens; ended when dropped.
pub struct MeasuredServer {
    child: Child,
    /// Host and port.
    pub address: String,
}

impl MeasuredServer {
    /// Starts `command`, which serves, and waits until it says where it listens.
    ///
    /// # Errors
    /// When it cannot be started, or ends before it listens; with what it said last.
    pub fn start(mut command: Command) -> Result<Self, Failure> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| silent(&error.to_string()))?;
        let mut server = Self { child, address: String::new() };
        let said = server.child.stderr.take().ok_or_else(|| silent("it has no output"))?;
        let mut lines = BufReader::new(said).lines().map_while(Result::ok);
        let mut last = String::new();
        let found = lines.find_map(|line| {
            let address = line.split_once("http://").map(|(_, address)| address.trim().to_owned());
            last = line;
            address
        });
        server.address = found.ok_or_else(|| silent(&last))?;
        // It must never wait for somebody to read what it says.
        thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }

    /// Asks over a connection of its own; the status and the body of the reply.
    ///
    /// # Errors
    /// When the server cannot be reached, or what comes back is no reply.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<(u16, String)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        let no_reply = || Error::new(ErrorKind::InvalidData, "what came back is no reply");
        let (head, body) = reply.split_once("\r\n\r\n").ok_or_else(no_reply)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or_else(no_reply)?, body.to_owned()))
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

fn silent(last: &str) -> Failure {
    Failure::new(format!("the server did not start: {last}"), format!("服务没有启动：{last}"))
}

impl Drop for MeasuredServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
