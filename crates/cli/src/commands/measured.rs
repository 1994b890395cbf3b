//! A server of this program as a process of its own, to be measured from outside.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::failure::Failure;

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
