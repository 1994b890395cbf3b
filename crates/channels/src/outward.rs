//! Requests to other machines, guarded against being turned inwards.
//!
//! An address in the settings, or one that came with a message, may name a machine inside the company's network or
//! this machine itself. So a name is resolved here, every address that it has must be a public one, and the request
//! goes to exactly what was checked; redirects are not followed, proxies of the environment are not used, and a
//! reply has a size and a time. Hosts that the settings name are let through.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Method, StatusCode, Upgraded, Url};
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::send::SendError;

/// Longest reply that is read, in bytes.
const MAX_REPLY_BYTES: usize = 1 << 20;
/// From the first byte sent to the last one read.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Longest wait that a platform may ask for.
const MAX_WAIT: Duration = Duration::from_mins(10);

/// Which hosts may be private.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Arc<HashSet<String>>,
}

impl Guard {
    /// Lets these hosts through wherever they lie; names and addresses as they stand in a URL, without a port.
    pub fn allowing(hosts: impl IntoIterator<Item = String>) -> Self {
        Self { allowed: Arc::new(hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect()) }
    }

    /// The address as one that may be asked, as far as that can be told without resolving its name.
    ///
    /// # Errors
    /// Why it may not, in words for the administrator.
    pub fn check(&self, address: &str) -> Result<Url, String> {
        let url = Url::parse(address).map_err(|error| format!("the address cannot be read: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("the address must begin with https:// or http://".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the address must hold no user name and no password".to_owned());
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        if self.allows(&host) {
            return Ok(url);
        }
        // `127.1`, `0x7f.1` and `2130706433` have become dotted numbers here.
        let is_private = match host.parse::<IpAddr>() {
            Ok(address) => !is_public(address),
            Err(_) => host.is_empty() || host == "localhost" || host.ends_with(".localhost"),
        };
        if is_private { Err(private(&host)) } else { Ok(url) }
    }

    fn allows(&self, host: &str) -> bool {
        self.allowed.contains(host)
    }
}

fn private(host: &str) -> String {
    format!(
        "{host} is not a public address; a host inside your own network must be named in `outward.private_hosts`"
    )
}

/// Whether an address is one of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        // Carrier-grade NAT, protocol assignments, benchmarks, reserved.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
        return false;
    }
    // Unique local, link-local, site-local, documentation, discard.
    if first & 0xFE00 == 0xFC00
        || first & 0xFFC0 == 0xFE80
        || first & 0xFFC0 == 0xFEC0
        || (first == 0x2001 && second == 0x0DB8)
        || first == 0x0100
    {
        return false;
    }
    // Addresses that carry one of version 4 are what they carry: NAT64, 6to4, and the old compatible form.
    let [.., high, low] = address.segments();
    let carried = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (first, second) {
        (0x0064, 0xFF9B) => carried(high, low),
        (0x2002, _) => carried(second, third),
        (0, 0) => false,
        _ => true,
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_ascii_lowercase();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if !guard.allows(&host) && found.iter().any(|address| !is_public(address.ip())) {
                return Err(private(&host).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Asks other machines; cheap to clone.
#[derive(Clone)]
pub struct Outward {
    client: reqwest::Client,
    /// For connections that last: no bound on their time.
    lasting: reqwest::Client,
    guard: Guard,
}

/// What another machine answered.
#[derive(Debug)]
pub struct Answered {
    /// The status, never one of those that say "try again".
    pub status: u16,
    /// The body; `Null` where there is none.
    pub body: Value,
}

impl Outward {
    /// A client behind this guard.
    ///
    /// # Errors
    /// When the machine's certificates cannot be read.
    pub fn new(guard: Guard) -> Result<Self, String> {
        // Only the first call counts; another crate may have made it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(TIMEOUT)
                .dns_resolver(Arc::new(guard.clone()))
                .user_agent("flightdeck")
        };
        let client = builder().timeout(TIMEOUT).build().map_err(|error| chain(&error))?;
        let lasting = builder().http1_only().build().map_err(|error| chain(&error))?;
        Ok(Self { client, lasting, guard })
    }

    /// Opens a WebSocket at an address that begins with `wss://` or `ws://`, behind the same guard.
    ///
    /// # Errors
    /// [`SendError::Later`] when the other side cannot be reached or does not open one; [`SendError::Refused`] when
    /// the address may not be asked.
    pub(crate) async fn websocket(&self, address: &str) -> Result<WebSocketStream<Upgraded>, SendError> {
        let spoken = match address.split_once("://") {
            Some(("wss", rest)) => format!("https://{rest}"),
            Some(("ws", rest)) => format!("http://{rest}"),
            _ => return Err(SendError::Refused("the address must begin with wss:// or ws://".to_owned())),
        };
        let url = self.guard.check(&spoken).map_err(SendError::Refused)?;
        let key = generate_key();
        let request = self
            .lasting
            .get(url)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", &key);
        let response = match tokio::time::timeout(TIMEOUT, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let reason = chain(&error.without_url());
                return Err(SendError::later(format!("cannot reach the other side: {reason}")));
            }
            Err(_) => return Err(SendError::later("the other side does not answer")),
        };
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        if response.status() != StatusCode::SWITCHING_PROTOCOLS
            || header("sec-websocket-accept") != Some(&derive_accept_key(key.as_bytes()))
        {
            let status = response.status().as_u16();
            // Feishu says why in headers of its own.
            let said: String = header("handshake-msg").unwrap_or_default().chars().take(120).collect();
            return Err(SendError::later(format!("the other side opens no connection: {status} {said}")));
        }
        let upgraded = response.upgrade().await.map_err(|error| SendError::later(chain(&error)))?;
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MAX_REPLY_BYTES))
            .max_frame_size(Some(MAX_REPLY_BYTES));
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(limits)).await)
    }

    /// Sends JSON and reads JSON.
    ///
    /// # Errors
    /// [`SendError::Later`] when the other side cannot be reached, is too busy, fails, or answers something that is
    /// no JSON, as a front that bans this machine does; [`SendError::Refused`] when the address may not be asked.
    pub async fn call(
        &self,
        method: Method,
        address: &str,
        headers: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Answered, SendError> {
        let mut request = self.client.request(method, self.guard.check(address).map_err(SendError::Refused)?);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let (status, bytes) = self.execute(request).await?;
        let body = if bytes.iter().all(u8::is_ascii_whitespace) {
            Value::Null
        } else {
            serde_json::from_slice(&bytes)
                .map_err(|_| SendError::later(format!("the other side answered {status} and no JSON")))?
        };
        Ok(Answered { status, body })
    }

    /// The JSON at an address.
    ///
    /// # Errors
    /// As [`Outward::call`]; [`SendError::Refused`] when the status is none of success.
    pub async fn get(&self, address: &str) -> Result<Value, SendError> {
        successful(self.call(Method::GET, address, &[], None).await?)
    }

    /// What JSON sent to an address is answered with.
    ///
    /// # Errors
    /// As [`Outward::get`].
    pub async fn post(&self, address: &str, body: &Value) -> Result<Value, SendError> {
        successful(self.call(Method::POST, address, &[], Some(body)).await?)
    }

    /// Sends bytes as they are, for bodies that are signed, and gives the status: a webhook's receiver may answer
    /// whatever it likes.
    ///
    /// # Errors
    /// [`SendError::Later`] when the other side cannot be reached, is too busy or fails; [`SendError::Refused`] when
    /// the address may not be asked.
    pub async fn post_bytes(
        &self,
        address: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<u16, SendError> {
        let url = self.guard.check(address).map_err(SendError::Refused)?;
        let mut request = self.client.post(url).header("content-type", "application/json").body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        Ok(self.execute(request).await?.0)
    }

    /// Status and body.
    async fn execute(&self, request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), SendError> {
        let mut response = request.send().await.map_err(|error| {
            let reason = chain(&error.without_url());
            if reason.contains("outward.private_hosts") {
                SendError::Refused(reason)
            } else {
                SendError::later(format!("cannot reach the other side: {reason}"))
            }
        })?;
        let status = response.status().as_u16();
        if status == 429 || status >= 500 {
            let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
            let after = asked.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
            return Err(SendError::Later {
                after: after.map(|after| after.min(MAX_WAIT)),
                reason: format!("the other side answered {status}"),
            });
        }
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() <= MAX_REPLY_BYTES => {
                    bytes.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => return Err(SendError::Refused("the reply is over 1 MiB".to_owned())),
                Ok(None) => break,
                Err(error) => {
                    let reason = chain(&error.without_url());
                    return Err(SendError::later(format!("the reply broke off: {reason}")));
                }
            }
        }
        Ok((status, bytes))
    }
}

