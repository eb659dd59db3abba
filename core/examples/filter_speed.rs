//! How fast tests run over a column of log lines in memory, one core: `cargo run --release --example filter_speed`.
//!
//! The first line is the limit: the bytes searched for a text that is not there, with no rows and no words.

#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::hint::black_box;
use std::time::Instant;

use arrow_array::StringArray;
use rookery_core::filter::eval::Predicate;
use rookery_core::filter::{Filter, Pattern, Test, Values};
use rookery_core::rows::{Column, Rows};

const CHUNKS: usize = 32;
const CHUNK_ROWS: usize = 8192;
const REPEATS: usize = 8;

/// Fields of numbers as texts: their names, and the text around the number.
const NUMBERS: [(&str, &str); 4] =
    [("integer", "{}"), ("decimal", "{}.25"), ("duration", "{}ms"), ("word", "w{}")];

fn line(n: usize) -> String {
    let status = if n.is_multiple_of(50) { 500 } else { 200 };
    let level = if n.is_multiple_of(50) { "ERROR" } else { "INFO" };
    format!(
        "2026-11-21T10:{:02}:{:02}.{:03}Z {level} [worker-{}] handled request id={:016x} method=GET \
         path=/api/v1/items/{} status={status} bytes={} duration={}ms client=10.{}.{}.{} agent=\"Mozilla/5.0 (X11; Linux)\"",
        n / 60 % 60,
        n % 60,
        n % 1000,
        n % 16,
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15),
        n % 5000,
        n * 37 % 65536,
        n * 7 % 900,
        n % 256,
        n / 256 % 256,
        n % 251,
    )
}

fn main() -> rookery_core::Result<()> {
    let mut bytes = 0;
    let mut chunks: Vec<Rows> = (0..CHUNKS)
        .map(|chunk| {
            let lines = (0..CHUNK_ROWS).map(|row| line(chunk * CHUNK_ROWS + row));
            let column = StringArray::from_iter_values(lines);
            bytes += column.value_data().len();
            let mut columns = vec![("_msg".into(), Column::Text(column))];
            for (name, text) in NUMBERS {
                let texts =
                    (0..CHUNK_ROWS).map(|row| text.replace("{}", &(row * 37 % 5000).to_string()));
                columns.push((name.into(), Column::Text(StringArray::from_iter_values(texts))));
            }
            Rows { len: CHUNK_ROWS, columns }
        })
        .collect();
    let limit = measure(bytes, || {
        for rows in &chunks {
            if let Some(Column::Text(a)) = rows.column("_msg") {
                black_box(memchr::memmem::find(a.value_data(), b"connection refused"));
            }
        }
    });
    println!("{:<28} {:>8.2} GB/s   ({} MB)", "memmem alone", limit, bytes / 1_000_000);
    let phrase = |text: &str| Test::Phrase(text.into());
    let list = |count: usize| Values::list((0..count).map(|i| format!("word{i}")).collect());
    let cases = [
        ("\"connection refused\" (none)", phrase("connection refused")),
        ("ERROR (1 in 50)", phrase("ERROR")),
        ("status=200 (49 in 50)", phrase("status=200")),
        ("request (all)", phrase("request")),
        ("reques (all, no word)", phrase("reques")),
        ("v1* (all)", Test::Prefix("v1".into())),
        ("i(error)", Test::CasePhrase("error".into())),
        ("seq(ERROR, 500)", Test::Sequence(vec!["ERROR".into(), "500".into()])),
        ("~\"status=50[0-9]\"", Test::Regexp(Pattern::new("status=50[0-9]")?)),
        ("~\"refused|timed out\"", Test::Regexp(Pattern::new("refused|timed out")?)),
        ("~\"(?i)refused\"", Test::Regexp(Pattern::new("(?i)refused")?)),
        ("~\"id=[0-9a-f]+ method=PUT\"", Test::Regexp(Pattern::new("id=[0-9a-f]+ method=PUT")?)),
        ("contains_any(4)", Test::ContainsAny(list(4))),
        ("contains_any(1000)", Test::ContainsAny(list(1000))),
        ("len_range(0, 100)", Test::LengthRange { min: 0, max: 100 }),
    ];
    for (name, test) in cases {
        let predicate = Predicate::new(&Filter::field("_msg", test))?;
        let mut hits = 0;
        let speed = measure(bytes, || {
            hits = chunks
                .iter_mut()
                .map(|rows| predicate.evaluate(rows).map_or(0, |bits| bits.count_set_bits()))
                .sum();
        });
        println!("{name:<28} {speed:>8.2} GB/s   {hits} rows");
    }
    for (name, _) in NUMBERS {
        let test = Test::Range { min: 4000.0, max: f64::INFINITY };
        let predicate = Predicate::new(&Filter::field(name, test))?;
        let rows = CHUNKS * CHUNK_ROWS;
        let speed = measure(rows, || {
            for rows in &mut chunks {
                black_box(predicate.evaluate(rows).map_or(0, |bits| bits.count_set_bits()));
            }
        });
        println!("{:<28} {:>8.1} M rows/s", format!("{name}:>=4000"), speed * 1e3);
    }
    Ok(())
}

/// The best of some runs, in GB/s.
fn measure(bytes: usize, mut run: impl FnMut()) -> f64 {
    let best = (0..REPEATS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    bytes as f64 / best.min().unwrap_or_default().as_secs_f64() / 1e9
}
