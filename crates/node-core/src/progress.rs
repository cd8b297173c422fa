//! How far something long has come: a bar on a terminal, lines in the log otherwise. What is quick says nothing.
//!
//! Bars and log share standard error. So bars are only drawn after [`draw_bars`], by a program whose log writes through [`log_writer`], which takes the bars away for as long
//! as it writes a line. A program that does not know of bars gets lines, and so does standard error that is no terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    borrow::Cow,
    fmt,
    io::{self, IsTerminal, Write},
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::info;

/// Bars that are on the terminal, one below the other.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
/// Their number: without one the log need not look after them.
static VISIBLE: AtomicUsize = AtomicUsize::new(0);
/// Whether bars are drawn.
static DRAW: AtomicBool = AtomicBool::new(false);

/// Draws bars from now on if standard error is a terminal. The log must write through [`log_writer`].
pub fn draw_bars() {
    DRAW.store(io::stderr().is_terminal(), Ordering::Relaxed);
}

/// Standard error for log lines, with the bars out of the way.
pub const fn log_writer() -> LogWriter {
    LogWriter(())
}

/// See [`log_writer`].
#[derive(Debug)]
pub struct LogWriter(());

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if VISIBLE.load(Ordering::Acquire) == 0 {
            return io::stderr().write_all(bytes);
        }
        BARS.suspend(|| io::stderr().write_all(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// When something is worth telling.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Nothing is told of what is over before.
    quiet: Duration,
    /// Time between two lines.
    line: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { quiet: Duration::from_secs(1), line: Duration::from_secs(5) }
    }
}

/// A long piece of work. Dropping it takes its bar away; [`Self::finish`] also says that it is done.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    unit: Cow<'static, str>,
    pace: Pace,
    started: Instant,
    /// When the last line was written.
    told: Option<Instant>,
    /// Where it stood at first.
    first: Option<u64>,
    done: u64,
    of: Option<u64>,
    bar: Option<Bar>,
}

impl Progress {
    /// `what` is done, counted in `unit` (plural).
    pub fn new(what: &'static str, unit: impl Into<Cow<'static, str>>) -> Self {
        Self {
            what,
            unit: unit.into(),
            pace: Pace::default(),
            started: Instant::now(),
            told: None,
            first: None,
            done: 0,
            of: None,
            bar: None,
        }
    }

    /// Has come to `done`, of `of` if that is known. The first call says where it begins.
    pub fn set(&mut self, done: u64, of: impl Into<Option<u64>>) {
        self.first.get_or_insert(done);
        (self.done, self.of) = (done, of.into());
        if self.started.elapsed() < self.pace.quiet {
            return;
        }
        if DRAW.load(Ordering::Relaxed) {
            let (rate, left) = (self.rate(), self.left());
            let bar = self.bar.get_or_insert_with(|| Bar::new(self.what, self.unit.clone()));
            bar.set(self.done, self.of, rate, left);
        } else if self.told.is_none_or(|told| told.elapsed() >= self.pace.line) {
            self.told = Some(Instant::now());
            self.line();
        }
    }

    fn line(&self) {
        let (what, unit, done) = (self.what, &*self.unit, self.done);
        let per_second = Rounded(self.rate());
        match (self.of, self.left()) {
            (Some(of), Some(left)) => {
                let left = humantime::format_duration(left);
                info!(target: "progress", done, of, unit, %per_second, %left, "{what}");
            }
            (of, _) => info!(target: "progress", done, of, unit, %per_second, "{what}"),
        }
    }

    /// Units per second so far.
    fn rate(&self) -> f64 {
        let done = self.done.saturating_sub(self.first.unwrap_or(self.done));
        done as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    /// Time to the end, in whole seconds, if it goes on like this.
    fn left(&self) -> Option<Duration> {
        let seconds = self.of?.saturating_sub(self.done) as f64 / self.rate();
        // Longer than a hundred years, or without end: nobody waits for it.
        (seconds < 3.2e9).then(|| Duration::from_secs(seconds.round() as u64))
    }

    /// It is done. Says so if anything was told before.
    pub fn finish(mut self) {
        let had_bar = self.bar.take().is_some();
        if had_bar || self.told.is_some() {
            let (what, unit, done) = (self.what, &*self.unit, self.done);
            let elapsed =
                humantime::format_duration(Duration::from_secs(self.started.elapsed().as_secs()));
            info!(target: "progress", done, unit, %elapsed, "{what}: done");
        }
    }
}

/// A number with one digit behind the point where it is small.
struct Rounded(f64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.0 < 100.0 { 1 } else { 0 };
        write!(f, "{:.digits$}", self.0)
    }
}

