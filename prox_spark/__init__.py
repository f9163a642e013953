"""Programming Every Example (ProX, arXiv 2409.17115) on Spark: data cleaning as programming, at corpus scale."""

__version__ = "0.2.0"
