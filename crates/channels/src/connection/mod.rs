//! Long connections: this machine calls the platform and is told of messages there, so that no address of its own
//! has to be reachable.
//!
//! A connection is kept for as long as the program runs: when it breaks, or says nothing for too long, it is made
//! anew, later each time until one holds. A message is acknowledged once it is stored, as over HTTP, and one that
//! comes again is known by its id. Where a platform takes its answers over the connection, the sender's frames are
//! written here and their answers given back ([`Lines`]).

mod dingtalk;
mod feishu;
mod lines;
mod slack;
mod wecom;

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reqwest::Upgraded;
use serde_json::{Value, json};
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

pub(crate) use lines::Lines;
use lines::Orders;

use crate::account::Transport;
use crate::{Account, Inbound, Outward, Pipeline, SendError, StoreError};

/// A connection that held this long was a good one: the next is made without waiting long.
const HELD: Duration = Duration::from_mins(1);
/// How long a line is left to who has taken it, unless somebody asks for it.
const LEFT: Duration = Duration::from_mins(10);
/// Longest wait for a frame to be taken by the other side.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// For the event log.
const DISPLACED: &str = "another program with the same key has taken the connection; end it, and test this channel to \
                         connect again, or it is tried again after ten minutes";

type Socket = WebSocketStream<Upgraded>;

/// How a connection ended that had been made.
enum Ended {
    /// The platform asked for it, or closed it in order: call again at once.
    Asked,
    /// It broke off, and why.
    Broke(String),
    /// Another client has taken it: leave it alone.
    Displaced,
}

/// One platform's way of connecting.
trait Protocol: Send {
    /// Asks where to call.
    ///
    /// # Errors
    /// As [`SendError`].
    fn address(&mut self, outward: &Outward) -> impl Future<Output = Result<String, SendError>> + Send;
    /// How often to show that this side lives.
    fn ping_every(&self) -> Duration;
    /// What shows it.
    fn ping(&mut self) -> Message;
    /// What is said first, and must be answered before the connection is one.
    fn greeting(&self) -> Option<Message> {
        None
    }
    /// Whether answers go out over the connection.
    fn takes_orders(&self) -> bool {
        false
    }
    /// What a frame says, and what is sent back once that is stored.
    fn read(&mut self, frame: Message) -> Frame;
}

/// What a frame says.
#[derive(Default)]
struct Frame {
    /// Messages to the bot.
    messages: Vec<Inbound>,
    /// Sent back when they are stored.
    acknowledgement: Option<Message>,
    /// Why it could not be read, for the event log.
    rejected: Option<String>,
    /// The platform's answer to the frame of this id.
    answer: Option<(String, Value)>,
    /// Whether the greeting was taken.
    is_ready: bool,
    /// That this connection ends.
    ends: Option<Ends>,
}

/// Why a platform ends a connection.
enum Ends {
    /// It wants another one.
    Asked,
    /// Another client has taken it.
    Displaced,
    /// It does not take who connects, and why.
    Refused(String),
}

impl Pipeline {
    /// Keeps the account's connection; returns where it has none.
    pub(crate) async fn keep_connected(&self, account: &Account) {
        if account.transport != Transport::Connection {
            return;
        }
        if let Some(stream) = dingtalk::Stream::new(account) {
            self.keep(account, stream).await;
        } else if let Some(long) = feishu::LongConnection::new(account) {
            self.keep(account, long).await;
        } else if let Some(line) = wecom::RobotLine::new(account) {
            self.keep(account, line).await;
        } else if let Some(socket) = slack::SocketMode::new(account) {
            self.keep(account, socket).await;
        }
    }

