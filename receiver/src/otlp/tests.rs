use rookery_core::time;
use serde_json::json;

use crate::Protocol;
use crate::tests::{Bench, Mood};
use crate::wire::{last, write};

const REQUEST: &str = r#"{"resourceLogs":[{"resource":{"attributes":[
    {"key":"service.name","value":{"stringValue":"checkout"}},
    {"key":"k8s.namespace.name","value":{"stringValue":"shop"}},
    {"key":"process.pid","value":{"intValue":"42"}}]},
  "scopeLogs":[{"scope":{"name":"lib","version":"2"},"logRecords":[
    {"timeUnixNano":"1795255200000000005","severityNumber":17,"severityText":"Error","body":{"stringValue":"declined"},
     "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",
     "attributes":[{"key":"n","value":{"doubleValue":1.5}},{"key":"ok","value":{"boolValue":false}},
       {"key":"http","value":{"kvlistValue":{"values":[{"key":"status","value":{"intValue":503}}]}}},
       {"key":"list","value":{"arrayValue":{"values":[{"stringValue":"a\"b"},{"intValue":"-1"}]}}},
       {"key":"raw","value":{"bytesValue":"AQI="}}]},
    {"observedTimeUnixNano":1795255200000000006,"severityNumber":"SEVERITY_NUMBER_WARN2","unknown":{"x":[1]},
     "body":{"kvlistValue":{"values":[{"key":"event","value":{"stringValue":"x"}}]}}},
    {}]}]}]}"#;

#[tokio::test]
async fn json_and_protocol_buffers_give_the_same_rows() {
    let bench = Bench::new();
    let answer = bench.post("/v1/logs", &[("content-type", "application/json")], REQUEST).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"partialSuccess": {}})));
    let binary = super::transcode::from_json(REQUEST.as_bytes()).unwrap();
    let answer =
        bench.post("/v1/logs", &[("content-type", "application/x-protobuf")], binary).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    assert_eq!(answer.headers["content-type"], "application/x-protobuf");

    let seen = bench.seen();
    assert_eq!(seen.len(), 6);
    for (json, binary) in seen[..3].iter().zip(&seen[3..]) {
        assert_eq!(
            (&json.body, &json.fields, json.stream),
            (&binary.body, &binary.fields, binary.stream)
        );
    }
    let first = &seen[0];
    assert_eq!(
        (first.body.as_str(), first.severity, first.time),
        ("declined", 17, 1_795_255_200_000_000_005)
    );
    assert_eq!(first.trace_id.as_deref(), Some("5b8efff798038103d269b633813fc60c"));
    assert_eq!((first.column("source"), first.column("namespace")), ("otlp", "shop"));
    assert_eq!(
        first.tags,
        r#"{k8s.namespace.name="shop",process.pid="42",service.name="checkout"}"#
    );
    for (name, value) in [
        ("n", "1.5"),
        ("ok", "false"),
        ("http.status", "503"),
        ("list", r#"["a\"b",-1]"#),
        ("raw", "AQI="),
        ("severity_text", "Error"),
        ("scope.name", "lib"),
        ("service.name", "checkout"),
    ] {
        assert_eq!(first.field(name), Some(value), "{name}");
    }
    assert_eq!((seen[1].body.as_str(), seen[1].severity), (r#"{"event":"x"}"#, 14));
    assert_eq!((seen[1].field("event"), seen[1].time), (Some("x"), 1_795_255_200_000_000_006));
    assert!(
        time::now() - seen[2].time < time::MINUTE,
        "without any time it is that of the arrival"
    );
}

#[tokio::test]
async fn errors_are_a_status_in_the_form_of_the_request() {
    let bench = Bench::new();
    let wrong = bench.post("/v1/logs", &[("content-type", "application/json")], "[").await;
    assert_eq!((wrong.status.as_u16(), &wrong.json()["code"]), (400, &json!(3)));
    for body in [&b"\x0a\x05abc"[..], b"\x0a\x02\x0a\xff", b"\x0a\x04\x12\x02\x12\xff"] {
        let wrong =
            bench.post("/v1/logs", &[("content-type", "application/x-protobuf")], body).await;
        assert_eq!(
            (wrong.status.as_u16(), last(&wrong.body, 1).unwrap().number()),
            (400, 3),
            "{body:?}"
        );
    }
    assert_eq!(bench.post("/v1/logs", &[("content-type", "text/plain")], "").await.status, 415);
    *bench.queue.mood.lock().unwrap() = Mood::Fails;
    let away = bench.post("/v1/logs", &[("content-type", "application/json")], REQUEST).await;
    assert_eq!((away.status.as_u16(), &away.json()["code"]), (503, &json!(14)));
    assert_eq!(away.headers["retry-after"], "1");
}

#[tokio::test]
async fn records_that_cannot_be_stored_are_the_partial_success() {
    let config =
        crate::ReceiverConfig { line_limit: rookery_core::units::Bytes(5), ..Default::default() };
    let bench = Bench::with(config, Default::default());
    let answer = bench.post("/v1/logs", &[("content-type", "application/json")], REQUEST).await;
    let partial = answer.json()["partialSuccess"].clone();
    assert_eq!((answer.status.as_u16(), &partial["rejectedLogRecords"]), (200, &json!("2")));
    assert!(
        partial["errorMessage"].as_str().unwrap().contains("log record 1 is over"),
        "{partial}"
    );
    assert_eq!((bench.seen().len(), bench.count("refused_records", Protocol::Otlp)), (1, 2));
}

#[tokio::test]
async fn a_call_of_grpc_is_answered_in_its_trailers() {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;
    let bench = Bench::new();
    let message = super::transcode::from_json(REQUEST.as_bytes()).unwrap();
    let gzip = {
        use std::io::Write as _;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&message).unwrap();
        gzip.finish().unwrap()
    };
    let framed = |flag: u8, message: &[u8]| {
        [&[flag][..], &(message.len() as u32).to_be_bytes(), message].concat()
    };
    let calls = [
        (framed(0, &message), "identity", "0"),
        (framed(1, &gzip), "gzip", "0"),
        (framed(1, &message), "gzip", "3"),
        (message.clone(), "identity", "3"),
        (framed(0, b"\xff"), "identity", "3"),
    ];
    for (body, encoding, status) in calls {
        let request = axum::http::Request::post(super::grpc::PATH)
            .header("content-type", "application/grpc")
            .header("grpc-encoding", encoding)
            .body(axum::body::Body::from(body))
            .unwrap();
        let response = bench.receivers.router(true).oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/grpc");
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], status, "{encoding}");
        let bytes = collected.to_bytes();
        assert_eq!(bytes.as_ref(), if status == "0" { &[0; 5][..] } else { &[] });
    }
    assert_eq!(bench.seen().len(), 6);
}

#[test]
fn deep_and_odd_values_end() {
    let mut value = Vec::new();
    for _ in 0..200 {
        let inner = std::mem::take(&mut value);
        write::message(&mut value, 5, |list| write::bytes(list, 1, &inner));
    }
    let mut request = Vec::new();
    write::message(&mut request, 1, |out| {
        write::message(out, 2, |out| write::message(out, 2, |out| write::bytes(out, 5, &value)));
    });
    let source = crate::decode::Source {
        tenant: Default::default(),
        collector: "t".into(),
        identity: Vec::new(),
        line_limit: rookery_core::units::Bytes::mib(1),
    };
    let message = crate::decode::Message { generation: 1, time: 1 };
    let read = crate::decode::otlp_protobuf(&request, &source, message).unwrap();
    assert_eq!((read.records, read.refused), (1, 0));
}
