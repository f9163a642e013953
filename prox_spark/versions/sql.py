"""``sql``: queries of a store by the plain names of its tables.

A view knows no ``VERSION AS OF`` and its name no ``@``: so the names are found in the parsed query and replaced by views
over DataFrames that are read at the right version.
"""

import uuid
from typing import ClassVar

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, SparkSession
from sqlglot import exp, parse
from sqlglot.dialects.spark import Spark
from sqlglot.errors import SqlglotError

from prox_spark.errors import UsageError
from prox_spark.schemas import RESULT_TABLES, TABLES, VERSIONED
from prox_spark.spark_api import is_connect
from prox_spark.tables.store import Store, analyzed, open_store
from prox_spark.versions.names import newest_version, open_version


def query(spark: SparkSession, location: str, text: str) -> DataFrame:
    """The answer to one SELECT. Result tables are read as of the newest refinement, or as `` `refined@NAME:VERSION` `` says.

    Raises ``UsageError`` for SQL that does not parse, is no query, or names what does not exist.
    """
    store = open_store(spark, location)
    try:
        statements = [statement for statement in parse(text, read=_Dialect) if statement is not None]
    except SqlglotError as error:
        raise UsageError(f"SQL: {' '.join(_plain(str(error)).split())}") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise UsageError("SQL: give one SELECT (or WITH … SELECT); this command only reads")
    tree = statements[0]
    views: dict[str, str] = {}
    for table in list(tree.find_all(exp.Table)):
        kind, at, refinement = table.name.partition("@")
        name = f"{kind.lower()}{at}{refinement}"
        if table.db or kind.lower() not in TABLES or _is_defined(table):
            continue
        if name not in views:
            views[name] = f"prox_spark_{uuid.uuid4().hex}"
            read_as(store, name).createOrReplaceTempView(views[name])
        if not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(name, quoted=True)))
        table.set("this", exp.to_identifier(views[name]))
    try:
        return analyzed(spark.sql(tree.sql(dialect="spark")))
    except (ParseException, AnalysisException) as error:
        message = _plain(str(error).split("\nJVM stacktrace")[0].split(";\n")[0])
        for name, view in views.items():
            message = message.replace(view, name)
        raise UsageError(f"SQL: {' '.join(message.split())}") from None
    finally:
        # With Connect, the server looks a query's views up again when it runs.
        if not is_connect(spark):
            for view in views.values():
                spark.catalog.dropTempView(view)


class _Dialect(Spark):  # type: ignore[misc]
    """Spark 4's: a doubled quotation mark stands for one, where older ones join two strings."""

    class Tokenizer(Spark.Tokenizer):  # type: ignore[misc]
        STRING_ESCAPES: ClassVar = ["\\", "'", '"']


def _is_defined(table: exp.Table) -> bool:
    """Whether a WITH says what this name is: that of a query around it, or a definition before the one that it stands in."""
    node: exp.Expression = table
    while (parent := node.parent) is not None:
        known = parent.ctes if isinstance(parent, exp.Query) else []
        if isinstance(parent, exp.With):
            known = parent.expressions[: node.index + bool(parent.args.get("recursive"))]
            # What the query of this WITH may name, its definitions may not.
            parent = parent.parent
        if any(cte.alias_or_name.lower() == table.name.lower() for cte in known):
            return True
        node = parent
    return False


def read_as(store: Store, name: str) -> DataFrame:
    """A table by the name that stands in a query: plain, or with ``@NAME`` or ``@NAME:VERSION``."""
    table, at, refinement = name.partition("@")
    if not at and table not in RESULT_TABLES:
        return store.read(table)
    if at and table not in VERSIONED:
        raise UsageError(
            f"SQL: {table} has no refinement versions; query {table}, or one of {', '.join(VERSIONED)} as of a refinement"
        )
    version = open_version(store, refinement) if at else newest_version(store)
    return store.read(table, 0) if version is None else version.read(table)


def _plain(message: str) -> str:
    """Without the terminal colours that sqlglot puts around the place of an error."""
    return message.replace("\x1b[4m", "»").replace("\x1b[0m", "«")
