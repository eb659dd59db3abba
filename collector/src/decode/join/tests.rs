use crate::decode::config::Pattern;
use crate::decode::tests::{bodies, config, decode};

/// Each group of lines must become one record, in a file that has nothing else and in one that has.
fn check(groups: &[&str]) {
    let text = groups.join("\n") + "\n";
    let (records, _) = decode(config(), text.as_bytes());
    assert_eq!(bodies(&records), groups);
    // The same through the container runtime, where each line has a time.
    let mut cri = String::new();
    for (n, line) in text.lines().enumerate() {
        cri += &format!("2016-10-06T00:17:09.{n:09}Z stderr F {line}\n");
    }
    let (records, _) = decode(config(), cri.as_bytes());
    assert_eq!(bodies(&records), groups);
}

#[test]
fn java_traces_are_one_record() {
    check(&[
        "2026-11-21 01:02:03,978 INFO [main] a.B: before",
        "2026-11-21 01:02:03,979 ERROR [main] a.B: request failed\n\
         java.lang.IllegalStateException: no\n\
         \tat a.b.C.run(C.java:12) ~[app.jar:?]\n\
         \tSuppressed: java.io.IOException: x\n\
         \t\tat a.b.D.close(D.java:1)\n\
         Caused by: java.io.IOException: disk\n\
         \tat a.b.D.read(D.java:9)\n\
         \t... 12 more\n\
         Caused by: a.b.OwnException\n\
         ... 3 common frames omitted",
        "2026-11-21 01:02:04,000 INFO [main] a.B: after",
    ]);
    check(&[
        "Exception in thread \"main\" java.lang.RuntimeException: x\n\tat A.main(A.java:1)",
        "next",
    ]);
}

#[test]
fn python_traces_are_one_record() {
    check(&[
        "ERROR:root:it failed\n\
         Traceback (most recent call last):\n\
         \x20 File \"a.py\", line 1, in f\n\
         \x20   x()\n\
         ZeroDivisionError: division by zero\n\
         \n\
         During handling of the above exception, another exception occurred:\n\
         \n\
         Traceback (most recent call last):\n\
         \x20 File \"a.py\", line 3, in <module>\n\
         ValueError: bad",
        "INFO:root:after",
        "Traceback (most recent call last):\n  File \"b.py\", line 1\nKeyboardInterrupt",
        "done",
    ]);
}

#[test]
fn go_panics_are_one_record() {
    check(&[
        "2026/11/21 01:02:03 started",
        "panic: runtime error: invalid memory address or nil pointer dereference\n\
         [signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x49b]\n\
         \n\
         goroutine 1 [running]:\n\
         main.(*Server).serve(0xc000012345, {0x7f, 0x2})\n\
         \t/app/main.go:12 +0x1d\n\
         main.main()\n\
         \t/app/main.go:5 +0x25\n\
         created by net/http.(*Server).Serve in goroutine 7\n\
         \t/usr/lib/go/http.go:1 +0x1\n\
         exit status 2",
        "restarted",
    ]);
}

#[test]
fn rust_panics_are_one_record() {
    check(&[
        "thread 'main' panicked at src/main.rs:2:5:\n\
         index out of bounds: the len is 1 but the index is 9\n\
         stack backtrace:\n\
         \x20  0: rust_begin_unwind\n\
         \x20            at /rustc/1/library/std/src/panicking.rs:1:5\n\
         note: run with `RUST_BACKTRACE=full`",
        "thread 'main' panicked at 'no', src/main.rs:2:5\nnote: run with `RUST_BACKTRACE=1`",
        "Error: cannot open\n\nCaused by:\n    0: no such file\n    1: os error 2",
        "after",
    ]);
}

#[test]
fn node_and_dotnet_traces_are_one_record() {
    check(&[
        "/app/index.js:10\n\
         \x20   throw new Error('x');\n\
         \x20   ^\n\
         \n\
         TypeError: x\n\
         \x20   at f (/app/index.js:10:11) {\n\
         \x20 code: 'E'\n\
         }\n\
         \n\
         Node.js v20.1.0",
        "after",
        "Unhandled exception. System.InvalidOperationException: no\n\
         \x20---> System.IO.IOException: inner\n\
         \x20  at A.B() in /src/A.cs:line 5\n\
         \x20  --- End of inner exception stack trace ---\n\
         --- End of stack trace from previous location ---\n\
         \x20  at A.C()",
        "fail: App.Startup[0]\n      Something broke\n      System.Exception: x\n         at A.B()",
        "info: App[0]\n      Now listening",
    ]);
}

#[test]
fn what_only_looks_alike_is_not_joined() {
    check(&[
        "ERROR one",
        "ERROR two",
        "an Error: happened",
        "INFO x",
        "ValueError: alone",
        "Caused: no",
    ]);
    check(&["{\"a\":1}", "{\"b\":2}", "{\n  \"c\": 3\n}", "{\"d\":4}"]);
    check(
        &[
            "  all lines",
            "  are indented",
            "  here",
            "    but this is deeper".trim_start_matches("    but this is deeper"),
        ]
        .as_slice()[..3],
    );
    check(&["a", "b\n  c", "d"]);
    check(&["one", " 2026-11-21 01:02:03 an indented record"]);
}

#[test]
fn a_start_pattern_decides_alone() {
    let mut with = config();
    with.multiline.start_pattern = Some(Pattern::new("^BEGIN").unwrap());
    let (records, _) = decode(with, "tail of another\nBEGIN a\nb\n{\"c\":1}\n\nd\nBEGIN e\n");
    assert_eq!(bodies(&records), ["tail of another", "BEGIN a\nb\n{\"c\":1}\n\nd", "BEGIN e"]);
    let mut off = config();
    off.multiline.auto = false;
    let (records, _) = decode(off, "a\n  b\n\tc\n");
    assert_eq!(bodies(&records), ["a", "  b", "\tc"]);
}

#[test]
fn joining_is_bounded_in_lines_bytes_and_time() {
    let mut limited = config();
    limited.multiline.max_lines = 3;
    let (records, _) = decode(limited.clone(), "a\n b\n c\n d\n  e\n");
    assert_eq!(bodies(&records), ["a\n b\n c", " d\n  e"]);
    limited.multiline.max_lines = 100;
    limited.multiline.max_bytes = rookery_core::units::Bytes(8);
    let (records, _) = decode(limited, "a\n 3\n 6\n 9\n");
    assert_eq!(bodies(&records), ["a\n 3\n 6", " 9"]);
    // By the runtime's times, a line that comes much later is no continuation.
    let text = "2016-10-06T00:17:09Z stdout F a\n2016-10-06T00:17:09.1Z stdout F  b\n2016-10-06T00:17:11Z stdout F  c\n";
    let (records, stats) = decode(config(), text);
    assert_eq!(bodies(&records), ["a\n b", " c"]);
    assert_eq!(stats.joined, 1);
}
