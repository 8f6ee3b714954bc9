//! The terminal, which is returned as it was found: at the end, after an error, and after a panic.

use std::io::{self, Stdout, Write as _, stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// Whether the terminal has to be restored.
static IN_USE: AtomicBool = AtomicBool::new(false);
/// What other threads said when they panicked, while the screen was in use.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The terminal in use as a screen. It is restored when this is dropped.
pub(crate) struct Screen {
    pub(crate) terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Starts to use the terminal as a screen. Call it on the thread that draws.
    pub(crate) fn open() -> io::Result<Self> {
        restore_after_panic();
        enable_raw_mode()?;
        IN_USE.store(true, Ordering::SeqCst);
        // From here on, a failure must restore the terminal.
        let screen = Terminal::new(CrosstermBackend::new(stdout())).map(|terminal| Self { terminal });
        let entered = execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, EnableMouseCapture);
        match (screen, entered) {
            (Ok(screen), Ok(())) => Ok(screen),
            (Err(error), _) | (_, Err(error)) => {
                restore();
                Err(error)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
        let said = std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner));
        for panic in said {
            let _ = writeln!(io::stderr(), "chat: {panic}");
        }
    }
}

/// Does as much as possible: the terminal may be gone. It is done once, because a second time would move the cursor back over
/// what has been printed since.
fn restore() {
    if !IN_USE.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ =
        execute!(stdout(), DisableMouseCapture, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

/// A panic of the thread that draws ends the program, so the terminal is restored before it is reported. Other threads are
/// restarted by the library, and the screen goes on; what they say is reported at the end.
fn restore_after_panic() {
    let drawing = thread::current().id();
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if thread::current().id() == drawing {
            restore();
            report(panic);
        } else {
            PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
        }
    }));
}
