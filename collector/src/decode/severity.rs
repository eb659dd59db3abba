//! Severity: where a line of text says it. What its words, letters and numbers mean is in [`rookery_core::severity`].

pub(crate) use rookery_core::severity::{of_letter, of_syslog, of_value, of_word};

/// How far into a line a level is looked for.
const WINDOW: usize = 128;
/// How many words are looked at.
const WORDS: usize = 16;

/// The severity that a line of text says near its start: a word in capitals, a word in brackets or before a colon, or
/// a letter in the places where klog, Android and others print one. 0 when there is none.
pub(crate) fn of_text(line: &[u8]) -> u8 {
    let window = &line[..line.len().min(WINDOW)];
    let mut at = 0;
    for _ in 0..WORDS {
        let Some(start) = letters_start(window, at) else { break };
        let length = window[start..].iter().take_while(|b| b.is_ascii_alphabetic()).count();
        at = start + length;
        let severity = of_place(line, start, at);
        if severity != 0 {
            return severity;
        }
        // What follows belongs to the same word: `ERROR_CODE`, `info2`.
        at += window[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    }
    if starts_crash(line) { ERROR } else { 0 }
}

const ERROR: u8 = 17;

/// Whether a runtime reports the end of a program or of a thread, which has no level.
fn starts_crash(line: &[u8]) -> bool {
    match line.first() {
        Some(b'T') => line.starts_with(b"Traceback (most recent call last)"),
        Some(b'E') => line.starts_with(b"Exception in thread "),
        Some(b'U') => line.starts_with(b"Unhandled exception") || line.starts_with(b"Uncaught "),
        Some(b't') => {
            line.starts_with(b"thread '") && memchr::memmem::find(line, b"' panicked at ").is_some()
        }
        Some(b'g') => {
            line.starts_with(b"goroutine ") && memchr::memmem::find(line, b" [running]:").is_some()
        }
        _ => false,
    }
}

/// The next run of letters that starts a word; the colours of a terminal are no letters.
fn letters_start(window: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *window.get(at)? {
            0x1b => at += window[at..].iter().position(|&b| b == b'm')? + 1,
            byte if byte.is_ascii_alphabetic() => return Some(at),
            byte if byte.is_ascii_digit() || byte == b'_' => {
                at += window[at..]
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
                    .count();
            }
            _ => at += 1,
        }
    }
}

/// The severity of the letters `start..end` of a line, where they stand as a level.
fn of_place(line: &[u8], start: usize, end: usize) -> u8 {
    let word = &line[start..end];
    let before = line[..start].last().copied().unwrap_or(b' ');
    let after = line.get(end).copied().unwrap_or(b' ');
    if let [letter] = *word {
        let digits = |range: std::ops::Range<usize>| {
            line.get(range).is_some_and(|d| d.iter().all(u8::is_ascii_digit))
        };
        let klog = start == 0
            && b"IWEF".contains(&letter)
            && digits(1..5)
            && matches!(line.get(5..), Some([b' ', _, _, b':', ..] | [b'0'..=b'9', ..]));
        let bracketed = before == b'[' && start == 1 && matches!(after, b' ' | b']');
        let slashed = start == 0 && after == b'/';
        let android = before == b' ' && after == b' ' && is_after_numbers(line, start);
        let placed = klog || bracketed || slashed || android;
        return if placed { of_letter(letter) } else { 0 };
    }
    if !(3..=13).contains(&word.len()) || after.is_ascii_digit() || matches!(after, b'_' | b'/') {
        return 0;
    }
    let capital = word[0].is_ascii_uppercase();
    let capitals = capital && word.iter().all(u8::is_ascii_uppercase);
    let bracketed = matches!((before, after), (b'[', b']') | (b'<', b'>') | (b'(', b')'))
        || (before == b'm' && after == 0x1b)
        || (before == b'|' || after == b'|');
    // `error: …`, `sshd: error: …`, `, Info   CBS`, `level=info`.
    let labelled = after == b':' && matches!(before, b' ' | b'[' | b'\t' | b'm')
        || (before == b'=')
        || (capital && after == b' ' && is_after_numbers(line, start))
        || (matches!(after, b' ' | b'\t') && is_after_clock(line, start));
    if !(capitals || bracketed || labelled) {
        return 0;
    }
    match of_word(word) {
        // PostgreSQL's own word for what others call information.
        0 if word == b"LOG" && after == b':' => 9,
        severity => severity,
    }
}

