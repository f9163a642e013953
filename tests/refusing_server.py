"""A Spark Connect server that lets no session have other settings than Databricks serverless does, nor keep rows.

``python refusing_server.py PORT URL`` passes every request on to the server at ``sc://HOST:PORT`` but those: they get the errors
of Databricks. Properties of the cluster cannot be read either.
"""

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from pyspark.sql.connect.proto import base_pb2

ALLOWED = {
    "spark.databricks.execution.timeout",
    "spark.sql.ansi.enabled",
    "spark.sql.files.maxPartitionBytes",
    "spark.sql.legacy.timeParserPolicy",
    "spark.sql.session.timeZone",
    "spark.sql.shuffle.partitions",
}
"""What a session of serverless may set, according to Databricks' page about Spark properties."""

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def refused(method: str, request: bytes) -> str | None:
    """The error with which a request is refused, or None where it is passed on."""
    if method == "Config":
        asked = base_pb2.ConfigRequest.FromString(request).operation
        kind = asked.WhichOneof("op_type")
        pairs = getattr(asked, kind)
        keys = list(getattr(pairs, "keys", ())) or [pair.key for pair in getattr(pairs, "pairs", ())]
        # Spark's client itself reads settings of Spark SQL.
        known = [key for key in keys if key in ALLOWED or (kind.startswith("get") and key.startswith("spark.sql."))]
        wrong = next((key for key in keys if key not in known), None)
        return wrong and f"[CONFIG_NOT_AVAILABLE] Configuration {wrong} is not available. SQLSTATE: 42K0I"
    if method == "AnalyzePlan" and base_pb2.AnalyzePlanRequest.FromString(request).HasField("persist"):
        return "[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported on serverless compute. SQLSTATE: 0A000"
    return None


def _status(message: str) -> Any:
    """The error as Spark's servers send an ``AnalysisException``."""
    name = message[1:].partition("]")[0]
    classes = json.dumps(["org.apache.spark.sql.AnalysisException"])
    info = error_details_pb2.ErrorInfo(reason="org.apache.spark.sql.AnalysisException", domain="org.apache.spark")
    info.metadata.update({"classes": classes, "errorClass": name})
    detail = any_pb2.Any()
    detail.Pack(info)
    return rpc_status.to_status(
        status_pb2.Status(code=grpc.StatusCode.INTERNAL.value[0], message=message, details=[detail])
    )


class Proxy(grpc.GenericRpcHandler):
    """Hands the bytes of every request to another server."""

    def __init__(self, url: str) -> None:
        self._channel = grpc.insecure_channel(url.removeprefix("sc://"), options=_UNLIMITED)

    def service(self, call: Any) -> Any:
        """How a method is handled: as one that may be given a stream and answers one."""
        method = call.method.rpartition("/")[2]
        streams = method in ("ExecutePlan", "ReattachExecute"), method == "AddArtifacts"
        answers = {
            (False, False): (grpc.unary_unary_rpc_method_handler, self._channel.unary_unary),
            (True, False): (grpc.unary_stream_rpc_method_handler, self._channel.unary_stream),
            (False, True): (grpc.stream_unary_rpc_method_handler, self._channel.stream_unary),
        }
        handler, upstream = answers[streams]
        return handler(self._passed_on(method, upstream(call.method), streams))

    def _passed_on(self, method: str, upstream: Callable[..., Any], streams: tuple[bool, bool]) -> Callable[..., Any]:
        def one(request: Any, context: Any) -> Any:
            message = None if streams[1] else refused(method, request)
            if message is not None:
                context.abort_with_status(_status(message))
            with _failing_alike(context):
                return upstream(request, metadata=_metadata(context))

        def several(request: bytes, context: Any) -> Iterator[bytes]:
            with _failing_alike(context):
                answers = upstream(request, metadata=_metadata(context))
                context.add_callback(answers.cancel)
                yield from answers

        return several if streams[0] else one


def _metadata(context: Any) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in context.invocation_metadata() if not key.startswith(("grpc-", "user-agent"))]


@contextmanager
def _failing_alike(context: Any) -> Iterator[None]:
    """Fail a call as the one that was made for it failed."""
    try:
        yield
    except grpc.RpcError as error:
        failed: Any = error
        context.set_trailing_metadata(failed.trailing_metadata() or ())
        context.abort(failed.code(), failed.details())


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(64), handlers=[Proxy(sys.argv[2])], options=_UNLIMITED)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()
