//! Queries: any text must be understood or refused at a place inside it; what is understood prints as text that means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_fuzz::NOW;
use rookery_query::logsql::parse;

fuzz_target!(|text: &str| {
    match parse(text, NOW) {
        Ok(query) => {
            let printed = query.to_string();
            // Quotes and escapes may make a text longer than a query may be.
            if printed.len() < rookery_query::logsql::QUERY_LIMIT_BYTES {
                assert_eq!(parse(&printed, NOW).as_ref(), Ok(&query), "{printed}");
            }
        }
        Err(error) => {
            assert!(text.is_char_boundary(error.position), "{error:?}");
            assert!(!error.message.is_empty());
        }
    }
});
