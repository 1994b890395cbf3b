//! What this side says over connections that are up, and how the platform answers: the sender's end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::SendError;
use crate::protocol::text_at;

/// Longest wait for the platform's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Frames that wait to be written.
const MAX_WAITING: usize = 256;
/// Longest wait for a connection that somebody asks about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A frame to be written, and who waits for its answer.
pub(super) struct Order {
    /// The answer repeats it.
    pub id: String,
    /// The frame.
    pub frame: Message,
    /// Takes the answer; dropped where there will be none.
    pub answered: oneshot::Sender<Value>,
}

#[derive(Default)]
struct Line {
    /// While it is up.
    orders: Option<mpsc::Sender<Order>>,
    wake: Arc<Notify>,
}

/// The connections that take frames, by account.
#[derive(Default)]
pub(crate) struct Lines(Mutex<HashMap<String, Line>>);

impl Lines {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a frame, which must hold `headers.req_id`, and gives the platform's answer.
    ///
    /// # Errors
    /// [`SendError::Later`] when no connection is up, it ends, an earlier frame of this id is not answered yet, or no
    /// answer comes in time.
    pub async fn ask(&self, account: &str, frame: &Value) -> Result<Value, SendError> {
        let orders = self.lock().get(account).and_then(|line| line.orders.clone());
        let orders = orders.ok_or_else(|| SendError::later("the connection is not up"))?;
        let (answered, answer) = oneshot::channel();
        let id = text_at(frame, "/headers/req_id").to_owned();
        let order = Order { id, frame: Message::text(frame.to_string()), answered };
        orders.try_send(order).map_err(|_| SendError::later("the connection takes nothing more"))?;
        match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(SendError::later("the connection ended before the platform had answered")),
            Err(_) => Err(SendError::later("the platform does not answer")),
        }
    }

    /// Calls at once where the connection is not up and waits for it to be.
    ///
    /// # Errors
    /// [`SendError::Later`] when it is not up in time.
    pub async fn call(&self, account: &str) -> Result<(), SendError> {
        let is_up = || self.lock().get(account).is_some_and(|line| line.orders.is_some());
        if !is_up() {
            self.waker(account).notify_one();
        }
        let waited = timeout(CONNECT_TIMEOUT, async {
            while !is_up() {
                sleep(LOOK_EVERY).await;
            }
        });
        waited.await.map_err(|_| SendError::later("no connection comes up; the event log says why"))
    }

    /// Wakes whoever waits before connecting again.
    pub(super) fn waker(&self, account: &str) -> Arc<Notify> {
        Arc::clone(&self.lock().entry(account.to_owned()).or_default().wake)
    }

    /// The connection is up: what is to be written comes here.
    pub(super) fn up(&self, account: &str) -> mpsc::Receiver<Order> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        self.lock().entry(account.to_owned()).or_default().orders = Some(sender);
        receiver
    }

    /// The connection has ended.
    pub(super) fn down(&self, account: &str) {
        if let Some(line) = self.lock().get_mut(account) {
            line.orders = None;
        }
    }
}

/// One connection's orders, and those of them that are not answered yet.
#[derive(Default)]
pub(super) struct Orders {
    coming: Option<mpsc::Receiver<Order>>,
    under_way: HashMap<String, oneshot::Sender<Value>>,
}

impl Orders {
    /// Takes orders from now on.
    pub fn take(&mut self, coming: mpsc::Receiver<Order>) {
        self.coming = Some(coming);
    }

    /// The next order; waits for ever while none are taken.
    pub async fn next(&mut self) -> Order {
        match &mut self.coming {
            Some(coming) => match coming.recv().await {
                Some(order) => order,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    /// The frame to write; `None` where one of the same id is under way, whose asker still waits.
    pub fn begin(&mut self, order: Order) -> Option<Message> {
        let is_under_way = self.under_way.get(&order.id).is_some_and(|waiting| !waiting.is_closed());
        if is_under_way {
            return None;
        }
        self.under_way.retain(|_, waiting| !waiting.is_closed());
        self.under_way.insert(order.id, order.answered);
        Some(order.frame)
    }

    /// The platform has answered.
    pub fn end(&mut self, id: &str, answer: Value) {
        if let Some(waiting) = self.under_way.remove(id) {
            // Who has ceased to wait asks again.
            let _ = waiting.send(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn order(id: &str) -> (Order, oneshot::Receiver<Value>) {
        let (answered, answer) = oneshot::channel();
        (Order { id: id.to_owned(), frame: Message::text(id), answered }, answer)
    }

    #[test]
    fn frames_of_one_id_go_one_after_the_other() {
        let mut orders = Orders::default();
        let ((first, answer), (second, mut refused)) = (order("m"), order("m"));
        assert!(orders.begin(first).is_some());
        assert!(orders.begin(second).is_none());
        assert!(refused.try_recv().is_err(), "it is told to ask again");
        orders.end("m", json!({"errcode": 0}));
        assert_eq!(answer.blocking_recv(), Ok(json!({"errcode": 0})));
        let ((third, waiting), (fourth, _answer)) = (order("m"), order("m"));
        assert!(orders.begin(third).is_some());
        drop(waiting);
        assert!(orders.begin(fourth).is_some(), "nobody waits for the third any more");
    }

    #[tokio::test]
    async fn nothing_is_asked_over_a_connection_that_is_not_up() {
        let lines = Lines::default();
        let frame = json!({"headers": {"req_id": "r"}});
        assert!(matches!(lines.ask("a", &frame).await, Err(SendError::Later { .. })));
        let coming = lines.up("a");
        drop(coming);
        assert!(matches!(lines.ask("a", &frame).await, Err(SendError::Later { .. })));
        lines.down("a");
    }
}
