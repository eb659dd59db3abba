//! Severity: the words, letters and numbers by which programs name it, as OpenTelemetry's severity numbers.
//!
//! The numbers are those of the OpenTelemetry log data model (its appendix maps syslog and log4j): trace 1, debug 5,
//! info 9, notice 10, warn 13, error 17, critical 18, alert 19, fatal and emergency 21.

/// The severity of a value of a field that names one: a word in any case, a letter, or a number.
///
/// A number of 10 to 60 is one of the scale of Bunyan and pino; 0 to 7 one of syslog.
pub fn of_value(text: &[u8]) -> u8 {
    match text {
        [digit @ b'0'..=b'7'] => of_syslog(digit - b'0'),
        [tens @ b'1'..=b'6', b'0'] => [1, 5, 9, 13, 17, 21][usize::from(tens - b'1')],
        [letter] => of_letter(letter.to_ascii_uppercase()),
        _ => of_word(text),
    }
}

/// The severity of syslog's numerical code, 0 to 7; 0 for others.
pub fn of_syslog(code: u8) -> u8 {
    [21, 19, 18, 17, 13, 10, 9, 5].get(usize::from(code)).copied().unwrap_or(0)
}

/// The severity of a letter, as klog and Android print it.
pub fn of_letter(letter: u8) -> u8 {
    match letter {
        b'V' | b'T' => 1,
        b'D' => 5,
        b'I' => 9,
        b'N' => 10,
        b'W' => 13,
        b'E' => 17,
        b'C' => 18,
        b'A' => 19,
        b'F' => 21,
        _ => 0,
    }
}

/// The severity of a word, in any case; 0 when it is none.
pub fn of_word(word: &[u8]) -> u8 {
    let mut lower = [0u8; 13];
    let Some(lower) = lower.get_mut(..word.len()).filter(|l| l.len() >= 3) else { return 0 };
    for (to, from) in lower.iter_mut().zip(word) {
        *to = from | 0x20;
    }
    match &*lower {
        b"trace" | b"trc" | b"finest" | b"finer" | b"verbose" => 1,
        b"debug" | b"dbg" | b"dbug" | b"fine" | b"debu" => 5,
        b"info" | b"inf" | b"information" | b"informational" | b"config" => 9,
        b"notice" | b"note" => 10,
        b"warn" | b"warning" | b"wrn" => 13,
        b"error" | b"err" | b"erro" | b"eror" | b"severe" | b"fail" | b"failure" => 17,
        b"critical" | b"crit" | b"dpanic" | b"crt" => 18,
        b"alert" => 19,
        b"fatal" | b"ftl" | b"emerg" | b"emergency" | b"panic" => 21,
        _ => 0,
    }
}
