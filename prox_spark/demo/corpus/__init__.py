"""The demo's web corpus: invented pages, composed from readable sources into the file formats of real corpora.

The articles (``articles/*.txt``), the web sites around them (``skins.yaml``) and the pages without an article
(``oddments.yaml``) were written for this project. ``write_corpus`` builds the same bytes each time.
"""

from prox_spark.demo.corpus.files import BAD_RECORDS, FILES, write_corpus
from prox_spark.demo.corpus.pages import Page, labels, pages

__all__ = ["BAD_RECORDS", "FILES", "Page", "labels", "pages", "write_corpus"]