fn successful(answered: Answered) -> Result<Value, SendError> {
    match answered.status {
        200..300 => Ok(answered.body),
        status => Err(SendError::Refused(format!("the other side answered {status}"))),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_lead_inwards_are_refused_however_they_are_written() {
        let guard = Guard::default();
        for address in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f.0.0.1/",
            "http://2130706433/",
            "http://017700000001/",
            "http://0/",
            "http://localhost/",
            "http://LOCALHOST:8080/",
            "http://a.localhost/",
            "http://10.0.0.1/",
            "http://172.16.3.4/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://100.64.0.1/",
            "http://198.18.0.1/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[fc00::1]/",
            "http://[fe80::1]/",
            "http://１２７.0.0.1/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "http://user:secret@example.com/",
            "//example.com",
            "",
        ] {
            assert!(guard.check(address).is_err(), "{address}");
        }
        for address in
            ["https://qyapi.weixin.qq.com/cgi-bin", "http://93.184.216.34/", "https://[2606:2800::1]/"]
        {
            assert!(guard.check(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn a_host_that_the_settings_name_is_let_through() {
        let guard = Guard::allowing(["127.0.0.1".to_owned(), "Bridge.internal".to_owned()]);
        assert!(guard.check("http://127.0.0.1:9/").is_ok());
        assert!(guard.check("http://bridge.internal/").is_ok());
        assert!(guard.check("http://127.0.0.2/").is_err());
    }

    #[tokio::test]
    async fn a_page_in_place_of_a_platform_is_no_delivery_and_no_matter_to_a_webhook() {
        use std::io::{Read, Write};
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", server.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in server.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let page = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
                let _ = stream.write_all(page);
            }
        });
        let outward = Outward::new(Guard::allowing(["127.0.0.1".to_owned()])).unwrap();
        let called = outward.call(Method::POST, &address, &[], Some(&Value::Null)).await;
        assert!(matches!(called, Err(SendError::Later { .. })), "{called:?}");
        assert_eq!(outward.post_bytes(&address, &[], Vec::new()).await.ok(), Some(200));
    }

    #[tokio::test]
    async fn a_name_that_resolves_inwards_is_refused_when_it_is_resolved() {
        let outward = Outward::new(Guard::default()).unwrap();
        // The trailing dot keeps it from being known as a name of this machine before it is resolved.
        let called = outward.call(Method::GET, "http://localhost.:9/", &[], None).await;
        assert!(matches!(called, Err(SendError::Refused(_) | SendError::Later { .. })), "{called:?}");
        let resolved = Guard::default().resolve("localhost".parse().unwrap()).await;
        assert!(resolved.is_err());
    }
}
