//! Times in lines: any text must be read without a panic, and every time must be found as it was printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_collector::decode::config::{TimeConfig, TimeFormat, Zone};
use rookery_collector::decode::time_of;
use rookery_core::time::rfc3339;
use rookery_fuzz::NOW;

fuzz_target!(|data: &[u8]| {
    let Some((&[mode], rest)) = data.split_first_chunk::<1>() else { return };
    let zone = ["UTC", "+05:30", "America/New_York", "Europe/Berlin"][usize::from(mode) % 4];
    let mut config = TimeConfig { zone: Zone::new(zone).expect("a zone"), ..TimeConfig::default() };
    let text = String::from_utf8_lossy(rest);
    if let Some(time) = time_of(&config, &text, NOW) {
        // What was found is a time that can be printed and found again.
        assert_eq!(time_of(&config, &rfc3339(time), NOW), Some(time), "{text:?}");
    }
    if let Some(nanos) = rest.first_chunk::<8>().map(|b| i64::from_le_bytes(*b)).filter(|n| *n >= 0)
    {
        let nanos = nanos.min(9_214_646_400_000_000_000 - 1);
        let line = format!("{} INFO x", rfc3339(nanos));
        assert_eq!(time_of(&config, &line, NOW), Some(nanos), "{line}");
    }
    if let Some((format, line)) = text.split_once('\n')
        && let Ok(format) = TimeFormat::new(format)
    {
        config.formats = vec![format];
        let _ = time_of(&config, line, NOW);
    }
});
