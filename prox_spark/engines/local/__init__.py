"""Engines that answer inside the Spark task: no process, no model server."""
