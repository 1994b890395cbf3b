//! Reading in a process of its own: what a file does to its parser stays there.
//!
//! A stack overflow, an exhausted memory and an endless loop cannot be caught inside a process, and every
//! parser of office formats has had all three. So such files are read by a child, the same program in another
//! role ([`serve`]), which gets bytes and gives back text, under limits on time, memory and output. What goes
//! wrong there becomes a [`Problem`] with its reason, and the next file gets a new child. A child lives for
//! many files, because a start costs more than most of them, and knows neither the folder nor the environment.
//!
//! Messages are a length in eight bytes, little-endian, and that many bytes; a request is the format's name,
//! a zero byte, and the file.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::problem::Problem;
use crate::readers::{Format, Parsed, crashed, parse};

/// What reading one file may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time for one file.
    pub time: Duration,
    /// Most memory that the child may hold, in bytes; kept by the system where it can (Linux).
    pub memory_bytes: u64,
    /// Longest answer, in bytes: the text as JSON.
    pub output_bytes: u64,
}

impl Default for Limits {
    /// Eight seconds, 768 MiB, an answer of 64 MiB.
    fn default() -> Self {
        Self { time: Duration::from_secs(8), memory_bytes: 768 << 20, output_bytes: 64 << 20 }
    }
}

/// A child is let go after this many files, so that what a parser leaks does not add up.
const FILES_PER_CHILD: u32 = 64;
/// How much of a child's complaints is kept.
const COMPLAINT_BYTES: usize = 4096;
/// How long a file must keep a child busy after its time before the child ends itself. Only a child whose
/// parent is gone gets that far.
const GRACE: Duration = Duration::from_secs(2);

/// Reads files in a child process. One file at a time; callers on other threads wait their turn.
#[derive(Debug)]
pub struct Worker {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: Limits,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    pipes: Pipes,
    complaint: Arc<Mutex<Vec<u8>>>,
    n_files: u32,
}

#[derive(Debug)]
struct Pipes {
    to: ChildStdin,
    from: ChildStdout,
}

/// Why no answer came.
enum Failure {
    Start(io::Error),
    TimedOut,
    OutputTooLong(u64),
    /// The child ended by itself, after it had read this many other files.
    Ended {
        status: Option<ExitStatus>,
        complaint: String,
        n_files: u32,
    },
    Nonsense(String),
}

