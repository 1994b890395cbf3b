//! From a stored message to a stored reply, and from there to the platform.
//!
//! Three steps, each ending in one transaction: taking a message in, working on it, sending what came of it. A crash
//! between two of them leaves the queue as the last one wrote it. A conversation goes in order, one message at a
//! time; conversations go side by side, as many as the bounds allow. What fails is tried again, later each time.

mod cards;
mod delivering;
mod growing;
mod working;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::{BoxFuture, join_all};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::connection::Lines;
use crate::gate::Source;
use crate::protocol::seal::{hex, random};
use crate::receive::digest;
use crate::send::{By, Sender};
use crate::wording;
use crate::{
    Account, Audience, Content, Conversation, Delivery, Ended, Hook, Inbound, Mode, Outbound, Outward,
    Payload, Push, SendError, Store, StoreError,
};

/// Pushes that wait for the disk; more are refused, and the platform sends them again.
const MAX_INTAKE: usize = 4096;
/// Pushes that are stored in one transaction.
const MAX_BATCH: usize = 256;
/// Messages and deliveries that are looked at in one go.
const LOOKED_AT: usize = 64;
/// Deliveries on their way at the same time, and of them to one account: a platform that does not answer keeps its own
/// waiting and no other's.
const MAX_SENDING: usize = 128;
const MAX_SENDING_EACH: usize = 16;
/// Ended work is kept this long, to know what comes again and to show what happened.
const KEPT: Duration = Duration::from_hours(7 * 24);
const PRUNE_EVERY: Duration = Duration::from_hours(1);

/// What is asked of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The words.
    pub text: String,
    /// Who will read the answer.
    pub audience: Audience,
    /// Continues a conversation.
    pub session_id: Option<String>,
    /// The same for the same message, however often it is asked about.
    pub request_id: String,
}

/// What the engine found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finding {
    /// The answer, or the words of a refusal; Markdown with `[n]` marks.
    pub text: String,
    /// What it stands on, in the order of the marks.
    pub sources: Vec<Source>,
    /// Whether the sources support it.
    pub is_sure: bool,
    /// Whether nothing was asked that the engine is for.
    pub is_small_talk: bool,
    /// What could be asked next.
    pub suggestions: Vec<String>,
    /// The conversation from now on; empty where none is kept.
    pub session_id: String,
}

/// Why the engine gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It is starting or busy.
    #[error("the engine is busy")]
    Busy,
    /// It failed; the log has it.
    #[error("the engine failed")]
    Failed,
}

/// What answers questions.
pub trait Engine: Send + Sync + 'static {
    /// The answer to one question. Text that was checked and will be the answer's beginning may be put into `so_far`
    /// before the rest is there, longer each time.
    fn answer(
        &self,
        question: Question,
        so_far: watch::Sender<String>,
    ) -> BoxFuture<'static, Result<Finding, EngineError>>;
}

/// How long things take, and how often they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Before the second try; doubled before each further one.
    pub first_retry: Duration,
    /// The longest wait between two tries.
    pub longest_retry: Duration,
    /// After this many a delivery has failed.
    pub max_attempts: u32,
    /// A message that is older is not answered any more.
    pub oldest: Duration,
    /// How long WeCom has to come back for a robot's answer before it is sent on its own.
    pub stream_wait: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            first_retry: Duration::from_secs(1),
            longest_retry: Duration::from_mins(5),
            max_attempts: 12,
            oldest: Duration::from_mins(30),
            stream_wait: Duration::from_secs(30),
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

type Intake = (Push, oneshot::Sender<Result<usize, StoreError>>);

/// Takes messages in, works on them, sends what came of it; cheap to clone.
#[derive(Clone)]
pub struct Pipeline(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    sender: Sender,
    accounts: HashMap<String, Account>,
    hooks: Vec<Hook>,
    timing: Timing,
    intake: mpsc::Sender<Intake>,
    arrivals: Mutex<Option<mpsc::Receiver<Intake>>>,
    wake: Notify,
    answering: Arc<Semaphore>,
    sending: Arc<Semaphore>,
    in_hand: Mutex<HashSet<i64>>,
    /// When the last messages went to a conversation.
    paces: Mutex<HashMap<(String, String), VecDeque<Instant>>>,
}

