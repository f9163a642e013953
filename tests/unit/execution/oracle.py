"""Two executors in plain Python, written apart from the package: what tests compare with, and the benchmark's baseline.

``compat`` restates what the published ProX executor does, ``strict`` the heart of our own rules.
"""

import re


def compat(text: str, program: str) -> str:
    """What the published executor returns; a text without words divides by zero, as there."""
    n_lines = len(text.split("\n"))
    edited, errors = text, 0
    gone: set[int] = set()
    asked: list[tuple[int, int]] = []
    for call in program.strip(" ").split("\n"):
        is_removal = call.startswith("remove_lines")
        if is_removal and "all=True" in call:
            gone |= set(range(n_lines))
            continue
        if not is_removal and not call.startswith("normalize"):
            continue
        before, bracket, after = call.partition("(")
        if not bracket:
            errors += 1
            continue
        if ")" in call:
            cut = call.index(")")
            inside = call[len(before) + 1 : cut] if cut > len(before) else ""
        else:
            errors += 1
            inside = after[:-1]
        parts = inside.split(",")
        try:
            if is_removal:
                low, high = (int(part.split("=")[1]) for part in (parts[0], parts[1]))
                asked.append((low, high))
                gone |= set(range(max(low, 0), min(high, n_lines) + 1))
            elif len(parts) == 1:
                edited = edited.replace(parts[0].split("=")[1].strip('"'), "")
            elif len(parts) == 2:
                old, new = (part.split("=")[1].strip('"') for part in parts)
                edited = edited if old in ("", " ") else edited.replace(old, new)
        except (IndexError, ValueError):
            errors += 1
    left = "\n".join(line for i, line in enumerate(edited.split("\n")) if i not in gone)
    joined: list[list[int]] = []
    for low, high in sorted(asked, key=lambda lines: lines[0]):
        if joined and low <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], high)
        else:
            joined.append([low, high])
    errors += sum(low >= n_lines or high >= n_lines for low, high in joined)
    share = len(left.split()) / len(text.split())
    if (errors < 2 and share <= 1 - 0.95) or len(left.split()) <= 10:
        return ""
    return left if errors < 2 else text


_CALL = re.compile(
    r"""(remove_lines)\(\s*(?:(?:line_)?start\s*=\s*)?(-?\d+)\s*,\s*(?:(?:line_)?end\s*=\s*)?(-?\d+)\s*\)"""
    r"""|normalize\(\s*(?:source_str\s*=\s*)?"((?:[^"\\]|\\.)*)"(?:\s*,\s*(?:target_str\s*=\s*)?"((?:[^"\\]|\\.)*)")?\s*\)"""
)


_IGNORED = re.compile(r"\s*(?:(?:untouch_doc|keep_chunk)\(\)|```\w*|#.*)?\s*")
_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u3005-\u3007\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua9e0-\ua9ff\uaa60-\uaadf\uf900-\ufaff\uff66-\uff9f"
    "\U0001aff0-\U0001b16f\U00020000-\U0003ffff]"
)


def _plain(string: str | None) -> str:
    return (string or "").replace('\\"', '"').replace("\\\\", "\\")


def _words(text: str) -> int:
    if text.isascii() or _SPACELESS.search(text) is None:
        return len(text.split())
    return len(_SPACELESS.sub(" a ", text).split())


def strict(text: str, chunks: list[tuple[int, int, str]]) -> tuple[str, list[tuple[int, str, str | None]]]:
    """A document's refined text, and its removed and rewritten lines, for chunks of (first line, last line, program).

    Calls stand one a line; a line that is none of ours is an error, and so is a range outside of the chunk; at two
    errors a program has no effect.
    """
    original = text.split("\n")
    lines: list[str | None] = list(original)
    for start, end, program in chunks:
        last = min(end, len(lines) - 1)
        edits: dict[tuple[str, str], None] = {}
        removed: set[int] = set()
        errors = 0
        for call in program.split("\n"):
            match = _CALL.match(call)
            if match is None:
                errors += _IGNORED.fullmatch(call) is None
            elif match[1] == "remove_lines":
                low, high = max(start, int(match[2])), min(last, int(match[3]))
                errors += low > high
                removed.update(range(low, high + 1))
            elif match[4]:
                edits[_plain(match[4]), _plain(match[5])] = None
        if errors > 1:
            continue
        for number in removed:
            lines[number] = None
        for old, new in edits:
            for number in range(start, last + 1):
                line = lines[number]
                if line is not None and old in line:
                    lines[number] = line.replace(old, new)
    log = [(i, old, new) for i, (old, new) in enumerate(zip(original, lines, strict=True)) if new != old]
    if not log:
        return text, log
    refined = "\n".join(line for line in lines if line is not None)
    before, after = _words(text), _words(refined)
    if after <= (1 - 0.95) * before or all(line is None for line in lines) or (before > 10 and after <= 10):
        return "", []
    return refined, log
