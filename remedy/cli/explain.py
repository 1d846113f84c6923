"""`remedy explain`: the page of the documentation on a topic."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app
from remedy.errors import UsageError

app = command_app()

EXAMPLES = """
remedy explain                             # the topics
remedy explain userland-proxy
remedy explain who-reaches-what | less
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def explain(
    context: typer.Context,
    topic: Annotated[
        str | None, typer.Argument(metavar="TOPIC", help="what to explain; without it, the topics")
    ] = None,
) -> None:
    """Print the page of the documentation on a topic.

    The pages are those of this very version. They need no network and no host.
    """
    from remedy.cli.pages import ALIASES, page_on, pages

    session = Session(context)
    known = pages()
    if topic is None:
        topics = [{"topic": page.topic, "folder": page.folder, "title": page.title} for page in known.values()]
        aliases = {alias: name for alias, name in ALIASES.items() if name in known}
        session.show("topics", {"topics": topics, "aliases": aliases})
        return
    page = page_on(topic)
    if page is None:
        names = [*known, *ALIASES]
        near = get_close_matches(topic.lower(), names, n=3) or [name for name in names if topic.lower() in name]
        hint = f"did you mean {' or '.join(near[:3])}?" if near else "remedy explain lists the topics"
        raise UsageError(f"there is no page on {topic!r}", where="remedy explain", next_step=hint)
    session.show("page", {"topic": page.topic, "title": page.title, "text": page.text, "plain_text": page.plain_text})
