"""Send the requests of this folder: ``python conf/emr/submit.py REQUEST [VERB ARGUMENT…]``; ``REQUESTS`` has the names.

``${NAME}`` in a request is the environment variable of that name, ``${ARGUMENTS}`` the verb's arguments. Where ``LOG_TABLE``
is set, Spark gets Delta's log store in that table of DynamoDB (``log-store.json``); ``ONE_DRIVER=true`` says that only one job
at a time writes. ``--print`` shows the request and sends
nothing. Region and credentials are found as the AWS tools find them; botocore must be installed.
"""

import json
import os
import string
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
JOBS = FOLDER.parents[1] / "jobs"

REQUESTS = {
    "cluster": ("cluster.json", "emr", "run_job_flow", "JobFlowId"),
    "step": ("step.json", "emr", "add_job_flow_steps", "StepIds"),
    "application": ("application.json", "emr-serverless", "create_application", "applicationId"),
    "run": ("job-run.json", "emr-serverless", "start_job_run", "jobRunId"),
    "eks-run": ("eks-run.json", "emr-containers", "start_job_run", "id"),
    "log-table": ("log-table.json", "dynamodb", "create_table", "TableDescription"),
}
"""By request: its file, the service, the operation, and the field of the answer that names what was made."""

_OF_A_VERB = ("step", "run", "eks-run")

_LOG_STORE_JAR = {
    "cluster": ",/usr/share/aws/delta/lib/delta-storage-s3-dynamodb.jar",
    "run": ",/usr/share/aws/delta/lib/delta-storage-s3-dynamodb.jar",
    "eks-run": ",local:///usr/share/aws/delta/lib/delta-storage-s3-dynamodb.jar",
}
"""By request that starts Spark: what the log store adds to ``spark.jars``."""


class SubmitError(Exception):
    """Wrong usage: the message says what is missing."""


def build(what: str, arguments: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """The request for ``what``, filled. Raises ``SubmitError`` for an unknown word, verb or variable."""
    if what not in REQUESTS:
        raise SubmitError(f"unknown request {what!r}; known: {', '.join(REQUESTS)}")
    values = dict(environment)
    if what in _OF_A_VERB:
        verb, *arguments = arguments or [""]
        if not (JOBS / f"{verb}.py").is_file():
            known = ", ".join(sorted(file.stem for file in JOBS.glob("*.py")))
            raise SubmitError(f"unknown verb {verb!r}; known: {known}")
        values["VERB"] = verb
    elif arguments:
        raise SubmitError(f"{what} takes no arguments")
    stored = bool(values.get("LOG_TABLE"))
    values["LOG_STORE_JAR"] = _LOG_STORE_JAR.get(what, "") if stored else ""
    file = REQUESTS[what][0]
    try:
        request: dict[str, Any] = _fill(_read(file), values, list(arguments))
        if what in _LOG_STORE_JAR and stored:
            file = "log-store.json"
            _spark_defaults(request).update(_fill(_read(file), values, []))
    except KeyError as missing:
        raise SubmitError(f"{file} needs the environment variable {missing.args[0]}") from None
    if what in _LOG_STORE_JAR and values.get("ONE_DRIVER") == "true":
        _spark_defaults(request)["spark.prox_spark.oneDriver"] = "true"
    if what == "cluster" and request["ReleaseLabel"].startswith("emr-7"):
        _suit_emr_7(request)
    return request


def _suit_emr_7(request: dict[str, Any]) -> None:
    """EMR 7 counts YARN as an application, and its Spark 3.5 has no GPU share for one stage: all tasks take a quarter."""
    request["Applications"].append({"Name": "Hadoop"})
    _spark_defaults(request)["spark.task.resource.gpu.amount"] = "0.25"


def _spark_defaults(request: dict[str, Any]) -> dict[str, str]:
    """The Spark properties of a request, whose keys EMR on EC2 alone writes with capitals."""
    found = request.get("Configurations") or request["configurationOverrides"]["applicationConfiguration"]
    lower = [{key.lower(): value for key, value in one.items()} for one in found]
    defaults: dict[str, str]
    (defaults,) = [one["properties"] for one in lower if one["classification"] == "spark-defaults"]
    return defaults


def _read(file: str) -> Any:
    return json.loads((FOLDER / file).read_text(encoding="utf-8"))


def _fill(node: Any, values: Mapping[str, str], arguments: list[str]) -> Any:
    if isinstance(node, dict):
        return {key: _fill(value, values, arguments) for key, value in node.items()}
    if isinstance(node, list):
        filled = [arguments if item == "${ARGUMENTS}" else [_fill(item, values, arguments)] for item in node]
        return [item for items in filled for item in items]
    return string.Template(node).substitute(values) if isinstance(node, str) else node


def send(what: str, request: dict[str, Any]) -> str:
    """Send a request and return the id of what it made. Raises what botocore raises."""
    import botocore.session

    _, service, operation, answer = REQUESTS[what]
    client = botocore.session.get_session().create_client(service)
    made = getattr(client, operation)(**request)[answer]
    if isinstance(made, dict):
        return str(made["TableArn"])
    return made if isinstance(made, str) else " ".join(made)


def main(words: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    only_print = list(words[:1]) == ["--print"]
    what, *arguments = words[only_print:] or [""]
    try:
        request = build(what, arguments, os.environ)
    except SubmitError as error:
        sys.stderr.write(f"submit: {error}\n")
        return 2
    sys.stdout.write((json.dumps(request, indent=2) if only_print else send(what, request)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
