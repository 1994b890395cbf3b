//! A site of another origin, with the pages of the test's own.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

/// Pages at an origin; they are there until the test's process ends.
pub struct Site {
    pub origin: String,
    listener: Option<TcpListener>,
}

impl Site {
    /// An origin, before anything is served there.
    pub fn reserve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let origin = format!("http://{}", listener.local_addr().expect("it is bound"));
        Self { origin, listener: Some(listener) }
    }

    /// Serves what `page` gives for a path, anew each time; `None` is 404.
    pub fn serve(&mut self, page: impl Fn(&str) -> Option<String> + Send + Sync + 'static) {
        let listener = self.listener.take().expect("it is served once");
        let page = std::sync::Arc::new(page);
        std::thread::spawn(move || {
            for mut connection in listener.incoming().map_while(Result::ok) {
                let page = page.clone();
                // A browser opens connections that it may never use.
                std::thread::spawn(move || {
                    let mut reader =
                        BufReader::new(connection.try_clone().expect("a connection can be shared"));
                    let mut line = String::new();
                    let _ = reader.read_line(&mut line);
                    let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
                    while !line.trim().is_empty() {
                        line.clear();
                        let _ = reader.read_line(&mut line);
                    }
                    let (status, body) =
                        page(&path).map_or(("404 Not Found", String::new()), |body| ("200 OK", body));
                    let head = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\nconnection: close"
                    );
                    let _ = write!(connection, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                });
            }
        });
    }
}
