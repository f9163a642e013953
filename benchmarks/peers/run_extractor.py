# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastwarc==2.0.0", "resiliparse==2.0.0", "trafilatura==2.3.1"]
# ///
"""trafilatura or resiliparse over the responses of WARC files, in one process, to lines of JSON."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType

HOLDS = {"log": "none", "versions": "none", "resumes": "no"}


def main():
    work, source, target = sys.argv[1:]
    if work.endswith("trafilatura"):
        from trafilatura import extract

        name = "trafilatura"
    else:
        from resiliparse.extract.html2text import extract_plain_text

        def extract(page):
            return extract_plain_text(page.decode("utf-8", "replace"), main_content=True)

        name = "resiliparse"
    with Path(target, "pages.jsonl").open("w") as out:
        for archive in sorted(Path(source, "html").iterdir()):
            with archive.open("rb") as stream:
                for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                    text = extract(record.reader.read())
                    out.write(json.dumps({"id": record.record_id, "text": text}) + "\n")
    print(json.dumps({"version": version(name), **HOLDS}))


if __name__ == "__main__":
    main()
