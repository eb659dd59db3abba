"""OpenTelemetry's SDK: log records through its exporters, over HTTP and gRPC."""
import logging
import sys

from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

url, grpc = sys.argv[1:3]
exporters = {
    "http": HttpExporter(endpoint=f"{url}/v1/logs", compression=Compression.Gzip),
    "grpc": GrpcExporter(endpoint=grpc, insecure=True),
    "grpc-main": GrpcExporter(endpoint=url, insecure=True, compression=None),
}
for way, exporter in exporters.items():
    resource = Resource.create({"service.name": f"checkout-{way}", "k8s.namespace.name": "shop"})
    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = logging.getLogger(way)
    logger.setLevel(logging.DEBUG)
    logger.addHandler(LoggingHandler(logger_provider=provider))
    with TracerProvider().get_tracer("t").start_as_current_span("s") as span:
        logger.error("declined %s", way, extra={"card": {"brand": "visa"}, "amount": 12.5})
        print(format(span.get_span_context().trace_id, "032x"))
    for n in range(600):
        logger.info("line %d", n)
    provider.shutdown()