impl Worker {
    /// A worker that runs `program` with `arguments`, which must come to [`serve`] with the same limits.
    /// Nothing is started before the first file.
    pub fn new(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        limits: Limits,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            limits,
            running: Mutex::new(None),
        }
    }

    /// Lets the child go. The next file starts another.
    pub fn rest(&self) {
        if let Some(running) = self.slot().take() {
            running.end();
        }
    }

    /// Reads a file's bytes; `path` is only for the problems.
    pub(crate) fn read(&self, path: &str, format: Format, bytes: &[u8]) -> Result<Parsed, Problem> {
        let mut answer = self.ask(format, bytes);
        // A child that has read other files may fail of what they left behind; the next one has read none.
        if matches!(answer, Err(Failure::Ended { n_files: 1.., .. })) {
            answer = self.ask(format, bytes);
        }
        match answer {
            Ok(parsed) => parsed.map_err(|problem| problem.at(path)).map(|parsed| parsed.at(path)),
            Err(failure) => Err(self.problem(path, &failure)),
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, format: Format, bytes: &[u8]) -> Result<Result<Parsed, Problem>, Failure> {
        let mut slot = self.slot();
        let running = match slot.take() {
            Some(running) => running,
            None => self.start().map_err(Failure::Start)?,
        };
        let Running { mut child, mut pipes, complaint, n_files } = running;
        let mut request = Vec::with_capacity(format.name().len() + 1 + bytes.len());
        request.extend_from_slice(format.name().as_bytes());
        request.push(0);
        request.extend_from_slice(bytes);
        let most = self.limits.output_bytes;
        let (send, answer) = mpsc::channel();
        // Pipes have no time limit, so a thread waits on them; killing the child ends the thread.
        thread::spawn(move || {
            let got =
                write_message(&mut pipes.to, &request).and_then(|()| read_message(&mut pipes.from, most));
            // Nobody listens any more where the time is up.
            let _ = send.send((pipes, got));
        });
        let got = answer.recv_timeout(self.limits.time);
        let failure = match got {
            Ok((pipes, Ok(Message::Whole(json)))) => match serde_json::from_slice(&json) {
                Ok(parsed) => {
                    let running = Running { child, pipes, complaint, n_files: n_files + 1 };
                    if running.n_files < FILES_PER_CHILD {
                        *slot = Some(running);
                    } else {
                        running.end();
                    }
                    return Ok(parsed);
                }
                Err(error) => Failure::Nonsense(error.to_string()),
            },
            Ok((_, Ok(Message::TooLong(length)))) => Failure::OutputTooLong(length),
            Ok((_, Err(_))) => {
                let status = child.wait().ok();
                let complaint = settled(&complaint);
                return Err(Failure::Ended { status, complaint, n_files });
            }
            Err(_) => Failure::TimedOut,
        };
        kill(&mut child);
        Err(failure)
    }

    fn start(&self) -> io::Result<Running> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let taken = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(to), Some(from), Some(mut errors)) = taken else {
            kill(&mut child);
            return Err(io::Error::other("a child without pipes"));
        };
        let complaint = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&complaint);
        // A full pipe would stop the child, so its complaints are read as they come.
        thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(n @ 1..) = errors.read(&mut buffer) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&buffer[..n]);
                let too_many = kept.len().saturating_sub(COMPLAINT_BYTES);
                kept.drain(..too_many);
            }
        });
        Ok(Running { child, pipes: Pipes { to, from }, complaint, n_files: 0 })
    }

    fn problem(&self, path: &str, failure: &Failure) -> Problem {
        let (code, message, message_zh) = match failure {
            Failure::Start(error) => (
                "unreadable",
                format!("the process that reads such files cannot be started: {error}"),
                format!("无法启动用于读取此类文件的进程：{error}"),
            ),
            Failure::TimedOut => {
                let seconds = self.limits.time.as_secs_f32();
                (
                    "timeout",
                    format!("reading the file takes longer than {seconds} s; it is left out"),
                    format!("读取该文件超过 {seconds} 秒，未收录"),
                )
            }
            Failure::OutputTooLong(length) => (
                "too_large",
                format!("the file unpacks to {length} bytes of text; it is left out"),
                format!("该文件展开后的文本有 {length} 字节，过大，未收录"),
            ),
            Failure::Ended { complaint, .. } if complaint.contains("memory allocation") => {
                let megabytes = self.limits.memory_bytes >> 20;
                (
                    "memory",
                    format!("reading the file takes more than {megabytes} MB of memory; it is left out"),
                    format!("读取该文件需要超过 {megabytes} MB 内存，未收录"),
                )
            }
            Failure::Ended { status, complaint, .. } => {
                tracing::debug!(path, ?status, complaint, "a reading process ended");
                let how = status.map_or_else(String::new, |status| format!(" ({status})"));
                (
                    "crashed",
                    format!("the file makes its parser fail{how}; it is left out"),
                    "解析该文件时程序出错，未收录".to_owned(),
                )
            }
            Failure::Nonsense(detail) => (
                "crashed",
                format!("the file makes its parser give nonsense ({detail}); it is left out"),
                "解析该文件时程序给出无效结果，未收录".to_owned(),
            ),
        };
        Problem::error(path, None, code, message, message_zh)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.rest();
    }
}

impl Running {
    /// An idle child has nothing to lose.
    fn end(mut self) {
        kill(&mut self.child);
    }
}

fn kill(child: &mut Child) {
    // It may have ended by itself; what counts is that it is waited for.
    let _ = child.kill();
    let _ = child.wait();
}

/// What the child complained of. Its last words may still be on their way for a moment.
fn settled(complaint: &Arc<Mutex<Vec<u8>>>) -> String {
    let deadline = Instant::now() + Duration::from_millis(200);
    while Arc::strong_count(complaint) > 1 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    let kept = complaint.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&kept).into_owned()
}

enum Message {
    Whole(Vec<u8>),
    /// Longer than allowed; nothing of it was read.
    TooLong(u64),
}

fn write_message(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&(bytes.len() as u64).to_le_bytes())?;
    to.write_all(bytes)?;
    to.flush()
}