/// Whether the last thing before `at`, spaces and commas apart, is a digit: a time or the number of a process.
fn is_after_numbers(line: &[u8], at: usize) -> bool {
    let ahead = line[..at].iter().rev().find(|b| !matches!(b, b' ' | b','));
    ahead.is_some_and(u8::is_ascii_digit)
}

/// Whether the word ahead of `at` is a clock: `01:02:03`, `2026-11-21T01:02:03.5Z`.
fn is_after_clock(line: &[u8], at: usize) -> bool {
    let ahead = line[..at].trim_ascii_end();
    let word = ahead.rsplit(|b| matches!(b, b' ' | b'\t')).next().unwrap_or(&[]);
    word.iter().filter(|b| **b == b':').count() == 2 && word.iter().any(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_found_where_programs_print_it() {
        let cases: &[(&str, u8)] = &[
            ("03-17 16:13:38.811  1702  2395 D WindowManager: printFreezing", 5),
            ("[Sun Dec 04 04:47:44 2005] [notice] workerEnv.init() ok", 10),
            ("[Sun Dec 04 04:47:44 2005] [error] mod_jk child", 17),
            (
                "- 1117838570 2005.06.03 R02 2005-06-03-15.42.50.675872 R02 RAS KERNEL INFO parity",
                9,
            ),
            ("KERNMNTF 1 2005.09.03 R55-M1-NC-I:J18-U01 RAS KERNEL FATAL Lustre mount FAILED", 21),
            ("081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1", 9),
            ("2015-10-18 18:07:33,393 WARN [LeaseRenewer] org.apache", 13),
            ("2016-09-28 04:30:30, Info                  CBS    Loaded", 9),
            ("2015-07-29 17:41:44,747 - INFO  [QuorumPeer[myid=1]]", 9),
            ("2026/11/21 01:02:03 [warn] 29#29: *1 upstream", 13),
            ("error: kex_exchange_identification", 17),
            ("2026-11-21 10:00:00 UTC [123] LOG:  statement", 9),
            ("\u{1b}[32mINFO\u{1b}[0m[0000] started", 9),
            ("\u{1b}[31merror\u{1b}[0m: broken", 17),
            ("WARNING: something", 13),
            ("info: Microsoft.Hosting.Lifetime[0]", 9),
            ("[I 2026-11-21 01:02:03 app] hello", 9),
            ("E/ActivityManager( 12): text", 17),
            ("I1121 01:02:03.000000       1 file.go:12] text", 9),
            ("2026-11-21T01:02:03Z | ERROR | x", 17),
            ("2026-11-21T01:02:03.5Z info server started", 9),
            ("2026-11-21T01:02:03.5Z\tdebug\tserver", 5),
            ("Traceback (most recent call last):\n  File", 17),
            ("Exception in thread \"main\" java.lang.Error", 17),
            ("thread 'main' panicked at src/main.rs:2:5:\nx", 17),
            ("panic: runtime error: x", 21),
            // What is no level.
            ("2026-11-21T01:02:03.5Z the error", 0),
            ("Failed password for root from 183.62.140.253 port 50215 ssh2", 0),
            ("an error occurred", 0),
            ("the ERRORS were many", 0),
            ("ERROR_CODE 5", 0),
            ("10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /error HTTP/1.1\" 500 1", 0),
            ("I am fine", 0),
            ("I1121 is a room", 0),
            ("", 0),
        ];
        for (line, severity) in cases {
            assert_eq!(of_text(line.as_bytes()), *severity, "{line}");
        }
    }

    #[test]
    fn a_value_is_a_word_a_letter_or_a_number() {
        let cases: &[(&str, u8)] = &[
            ("info", 9),
            ("INFO", 9),
            ("Warning", 13),
            ("30", 9),
            ("10", 1),
            ("60", 21),
            ("3", 17),
            ("I", 9),
            ("critical", 18),
            ("", 0),
            ("70", 0),
            ("informationally", 0),
            ("9", 0),
            ("high", 0),
        ];
        for (text, severity) in cases {
            assert_eq!(of_value(text.as_bytes()), *severity, "{text}");
        }
    }
}
