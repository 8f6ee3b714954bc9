//! Terminals of a tmux server of their own, which ends with the test.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// How long a test waits for something on the screen, which is much longer than anything takes.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Prints whether the terminal edits lines and echoes what is typed, as it normally does.
const MODES: &str = r"stty -a | tr ' ;' '\n\n' | grep -x -e icanon -e -icanon -e echo -e -echo | tr '\n' ' '";

/// A tmux server. Dropping it ends it with everything that runs in it.
pub(crate) struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// The server of a test, whose socket is in this folder.
    pub(crate) async fn start(folder: &Path) -> Self {
        let tmux = Self { socket: folder.join("tmux") };
        // The first session keeps the server running.
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "-s", "first", "cat"]).await;
        tmux
    }

    /// Opens a terminal of this size with a program in it. When the program ends, the terminal shows its exit code and
    /// the modes of the terminal, and stays.
    pub(crate) async fn open(&self, name: &str, (width, height): (u16, u16), program: &str) {
        let pid = self.pid_file(name);
        let shell = format!(
            "sh -c 'echo $$ > \"$0\"; exec \"$@\"' '{}' {program}; echo \"ended $?, $({MODES})\"; cat",
            pid.display()
        );
        let (width, height) = (width.to_string(), height.to_string());
        self.run(&["new-session", "-d", "-s", name, "-x", &width, "-y", &height, &shell]).await;
    }

    /// Types a text.
    pub(crate) async fn type_in(&self, name: &str, text: &str) {
        self.run(&["send-keys", "-t", name, "-l", "--", text]).await;
    }

    /// Types a text and presses Enter.
    pub(crate) async fn enter(&self, name: &str, text: &str) {
        self.type_in(name, text).await;
        self.key(name, "Enter").await;
    }

    /// Presses a key, by its name.
    pub(crate) async fn key(&self, name: &str, key: &str) {
        self.run(&["send-keys", "-t", name, key]).await;
    }

    /// Presses a key in two terminals at the same time.
    pub(crate) async fn key_in_both(&self, (one, other): (&str, &str), key: &str) {
        self.run(&["send-keys", "-t", one, key, ";", "send-keys", "-t", other, key]).await;
    }

    /// Presses Enter and ends the program, before anything can happen in between.
    pub(crate) async fn enter_and_end(&self, name: &str, text: &str) {
        self.type_in(name, text).await;
        self.run(&["send-keys", "-t", name, "Enter", "C-c"]).await;
    }

    /// Pastes a text, as a terminal does that marks what is pasted.
    pub(crate) async fn paste(&self, name: &str, text: &str) {
        self.run(&["set-buffer", "--", text]).await;
        self.run(&["paste-buffer", "-p", "-r", "-t", name]).await;
    }

    pub(crate) async fn resize(&self, name: &str, (width, height): (u16, u16)) {
        self.run(&["resize-window", "-t", name, "-x", &width.to_string(), "-y", &height.to_string()]).await;
    }

    /// Closes a terminal, as a person closes a window.
    pub(crate) async fn close(&self, name: &str) {
        self.run(&["kill-session", "-t", name]).await;
    }

    /// What a terminal shows.
    pub(crate) async fn screen(&self, name: &str) -> String {
        self.run(&["capture-pane", "-p", "-t", name]).await
    }

    /// Waits until a terminal shows exactly these texts underlined, which is how found words are marked.
    pub(crate) async fn marks(&self, name: &str, wanted: &[&str]) {
        sealpost_testkit::eventually(&format!("{wanted:?} marked"), async || {
            let marked = underlined(&self.run(&["capture-pane", "-p", "-e", "-t", name]).await);
            (marked == wanted).then_some(())
        })
        .await;
    }

    /// Waits until a terminal shows this.
    pub(crate) async fn shows(&self, name: &str, wanted: &str) {
        self.screen_when(name, wanted, |screen| screen.contains(wanted).then_some(())).await;
    }

    /// Presses Escape, and waits until this is gone: a terminal would take Escape and the next key for one.
    pub(crate) async fn escape(&self, name: &str, shown: &str) {
        self.key(name, "Escape").await;
        self.gone(name, shown).await;
    }

    /// Presses a key that has no other effect, and waits until the note is gone: the next one may be the same.
    pub(crate) async fn dismiss(&self, name: &str, note: &str) {
        self.key(name, "Left").await;
        self.gone(name, note).await;
    }

    /// Waits until a terminal no longer shows this.
    pub(crate) async fn gone(&self, name: &str, shown: &str) {
        self.screen_when(name, "something else", |screen| (!screen.contains(shown)).then_some(())).await;
    }

    /// The twelve groups of the safety number that a terminal shows.
    pub(crate) async fn safety_number(&self, name: &str) -> Vec<String> {
        let is_group = |word: &&str| word.len() == 5 && word.bytes().all(|byte| byte.is_ascii_digit());
        self.screen_when(name, "a safety number", |screen| {
            let groups: Vec<_> = screen.split_whitespace().filter(is_group).map(str::to_owned).collect();
            (groups.len() == 12).then_some(groups)
        })
        .await
    }

    /// Waits until a screen has what is looked for. A screen may be read while it is being drawn.
    async fn screen_when<T>(&self, name: &str, wanted: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let screen = self.screen(name).await;
            if let Some(found) = find(&screen) {
                return found;
            }
            assert!(Instant::now() < deadline, "{name} does not show {wanted:?}:\n{screen}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until one of two screens has what is looked for, and returns what both have.
    pub(crate) async fn screen_of_either<T>(
        &self,
        (one, other): (&str, &str),
        find: impl Fn(&str) -> Option<T>,
    ) -> (Option<T>, Option<T>) {
        sealpost_testkit::eventually("something on a screen", async || {
            let found = (find(&self.screen(one).await), find(&self.screen(other).await));
            (found.0.is_some() || found.1.is_some()).then_some(found)
        })
        .await
    }

    /// Whether a program uses the terminal as a screen, or receives the movements of its mouse.
    pub(crate) async fn is_in_use(&self, name: &str) -> bool {
        let flags =
            ["display-message", "-p", "-t", name, "#{alternate_on}#{mouse_any_flag}#{mouse_all_flag}"];
        self.run(&flags).await.contains('1')
    }

    /// The process id of the program in a terminal.
    pub(crate) fn pid_of_program(&self, name: &str) -> u32 {
        std::fs::read_to_string(self.pid_file(name)).unwrap().trim().parse().unwrap()
    }

    fn pid_file(&self, name: &str) -> PathBuf {
        self.socket.with_file_name(format!("{name}.pid"))
    }

    /// Waits until a process has ended.
    pub(crate) async fn ends(&self, pid: u32) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let mut probe = Command::new("sh");
            let alive = probe.args(["-c", &format!("kill -0 {pid}")]).stderr(Stdio::null()).status().await;
            if !alive.unwrap().success() {
                return;
            }
            assert!(Instant::now() < deadline, "the program does not end");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().await;
        let Output { status, stdout, stderr } = output.expect("tmux is installed; ./dev test does that");
        assert!(status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        // Neither the caller's tmux nor the caller's language matters.
        command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").arg("-u").arg("-S").arg(&self.socket);
        command.args(arguments);
        command
    }
}

/// The underlined texts of a screen with its attributes, which are control sequences (ECMA-48, SGR).
fn underlined(screen: &str) -> Vec<String> {
    let (mut found, mut is_on) = (Vec::new(), false);
    for (place, part) in screen.split("\u{1b}[").enumerate() {
        // Only the first part does not begin with a sequence.
        let (sequence, text) = if place == 0 { ("", part) } else { part.split_once('m').unwrap() };
        for attribute in sequence.split(';').filter(|_| place > 0) {
            match attribute {
                "4" => is_on = true,
                "" | "0" | "24" => is_on = false,
                _ => {}
            }
        }
        if is_on && !text.is_empty() {
            found.push(text.to_owned());
        }
    }
    found
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).into_std().output();
        // The programs notice that their terminals are gone, and close their databases in the folder.
        let wait = format!(
            "for file in '{}'/*.pid; do n=0; while kill -0 $(cat \"$file\") && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done; done",
            self.socket.with_file_name("").display()
        );
        let _ = std::process::Command::new("sh").args(["-c", &wait]).output();
    }
}
