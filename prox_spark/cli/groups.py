"""The verbs of ``prox-spark --help`` under headings."""

from typing import Any

from typer.core import TyperGroup

START, REFINE, LOOK, KEEP = "Start", "Refine", "Look", "Keep and share"
MAKE, MEASURE, OTHER = "Make refiners", "Measure", "Other"


class GroupedVerbs(TyperGroup):
    """Verbs in order, each under the heading of its ``rich_help_panel``; the headings of this module come first."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        verbs: dict[str, list[tuple[str, Any]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            verbs.setdefault(command.rich_help_panel or OTHER, []).append((name, command))
        width = max(len(name) for group in verbs.values() for name, _ in group)
        known = [heading for heading in (START, REFINE, LOOK, KEEP, MAKE, MEASURE) if heading in verbs]
        for heading in [*known, *(heading for heading in verbs if heading not in known)]:
            with formatter.section(heading):
                rows = [
                    (name, command.get_short_help_str(formatter.width - width - 6)) for name, command in verbs[heading]
                ]
                # Pad names to one width, so that the columns of all groups are aligned.
                formatter.write_dl([(f"{name:<{width}}", text) for name, text in rows])