impl Pipeline {
    /// A pipeline for these accounts. Nothing moves before [`Pipeline::run`].
    pub fn new(
        store: Arc<dyn Store>,
        engine: Arc<dyn Engine>,
        outward: Outward,
        accounts: impl IntoIterator<Item = Account>,
        hooks: Vec<Hook>,
        concurrent: usize,
        timing: Timing,
    ) -> Self {
        let (intake, arrivals) = mpsc::channel(MAX_INTAKE);
        Self(Arc::new(Inner {
            store,
            engine,
            sender: Sender::new(outward),
            accounts: accounts.into_iter().map(|account| (account.id.clone(), account)).collect(),
            hooks,
            timing,
            intake,
            arrivals: Mutex::new(Some(arrivals)),
            wake: Notify::new(),
            answering: Arc::new(Semaphore::new(concurrent.max(1))),
            sending: Arc::new(Semaphore::new(MAX_SENDING)),
            in_hand: Mutex::new(HashSet::new()),
            paces: Mutex::new(HashMap::new()),
        }))
    }

    /// The account of this name.
    pub fn account(&self, id: &str) -> Option<&Account> {
        self.0.accounts.get(id)
    }

    /// All accounts, by name.
    pub fn accounts(&self) -> Vec<&Account> {
        let mut accounts: Vec<_> = self.0.accounts.values().collect();
        accounts.sort_by(|a, b| a.id.cmp(&b.id));
        accounts
    }

    /// Takes messages in; when this returns they are on the disk. How many were new.
    ///
    /// # Errors
    /// When the storage fails or too much waits for it: the platform must be told to send again.
    pub async fn ingest(&self, account: &Account, messages: Vec<Inbound>) -> Result<usize, StoreError> {
        let feedback: Vec<_> = messages.iter().filter_map(feedback_event).collect();
        let push = Push { account: account.id.clone(), messages, cursor: None };
        let (done, stored) = oneshot::channel();
        self.0.intake.try_send((push, done)).map_err(|_| StoreError("too much waits".to_owned()))?;
        let n_new = stored.await.map_err(|_| StoreError("the pipeline has stopped".to_owned()))??;
        // Also for what was known already: the program may have ended between the two, and a subject is told once.
        for (subject, data) in feedback {
            self.announce("feedback.created", &format!("{}/{subject}", account.id), &data).await?;
        }
        Ok(n_new)
    }

    /// Whether any webhook of the settings wants to know of this.
    pub fn is_told(&self, kind: &str) -> bool {
        self.0.hooks.iter().any(|hook| hook.wants(kind))
    }