fn read_message(from: &mut impl Read, most: u64) -> io::Result<Message> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > most {
        return Ok(Message::TooLong(length));
    }
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Message::Whole(bytes))
}

/// The child's side of [`Worker`]: reads requests until there are no more.
///
/// # Errors
/// When the limits cannot be set or the pipes break.
pub fn serve(mut requests: impl Read, mut answers: impl Write, limits: Limits) -> io::Result<()> {
    limit_memory(limits.memory_bytes)?;
    let watched = Arc::new(Watched { begun: Instant::now(), busy_until_ms: AtomicU64::new(0) });
    watch(Arc::clone(&watched));
    loop {
        let request = match read_message(&mut requests, u64::MAX) {
            Ok(Message::Whole(request)) => request,
            Ok(Message::TooLong(_)) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        let until = watched.begun.elapsed() + limits.time + GRACE;
        watched.busy_until_ms.store(until.as_millis() as u64, Ordering::Relaxed);
        let answer = answer(&request);
        let json = serde_json::to_vec(&answer)?;
        watched.busy_until_ms.store(0, Ordering::Relaxed);
        write_message(&mut answers, &json)?;
    }
}

fn answer(request: &[u8]) -> Result<Parsed, Problem> {
    let split = request.iter().position(|&byte| byte == 0).unwrap_or(request.len());
    let name = std::str::from_utf8(&request[..split]).unwrap_or_default();
    let format = Format::of(&format!("x.{name}")).ok_or_else(|| crashed(""))?;
    parse("", format, request.get(split + 1..).unwrap_or_default())
}

/// Until when the file at hand may take, in ms since `begun`; 0 between files.
struct Watched {
    begun: Instant,
    busy_until_ms: AtomicU64,
}

/// Ends the process when a file takes too long: the parent does that, but a parent may be gone.
fn watch(watched: Arc<Watched>) {
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(250));
            let until = watched.busy_until_ms.load(Ordering::Relaxed);
            if until > 0 && watched.begun.elapsed().as_millis() as u64 > until {
                std::process::abort();
            }
        }
    });
}

/// Linux counts private memory that may be written to, touched or not; what allocators only reserve is left out. Whoever
/// started the program may have set less already, which then holds.
#[cfg(unix)]
fn limit_memory(bytes: u64) -> io::Result<()> {
    let (_, most) = rlimit::getrlimit(rlimit::Resource::DATA)?;
    let bytes = bytes.min(most);
    rlimit::setrlimit(rlimit::Resource::DATA, bytes, bytes)?;
    // A dump of a crashed parser's memory helps nobody here.
    rlimit::setrlimit(rlimit::Resource::CORE, 0, 0)
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "it fails elsewhere")]
fn limit_memory(_bytes: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_or_an_error() {
        let mut wire = Vec::new();
        write_message(&mut wire, "换线".as_bytes()).expect("a buffer takes all");
        assert!(
            matches!(read_message(&mut wire.as_slice(), 6), Ok(Message::Whole(bytes)) if bytes == "换线".as_bytes())
        );
        assert!(matches!(read_message(&mut wire.as_slice(), 5), Ok(Message::TooLong(6))));
        assert!(read_message(&mut &wire[..10], 6).is_err());
    }

    #[test]
    fn a_worker_whose_program_does_not_answer_gives_a_reason() {
        let read = |program: &str, arguments: &[&str], limits: Limits| {
            let worker = Worker::new(program, arguments.iter().copied(), limits);
            worker.read("a.pdf", Format::Pdf, b"%PDF").expect_err("no such reader").code
        };
        let short = Limits { time: Duration::from_millis(200), ..Limits::default() };
        assert_eq!(read("/nowhere/at/all", &[], short), "unreadable");
        if cfg!(unix) {
            assert_eq!(read("/bin/sh", &["-c", "exec sleep 60"], short), "timeout");
            let long = Limits::default();
            assert_eq!(read("/bin/sh", &["-c", "exit 3"], long), "crashed");
            let complains = "echo memory allocation of 9 bytes failed >&2; kill -ABRT $$";
            assert_eq!(read("/bin/sh", &["-c", complains], long), "memory");
            let endless = "printf '\\377\\377\\377\\377\\377\\377\\377\\177'; exec cat";
            assert_eq!(read("/bin/sh", &["-c", endless], long), "too_large");
        }
    }
}
