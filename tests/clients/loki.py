"""Loki's push API in both of its forms: JSON by a library, and protocol buffers in Snappy as promtail sends them."""
import logging
import sys
import urllib.request

import cramjam
import logging_loki
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

url, seconds = sys.argv[1], int(sys.argv[2])
path = f"{url}/loki/api/v1/push"

handler = logging_loki.LokiHandler(url=path, tags={"app": "json"}, version="1")
logger = logging.getLogger("json")
logger.addHandler(handler)
logger.error("loki %s", "json", extra={"tags": {"namespace": "shop"}})

# The messages of logproto, as pkg/push/push.proto of Loki names and numbers them.
FIELD = descriptor_pb2.FieldDescriptorProto
TYPES = {"string": FIELD.TYPE_STRING, "int64": FIELD.TYPE_INT64, "int32": FIELD.TYPE_INT32}
MESSAGES = {
    "Timestamp": [("seconds", 1, "int64", False), ("nanos", 2, "int32", False)],
    "LabelPairAdapter": [("name", 1, "string", False), ("value", 2, "string", False)],
    "EntryAdapter": [
        ("timestamp", 1, "Timestamp", False),
        ("line", 2, "string", False),
        ("structuredMetadata", 3, "LabelPairAdapter", True),
    ],
    "StreamAdapter": [("labels", 1, "string", False), ("entries", 2, "EntryAdapter", True)],
    "PushRequest": [("streams", 1, "StreamAdapter", True)],
}
file = descriptor_pb2.FileDescriptorProto(name="push.proto", package="logproto", syntax="proto3")
for name, fields in MESSAGES.items():
    message = file.message_type.add(name=name)
    for field, number, kind, repeated in fields:
        label = FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL
        kinds = {"type": TYPES[kind]} if kind in TYPES else {"type": FIELD.TYPE_MESSAGE, "type_name": f".logproto.{kind}"}
        message.field.add(name=field, number=number, label=label, **kinds)
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
PushRequest = message_factory.GetMessageClass(pool.FindMessageTypeByName("logproto.PushRequest"))

push = PushRequest()
stream = push.streams.add(labels='{app="protobuf", namespace="shop", filename="/var/log/a.log"}')
for n in range(500):
    entry = stream.entries.add(line=f"loki protobuf {n}")
    entry.timestamp.seconds, entry.timestamp.nanos = seconds, n
    entry.structuredMetadata.add(name="trace_id", value=f"{n:032x}")
    entry.structuredMetadata.add(name="detected_level", value="warn")
body = bytes(cramjam.snappy.compress_raw(push.SerializeToString()))
request = urllib.request.Request(path, body, {"Content-Type": "application/x-protobuf", "User-Agent": "promtail/3.0"})
with urllib.request.urlopen(request) as answer:
    print(answer.status)
