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

`rules` names sets, single rules or both; without it a stage applies its defaults. A dropped document's program names the
first rule that drops it, in the order of `rules`:

```sql
SELECT output, count(*) AS n FROM programs WHERE stage = 'document' GROUP BY output ORDER BY n DESC
```

A line is what stands between newlines, without the white space around it; blank lines count nowhere and go with the lines
around them. A word is what stands between white space; scripts that are written without spaces (Chinese, Japanese, Thai, …)
have a word for every two characters of a run, and their punctuation separates words. The mean length of words is not
judged where most words are of such scripts. Time is linear in the text, whatever it is.
"""

DIFFERENCES = """\
## What is different from elsewhere

* datatrove's filters split words with spaCy, which takes punctuation off: on the same pages its counts of words are higher
  and its shares of words with letters lower. With the same words its filters and these rules decide alike, which
  `tests/unit/rules/test_datatrove.py` checks where datatrove is installed.
* `fineweb_duplicate_lines` has the paper's 0.1; datatrove's default is 0.01. Its C4 filter takes 3 words a line and 5
  sentences a page, where C4's published code has 5 and 3, as here.
* C4's page rules see the whole page, as the paper says; its code looks only at lines that passed the rules before. Its list
  of bad words and its removal of citation marks inside a line are not here. Sentences are counted by their closing marks,
  without NLTK's knowledge of abbreviations.
* RefinedWeb edits short lines that match a pattern; here the line goes. The paper gives examples, not its patterns: those
  here are in `prox_spark/rules/flags.py`, and "mainly" is read as more than half.
* `gopher_stop_words` counts English words as they are written: leave it out for other languages.
* `gopher_symbols` sums what `gopher_hashes` and `gopher_ellipses` judge one by one.
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
            *(HEAD, "## Document stage: a document goes where this lies beyond the threshold\n"),
            *(*_sets("document"), ""),
            *("| rule | measure | goes at | source |", "|---|---|---|---|", *drops, ""),
            *("## Chunk stage: a line goes that …\n", *_sets("chunk"), ""),
            *("| rule | a line that | threshold | source |", "|---|---|---|---|", *lines, ""),
            DIFFERENCES,
        ]
    )


if __name__ == "__main__":
    (Path(__file__).parent.parent / "docs" / "rules.md").write_text(document(), encoding="utf-8")
