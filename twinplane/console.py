"""What a verb shows while it works: one live line with the elapsed time on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

#: Takes one line: what happens now.
Tell = Callable[[str], None]

#: Results, and nothing else: `--json` must stay one JSON value. Off a terminal, lines are as long as they are.
out = Console(soft_wrap=True, highlight=False)
#: Progress and errors.
err = Console(stderr=True, soft_wrap=True, highlight=False)


@contextmanager
def working(title: str) -> Iterator[Tell]:
    """Shows `title` and the time it takes until the block ends. Lines told in it are printed above."""
    if not err.is_terminal:
        started = time.monotonic()
        plain(f"{title} ...")
        yield plain
        plain(f"{title}: done in {time.monotonic() - started:.0f} s")
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        progress.add_task(title, total=None)
        yield lambda line: progress.console.print(line, style="dim", markup=False)
    err.print(f"[green]✓[/] {title}")


def plain(line: str) -> None:
    """One line of progress, as it is."""
    err.print(line, markup=False)