/// A bar on the terminal.
#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    unit: Cow<'static, str>,
}

impl Bar {
    fn new(what: &'static str, unit: Cow<'static, str>) -> Self {
        VISIBLE.fetch_add(1, Ordering::AcqRel);
        let bar = BARS.add(ProgressBar::no_length());
        bar.set_prefix(what);
        Self { bar, unit }
    }

    fn set(&self, done: u64, of: Option<u64>, rate: f64, left: Option<Duration>) {
        let template = if of.is_some() {
            "{prefix} [{bar:30}] {percent}% {human_pos}/{human_len} {msg}"
        } else {
            "{prefix} {human_pos} {msg}"
        };
        if self.bar.length() != of || self.bar.position() == 0 {
            // Both are valid; a style that is not would leave the one before.
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style.progress_chars("=> "));
            }
            match of {
                Some(of) => self.bar.set_length(of),
                None => self.bar.unset_length(),
            }
        }
        let left = left.map(|left| format!(", {} left", humantime::format_duration(left)));
        let (unit, rate) = (&self.unit, Rounded(rate));
        self.bar.set_message(format!("{unit}, {rate}/s{}", left.unwrap_or_default()));
        self.bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        BARS.remove(&self.bar);
        VISIBLE.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;

    /// Log lines of this thread.
    #[derive(Debug, Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(work: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// `units` in ten seconds, from `first` on.
    fn ten_seconds_in(first: u64, pace: Pace) -> Progress {
        let mut progress = Progress { pace, ..Progress::new("building the tree", "blocks") };
        progress.started = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        progress.first = Some(first);
        progress
    }

    #[test]
    fn without_a_terminal_there_are_lines_with_rate_and_time_left() {
        let written = lines(|| {
            let mut progress = ten_seconds_in(1_000, Pace::default());
            progress.set(3_000, 9_000);
            // Too soon for another line.
            progress.set(3_001, 9_000);
            progress.told = Instant::now().checked_sub(Duration::from_secs(6));
            progress.set(4_000, None);
            progress.finish();
        });
        assert_eq!(
            written,
            [
                r#" INFO progress: building the tree done=3000 of=9000 unit="blocks" per_second=200 left=30s"#,
                r#" INFO progress: building the tree done=4000 unit="blocks" per_second=300"#,
                r#" INFO progress: building the tree: done done=4000 unit="blocks" elapsed=10s"#,
            ]
        );
    }

    #[test]
    fn what_is_quick_or_stands_still_makes_no_noise() {
        let quick = lines(|| {
            let mut progress = Progress::new("building the tree", "blocks");
            progress.set(0, 10);
            progress.set(10, 10);
            progress.finish();
        });
        assert_eq!(quick, Vec::<String>::new());
        // What has not moved has no end in sight, and what is dropped is not done.
        let stuck = lines(|| ten_seconds_in(7, Pace::default()).set(7, 9));
        assert_eq!(
            stuck,
            [r#" INFO progress: building the tree done=7 of=9 unit="blocks" per_second=0.0"#]
        );
    }

    #[test]
    fn the_log_writes_around_a_bar() {
        let bar = Bar::new("building the tree", "blocks".into());
        bar.set(0, None, 0.0, None);
        assert_eq!((bar.bar.length(), bar.bar.message()), (None, "blocks, 0.0/s".to_owned()));
        bar.set(5, Some(10), 2.5, Some(Duration::from_secs(2)));
        assert_eq!((bar.bar.length(), bar.bar.position()), (Some(10), 5));
        assert_eq!(bar.bar.message(), "blocks, 2.5/s, 2s left");
        assert_eq!(VISIBLE.load(Ordering::Acquire), 1);
        log_writer().write_all(b"a line of the log\n").unwrap();
        drop(bar);
        assert_eq!(VISIBLE.load(Ordering::Acquire), 0);
        log_writer().write_all(b"another one\n").unwrap();
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(Rounded(0.26).to_string(), "0.3");
        assert_eq!(Rounded(1234.5).to_string(), "1234");
        let mut progress = ten_seconds_in(0, Pace { quiet: Duration::MAX, line: Duration::ZERO });
        progress.set(1, u64::MAX);
        assert_eq!(progress.left(), None);
        progress.set(95, 100);
        assert_eq!(progress.left(), Some(Duration::from_secs(1)));
    }
}
