//! Starting other programs: always without standard input, always with the command line in the error.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{self, Stdio};

use anyhow::{Context, Result, bail};

/// A program with its arguments, not yet started.
#[derive(Debug)]
pub(crate) struct Command(process::Command);

impl Command {
    /// A program by name or path.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = process::Command::new(program);
        command.stdin(Stdio::null());
        Self(command)
    }

    /// With these arguments.
    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.0.args(args);
        self
    }

    /// With an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Without an environment variable.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.0.env_remove(name);
        self
    }

    /// In this folder.
    pub(crate) fn current_dir(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Runs it, its output on the terminal.
    ///
    /// # Errors
    /// When it cannot be started, or says that it failed.
    pub(crate) fn run(mut self) -> Result<()> {
        let status = self.0.status().with_context(|| format!("cannot start {}", self.line()))?;
        if !status.success() {
            bail!("{} ended with {status}", self.line());
        }
        Ok(())
    }

    /// Runs it; gives its standard output, its errors on the terminal.
    ///
    /// # Errors
    /// When it cannot be started, says that it failed, or writes something that is not text.
    pub(crate) fn output(mut self) -> Result<String> {
        self.0.stderr(Stdio::inherit());
        let output = self.0.output().with_context(|| format!("cannot start {}", self.line()))?;
        if !output.status.success() {
            bail!("{} ended with {}", self.line(), output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("the output of {}", self.line()))
    }

    /// Runs it, hands every line of its standard output to `each`; gives whether it succeeded.
    ///
    /// # Errors
    /// When it cannot be started or read.
    pub(crate) fn each_line(mut self, mut each: impl FnMut(&str)) -> Result<bool> {
        self.0.stdout(Stdio::piped());
        let mut child = self.0.spawn().with_context(|| format!("cannot start {}", self.line()))?;
        let output = child.stdout.take().expect("standard output was piped");
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            each(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
        Ok(child.wait()?.success())
    }

    /// Starts it in a process group of its own, so that Ctrl-C at this terminal does not reach it, and lets it run; what it prints
    /// goes to a file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn detached(mut self, output: File) -> Result<process::Child> {
        self.0.stdout(output.try_clone()?).stderr(output).process_group(0);
        self.0.spawn().with_context(|| format!("cannot start {}", self.line()))
    }

    /// Whether it can be started and says that it succeeded, its output thrown away.
    pub(crate) fn succeeds(mut self) -> bool {
        self.0.stdout(Stdio::null()).stderr(Stdio::null());
        self.0.status().is_ok_and(|status| status.success())
    }

    fn line(&self) -> String {
        let words = std::iter::once(self.0.get_program()).chain(self.0.get_args());
        let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
        format!("`{}`", words.join(" "))
    }
}