    async fn keep(&self, account: &Account, mut protocol: impl Protocol) {
        let waker = self.lines().waker(&account.id);
        let mut attempts = 0;
        loop {
            let began = Instant::now();
            let ended = self.connect_once(account, &mut protocol).await;
            self.lines().down(&account.id);
            let wait = match ended {
                Ok(Ended::Displaced) => {
                    tracing::error!(account = account.id, "another client has taken the connection");
                    self.note(account, "displaced", DISPLACED).await;
                    LEFT
                }
                Ok(Ended::Asked) if began.elapsed() >= HELD || attempts == 0 => {
                    // Asked to at once again and again, it waits like after a failure.
                    attempts = 1;
                    self.note(account, "disconnected", "the platform asked to connect anew").await;
                    self.first_retry()
                }
                ended => {
                    let reason = match ended {
                        Ok(Ended::Broke(reason)) => reason,
                        Ok(_) => "the platform asked to connect anew".to_owned(),
                        Err(error) => error.to_string(),
                    };
                    attempts = if began.elapsed() >= HELD { 1 } else { attempts + 1 };
                    tracing::warn!(account = account.id, reason, attempts, "a long connection has ended");
                    self.note(account, "disconnected", &reason).await;
                    self.retry_after(attempts - 1)
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = waker.notified() => {}
            }
        }
    }

    /// Connects and listens until the connection ends.
    async fn connect_once(
        &self,
        account: &Account,
        protocol: &mut impl Protocol,
    ) -> Result<Ended, SendError> {
        let address = protocol.address(self.outward()).await?;
        let mut socket = self.outward().websocket(&address).await?;
        let mut orders = Orders::default();
        match protocol.greeting() {
            Some(greeting) => {
                if let Err(reason) = write(&mut socket, greeting).await {
                    return Ok(Ended::Broke(reason));
                }
            }
            None => self.is_up(account, protocol, &mut orders).await,
        }
        let every = protocol.ping_every();
        let mut pings = interval_at(Instant::now() + every, every);
        let mut heard = Instant::now();
        loop {
            let frame = tokio::select! {
                frame = socket.next() => frame,
                order = orders.next() => {
                    if let Some(frame) = orders.begin(order)
                        && let Err(reason) = write(&mut socket, frame).await
                    {
                        return Ok(Ended::Broke(reason));
                    }
                    continue;
                }
                _ = pings.tick() => {
                    // A pong, or whatever else, comes well before the third ping.
                    if heard.elapsed() > every * 5 / 2 {
                        return Ok(Ended::Broke("the platform has said nothing for too long".to_owned()));
                    }
                    if let Err(reason) = write(&mut socket, protocol.ping()).await {
                        return Ok(Ended::Broke(reason));
                    }
                    continue;
                }
            };
            let frame = match frame {
                None | Some(Ok(Message::Close(_))) => return Ok(Ended::Asked),
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Ok(Ended::Broke(error.to_string())),
            };
            heard = Instant::now();
            let read = protocol.read(frame);
            if let Some(reason) = &read.rejected {
                tracing::warn!(account = account.id, reason, "a frame cannot be read");
                self.note(account, "rejected", reason).await;
            }
            if read.is_ready {
                self.is_up(account, protocol, &mut orders).await;
            }
            if let Some((id, answer)) = read.answer {
                orders.end(&id, answer);
            }
            if !read.messages.is_empty()
                && let Err(StoreError(reason)) = self.ingest(account, read.messages).await
            {
                // Not acknowledged, the platform sends it again.
                tracing::error!(account = account.id, reason, "a message was not stored");
                continue;
            }
            if let Some(acknowledgement) = read.acknowledgement
                && let Err(reason) = write(&mut socket, acknowledgement).await
            {
                return Ok(Ended::Broke(reason));
            }
            if let Some(ends) = read.ends {
                let _ = timeout(WRITE_TIMEOUT, socket.close(None)).await;
                return Ok(match ends {
                    Ends::Asked => Ended::Asked,
                    Ends::Displaced => Ended::Displaced,
                    Ends::Refused(reason) => Ended::Broke(reason),
                });
            }
        }
    }

    async fn is_up(&self, account: &Account, protocol: &impl Protocol, orders: &mut Orders) {
        tracing::info!(account = account.id, "a long connection is up");
        self.note(account, "connected", "").await;
        if protocol.takes_orders() {
            orders.take(self.lines().up(&account.id));
        }
    }

    async fn note(&self, account: &Account, kind: &'static str, reason: &str) {
        let details = json!({"transport": "connection", "reason": reason});
        if let Err(error) = self.log(&account.id, kind, details).await {
            tracing::error!(%error, "the event log cannot be written");
        }
    }
}

async fn write(socket: &mut Socket, message: Message) -> Result<(), String> {
    match timeout(WRITE_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the platform takes nothing any more".to_owned()),
    }
}