    /// Tells the webhooks of the settings that something has happened; the same `subject` is told once.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn announce(&self, kind: &str, subject: &str, data: &Value) -> Result<(), StoreError> {
        for delivery in self.0.told(kind, subject, data) {
            self.0.blocking(move |store| store.add_delivery(&delivery)).await?;
        }
        self.0.wake.notify_one();
        Ok(())
    }

    /// Sends what a person wrote into a conversation; false where the draft that it came from is not open any more.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn send_as_person(
        &self,
        account: &Account,
        conversation: &str,
        text: &str,
        draft: Option<i64>,
    ) -> Result<bool, StoreError> {
        let standing = self.0.conversation(&account.id, conversation).await?;
        let nonce = hex(&random::<16>().map_err(|error| StoreError(error.to_string()))?);
        let mut draft = draft;
        for (idx, part) in
            wording::parts(text, account.platform.max_bytes(), usize::MAX).into_iter().enumerate()
        {
            let delivery = Delivery {
                id: 0,
                account: account.id.clone(),
                conversation: conversation.to_owned(),
                idempotency: digest(&[&account.id, conversation, &nonce, &idx.to_string()]),
                message_id: String::new(),
                outbound: Outbound {
                    by: By::Person,
                    payload: Payload::Text(part),
                    reply: standing.reply.clone().unwrap_or(Value::Null),
                },
                attempts: 0,
                is_lost: false,
                due_ms: now_ms(),
            };
            let from_draft = draft.take();
            if !self.0.blocking(move |store| store.send_as_person(from_draft, &delivery)).await? {
                return Ok(false);
            }
        }
        self.0.wake.notify_one();
        Ok(true)
    }

    /// Asks the platform whether it knows the account.
    ///
    /// # Errors
    /// As [`Sender::test`].
    pub async fn test(&self, account: &Account) -> Result<String, SendError> {
        self.0.sender.test(account).await
    }

    /// The text of a smart robot's stream so far, and whether it is all. What is all counts as sent.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn stream(&self, account: &Account, message_id: &str) -> Result<(String, bool), StoreError> {
        let (account, message) = (account.clone(), message_id.to_owned());
        let text = self.0.blocking(move |store| {
            // Asked in this order, an answer that comes between the two is seen and not taken for none.
            let is_waiting = store.is_waiting(&account.id, &message)?;
            let answers = store.answers(&account.id, &message)?;
            if answers.is_empty() && is_waiting {
                return Ok(None);
            }
            let standing = answers
                .first()
                .map(|answer| store.conversation(&account.id, &answer.conversation))
                .transpose()?;
            let is_bots = standing.is_none_or(|standing| standing.bots_mode(&account) == Mode::Auto);
            let mut text = String::new();
            for answer in &answers {
                if answer.outbound.by == By::Bot && (answer.is_lost || !is_bots) {
                    store.end_delivery(answer.id, Ended::Dropped, Some(BOT_IS_SILENT))?;
                    continue;
                }
                if let Payload::Text(part) = &answer.outbound.payload {
                    text.push_str(if text.is_empty() { "" } else { "\n" });
                    text.push_str(part);
                }
                store.end_delivery(answer.id, Ended::Sent, None)?;
            }
            Ok(Some(text))
        });
        Ok(match text.await? {
            None => (wording::LOOKING.to_owned(), false),
            // WeCom takes an empty text for one that clears the bubble.
            Some(text) if text.is_empty() => (wording::TAKEN.to_owned(), true),
            Some(text) => (text, true),
        })
    }

    pub(crate) fn lines(&self) -> &Lines {
        self.0.sender.lines()
    }

    pub(crate) fn outward(&self) -> &Outward {
        self.0.sender.outward()
    }

    /// How long to wait before a second try.
    pub(crate) fn first_retry(&self) -> Duration {
        self.0.timing.first_retry
    }

    /// How long to wait after so many failures.
    pub(crate) fn retry_after(&self, n_failed: u32) -> Duration {
        self.0.backoff(n_failed, now_ms())
    }

    pub(crate) async fn log(
        &self,
        account: &str,
        kind: &'static str,
        details: Value,
    ) -> Result<(), StoreError> {
        let account = account.to_owned();
        self.0.blocking(move |store| store.log(&account, None, kind, &details)).await
    }

    /// Looks at the queue at once, after something was changed in it from outside.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Works until it is dropped. Only the first call does; a later one returns at once.
    pub async fn run(&self) {
        let arrivals = self.0.arrivals.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(arrivals) = arrivals else { return };
        match self.0.blocking(<dyn Store>::resume).await {
            Ok(0) => {}
            Ok(n) => tracing::info!(n, "deliveries that were under way are sent again"),
            Err(error) => tracing::error!(%error, "the queue cannot be resumed"),
        }
        let connections = join_all(self.0.accounts.values().map(|account| self.keep_connected(account)));
        tokio::join!(self.take_in(arrivals), self.dispatch(), self.prune(), connections);
    }

    async fn take_in(&self, mut arrivals: mpsc::Receiver<Intake>) {
        let mut batch = Vec::new();
        while arrivals.recv_many(&mut batch, MAX_BATCH).await > 0 {
            let (pushes, waiting): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
            let stored = self.0.blocking(move |store| store.push(&pushes)).await;
            match stored {
                Ok(counts) => {
                    for (count, waiting) in counts.into_iter().zip(waiting) {
                        let _ = waiting.send(Ok(count));
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "messages were not taken");
                    for waiting in waiting {
                        let _ = waiting.send(Err(error.clone()));
                    }
                }
            }
            self.0.wake.notify_one();
        }
    }

    async fn dispatch(&self) {
        loop {
            let next_due = match self.0.clone().hand_out().await {
                Ok(next_due) => next_due,
                Err(error) => {
                    tracing::error!(%error, "the queue cannot be read; trying again");
                    Some(now_ms() + 1000)
                }
            };
            let wait = next_due.map_or(10_000, |due| (due - now_ms()).clamp(5, 10_000));
            tokio::select! {
                () = self.0.wake.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())) => {}
            }
        }
    }

    async fn prune(&self) {
        let mut ticks = tokio::time::interval(PRUNE_EVERY);
        loop {
            ticks.tick().await;
            let before = now_ms() - ms(KEPT);
            if let Err(error) = self.0.blocking(move |store| store.prune(before)).await {
                tracing::warn!(%error, "old messages were not cleared away");
            }
        }
    }
}

