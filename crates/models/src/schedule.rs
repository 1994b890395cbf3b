//! Questions before passages.
//!
//! Indexing keeps every core busy for minutes, and a person waits for a question. A question is therefore computed
//! at once on threads of its own, and as long as one is in work the indexing threads stop at the next layer, some
//! hundred microseconds away. Not more questions than threads run at a time; others wait their turn.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::encoder::Gate;

/// Who may compute now.
pub(crate) struct Schedule {
    max_questions: usize,
    /// Questions in work or waiting. Read without the lock by passages, which then wait under it.
    n_waiting: AtomicUsize,
    n_running: Mutex<usize>,
    changed: Condvar,
}

impl Schedule {
    /// At most `max_questions` run at a time.
    pub(crate) fn new(max_questions: usize) -> Self {
        Self {
            max_questions: max_questions.max(1),
            n_waiting: AtomicUsize::new(0),
            n_running: Mutex::new(0),
            changed: Condvar::new(),
        }
    }

    /// Waits for a place and holds it, and passages back, until the guard is dropped.
    pub(crate) fn question(&self) -> QuestionGuard<'_> {
        self.n_waiting.fetch_add(1, Ordering::SeqCst);
        let mut n_running = self.n_running.lock().unwrap_or_else(PoisonError::into_inner);
        while *n_running >= self.max_questions {
            n_running = self.changed.wait(n_running).unwrap_or_else(PoisonError::into_inner);
        }
        *n_running += 1;
        QuestionGuard { schedule: self }
    }
}

impl Schedule {
    /// Holds passages back without taking a question's place, for work on a question that is done elsewhere.
    pub(crate) fn hold_back(&self) -> HeldBack<'_> {
        self.n_waiting.fetch_add(1, Ordering::SeqCst);
        HeldBack { schedule: self }
    }
}

impl Gate for Schedule {
    fn pass(&self) -> bool {
        if self.n_waiting.load(Ordering::SeqCst) == 0 {
            return true;
        }
        let mut n_running = self.n_running.lock().unwrap_or_else(PoisonError::into_inner);
        while self.n_waiting.load(Ordering::SeqCst) > 0 {
            n_running = self.changed.wait(n_running).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }
}

/// Passages wait as long as this lives.
pub struct HeldBack<'a> {
    schedule: &'a Schedule,
}

impl Drop for HeldBack<'_> {
    fn drop(&mut self) {
        self.schedule.n_waiting.fetch_sub(1, Ordering::SeqCst);
        // Under the lock, so that no passage falls asleep between its look and this call.
        let _n_running = self.schedule.n_running.lock().unwrap_or_else(PoisonError::into_inner);
        self.schedule.changed.notify_all();
    }
}

/// A question in work.
pub(crate) struct QuestionGuard<'a> {
    schedule: &'a Schedule,
}

impl Drop for QuestionGuard<'_> {
    fn drop(&mut self) {
        let mut n_running = self.schedule.n_running.lock().unwrap_or_else(PoisonError::into_inner);
        *n_running -= 1;
        self.schedule.n_waiting.fetch_sub(1, Ordering::SeqCst);
        self.schedule.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_wait_while_a_question_runs_and_go_on_after_it() {
        let schedule = Schedule::new(2);
        schedule.pass();
        let passed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let question = schedule.question();
            scope.spawn(|| {
                schedule.pass();
                passed.fetch_add(1, Ordering::SeqCst);
            });
            let second = schedule.question();
            drop(question);
            std::thread::yield_now();
            assert_eq!(passed.load(Ordering::SeqCst), 0);
            drop(second);
        });
        assert_eq!(passed.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn passages_wait_for_what_is_done_elsewhere_and_questions_do_not() {
        let schedule = Schedule::new(1);
        let passed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let held = schedule.hold_back();
            scope.spawn(|| {
                schedule.pass();
                passed.fetch_add(1, Ordering::SeqCst);
            });
            drop(schedule.question());
            std::thread::yield_now();
            assert_eq!(passed.load(Ordering::SeqCst), 0);
            drop(held);
        });
        assert_eq!(passed.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn no_more_questions_run_than_allowed() {
        let schedule = Schedule::new(2);
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _guard = schedule.question();
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 2);
    }
}
