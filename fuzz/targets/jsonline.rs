//! Pushed JSON lines: each line that is not blank becomes a record or is counted as wrong.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_fuzz::{message, source};
use rookery_receiver::decode::{Shape, json_lines};

fuzz_target!(|data: &[u8]| {
    let parameters = [
        "",
        "_time_field=t&_msg_field=m&_stream_fields=a,b",
        "_stream_fields=namespace,a&ignore_fields=x*&extra_fields=a=1,namespace=n",
    ];
    let Some((mode, body)) = data.split_first() else { return };
    let shape = Shape::of_parameters(parameters[usize::from(*mode) % parameters.len()]);
    let read = json_lines(body, &shape, &source(), message()).expect("a small body");
    let lines = body.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    assert_eq!(read.records + read.refused, lines.count() as u64);
});