fn feedback_event(inbound: &Inbound) -> Option<(String, Value)> {
    let Content::Feedback { is_good, text } = &inbound.content else { return None };
    let data = json!({"answer": inbound.conversation, "is_good": is_good, "text": text});
    Some((inbound.message_id.clone(), data))
}

impl Inner {
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || work(&*store)).await;
        done.map_err(|error| StoreError(error.to_string()))?
    }

    async fn conversation(&self, account: &str, conversation: &str) -> Result<Conversation, StoreError> {
        let (account, conversation) = (account.to_owned(), conversation.to_owned());
        self.blocking(move |store| store.conversation(&account, &conversation)).await
    }

    /// Starts all work that is due and has room; when the next is due.
    async fn hand_out(self: Arc<Self>) -> Result<Option<i64>, StoreError> {
        let now = now_ms();
        if self.answering.available_permits() > 0 {
            let n_in_hand = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).len();
            let waiting =
                self.blocking(move |store| store.waiting_messages(now, n_in_hand + LOOKED_AT)).await?;
            for queued in waiting {
                let Ok(place) = Arc::clone(&self.answering).try_acquire_owned() else { break };
                if !self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).insert(queued.id) {
                    continue;
                }
                let inner = Arc::clone(&self);
                tokio::spawn(async move {
                    let id = queued.id;
                    inner.work(queued).await;
                    inner.in_hand.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                    drop(place);
                    inner.wake.notify_one();
                });
            }
        }
        if self.sending.available_permits() > 0 {
            let waiting = self
                .blocking(move |store| store.waiting_deliveries(now, LOOKED_AT, MAX_SENDING_EACH))
                .await?;
            for delivery in waiting {
                let Ok(place) = Arc::clone(&self.sending).try_acquire_owned() else { break };
                let id = delivery.id;
                if let Some(wait) = self.pace(&delivery) {
                    let due = now + ms(wait);
                    self.blocking(move |store| store.postpone_delivery(id, due, None)).await?;
                    continue;
                }
                if !self.blocking(move |store| store.begin_delivery(id)).await? {
                    continue;
                }
                let inner = Arc::clone(&self);
                tokio::spawn(async move {
                    inner.deliver(delivery).await;
                    drop(place);
                    inner.wake.notify_one();
                });
            }
        }
        // What is due but has no room is started when something ends, which wakes this loop.
        self.blocking(move |store| store.next_due(now)).await
    }

    /// How long a delivery must wait to keep to the platform's rate; notes it as gone where it need not.
    fn pace(&self, delivery: &Delivery) -> Option<Duration> {
        const WINDOW: Duration = Duration::from_mins(1);
        const MANY: usize = 10_000;
        let account = self.accounts.get(&delivery.account)?;
        let now = Instant::now();
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        if paces.len() > MANY {
            paces.retain(|_, times| times.back().is_some_and(|last| now.duration_since(*last) < WINDOW));
        }
        let times = paces.entry((delivery.account.clone(), delivery.conversation.clone())).or_default();
        while times.front().is_some_and(|first| now.duration_since(*first) >= WINDOW) {
            times.pop_front();
        }
        if times.len() >= account.platform.per_minute() {
            return times.front().map(|first| WINDOW.saturating_sub(now.duration_since(*first)));
        }
        times.push_back(now);
        None
    }

    fn backoff(&self, attempts: u32, id: i64) -> Duration {
        let doubled = self.timing.first_retry.saturating_mul(1 << attempts.min(16));
        let wait = doubled.min(self.timing.longest_retry);
        // Not all at the same moment.
        wait.mul_f64(0.75 + (id.rem_euclid(50) as f64) / 100.0)
    }
}

const BOT_IS_SILENT: &str = "a person has this conversation, or the bot may not write here by itself";
