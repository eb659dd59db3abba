//! Pushed JSON lines: each line that is not blank becomes a record or is counted as wrong.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_query::http::read_jsonline;

fuzz_target!(|data: &[u8]| {
    let parameters = [
        "",
        "_time_field=t&_msg_field=m&_stream_fields=a,b",
        "_stream_fields=namespace,a&ignore_fields=x*&extra_fields=a=1,namespace=n",
    ];
    let Some((mode, body)) = data.split_first() else { return };
    let parameters = parameters[usize::from(*mode) % parameters.len()];
    let (records, wrong) = read_jsonline(parameters, body).expect("the parameters are right");
    let lines = body.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    assert_eq!(records + wrong, lines.count() as u64);
});
