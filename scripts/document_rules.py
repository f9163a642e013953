"""Write docs/rules.md from the catalogue of rules: ``python scripts/document_rules.py``."""

from pathlib import Path

from prox_spark.rules.catalogue import DEFAULTS, DOCUMENT_RULES, LINE_RULES, SETS

HEAD = """\
# Rules

Classic filters of web corpora as programs: they write the same rows into the same tables as a model does, so that rules and
models compare like any two refinements. The preset `rules` applies all of them. The tables are made by
`scripts/document_rules.py` from `prox_spark/rules/catalogue.py`.

```yaml
document:
  engine: {kind: rules, rules: [gopher_quality, gopher_repetition]}
chunk:
  engine: {kind: rules, rules: [c4, refinedweb_counter]}
```

`rules` lists sets, single rules or both; without it a stage applies its defaults. The program of a dropped document names the
first rule that drops it, in the order of `rules`:

```sql
SELECT output, count(*) AS n FROM programs WHERE stage = 'document' GROUP BY output ORDER BY n DESC
```

A line is the text between newlines, without surrounding white space. Blank lines do not count, and are removed with the lines
around them. A word is the text between white space. In scripts that are written without spaces (Chinese, Japanese, Thai, …),
every two characters of a run are a word, and punctuation separates words. The rules on mean word length do not apply if most
words are in such scripts. Time is linear in the length of any text.
"""

DIFFERENCES = """\
## Differences from other implementations

* datatrove's filters split words with spaCy, which separates punctuation. On the same pages its word counts are higher and its
  shares of words with letters lower. With the same words, its filters and these rules make the same decisions;
  `tests/unit/rules/test_datatrove.py` checks this if datatrove is installed.
* `fineweb_duplicate_lines` uses the paper's 0.1; datatrove's default is 0.01. Its C4 filter uses 3 words per line and 5
  sentences per page; C4's published code, like this package, uses 5 and 3.
* C4's page rules apply to the whole page, as in the paper; C4's code applies them only to lines that passed the earlier rules.
  C4's list of bad words and its removal of citation marks inside a line are not implemented. Sentences are counted by their
  closing marks, without NLTK's list of abbreviations.
* RefinedWeb edits short lines that match a pattern; this package removes the line. The paper gives examples but not its
  patterns. The patterns used here are in `prox_spark/rules/flags.py`, and "mainly" means more than half.
* `gopher_stop_words` counts English words in lower case only: remove it for other languages.
* `gopher_symbols` is the sum of the measures of `gopher_hashes` and `gopher_ellipses`.
"""


def _sets(stage: str) -> list[str]:
    rows = []
    for name, rules in {"(default)": DEFAULTS[stage], **SETS[stage]}.items():
        listed = "every rule below" if name == "all" else ", ".join(f"`{rule}`" for rule in rules)
        rows.append(f"| {name if name.startswith('(') else f'`{name}`'} | {listed} |")
    return ["| set | rules |", "|---|---|", *rows]


def document() -> str:
    drops = [f"| `{rule.name}` | {rule.what} | {rule.default} | {rule.source} |" for rule in DOCUMENT_RULES.values()]
    lines = [f"| `{rule.name}` | {rule.what} | {rule.default} | {rule.source} |" for rule in LINE_RULES.values()]
    return "\n".join(
        [
            *(HEAD, "## Document stage: drops a document whose measure is beyond the threshold\n"),
            *(*_sets("document"), ""),
            *("| rule | measure | dropped if | source |", "|---|---|---|---|", *drops, ""),
            *("## Chunk stage: removes a line that …\n", *_sets("chunk"), ""),
            *("| rule | a line that | threshold | source |", "|---|---|---|---|", *lines, ""),
            DIFFERENCES,
        ]
    )


if __name__ == "__main__":
    (Path(__file__).parent.parent / "docs" / "rules.md").write_text(document(), encoding="utf-8")
