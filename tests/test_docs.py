"""The documents say what the program does: the keys of the config, and what a reader types, follows and needs."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from lab import doctor
from stacks.changes import CHANGES, INSTEAD, VARIABLES
from stacks.keys import KEYS, REQUIRED, Key
from tests import ROOT
from tests.support import golden_files
from twinplane.outputs import KINDS, Kind

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
HEAD = """# The keys of a stack's config

Made from [stacks/keys.py](../stacks/keys.py) and [stacks/changes.py](../stacks/changes.py) by
`TWINPLANE_GOLDEN=write pytest tests/test_docs.py`: edit those, not this page.

`pulumi config set KEY VALUE` sets a key of the selected stack, and `pulumi config rm KEY` takes it back to its default.
Lists and objects are JSON in quotes; `--path 'apiCidrs[0]'` sets one item. `pulumi preview` reads all keys before it
makes anything, and reports every error at once, each with its remedy.

"On a living cluster" says what another value does once the stack's cluster exists. A change that would harm the cluster
is **refused** by `pulumi preview` and `pulumi up` before anything changes. Where the table does not say what to do
instead: leave the key, or make another stack and move the workload.
"""


def shown(value: Any) -> str:
    """A default as one types it."""
    if value is REQUIRED:
        return "none: the key is required"
    if value is None:
        return "unset"
    if callable(value):
        return str(value.__doc__)
    if isinstance(value, str | IPv4Network):
        return f"`{value}`"
    if is_dataclass(value) and not isinstance(value, type):
        value = {name: each for name, each in asdict(value).items() if each}
    return f"`{json.dumps(value)}`"


def effect(kind: Kind, name: str) -> str:
    """What a change of the key does to a living cluster."""
    change = CHANGES[kind][name]
    why = change.refused + (f"; {change.instead}" if change.instead != INSTEAD else "")
    which = f"{change.which}: " if change.which else ""
    parts = [change.effect] + ([f"{which}**refused**, {why}"] if change.refused else [])
    return ". ".join(part[0].upper() + part[1:] for part in parts if part)


def section(name: str, key: Key) -> str:
    """One key of docs/config.md."""
    effects = {kind: effect(kind, name) for kind in key.kinds}
    one = len(set(effects.values())) == 1
    rows = {
        "Kind": " and ".join(f"`{kind}`" for kind in key.kinds),
        "Type": str(key.parse.__doc__).splitlines()[0].rstrip("."),
        "Default": shown(key.default),
        "Example": f"`{key.example}`",
        **({"On a living cluster": effects[key.kinds[0]]} if one else {}),
        **({} if one else {f"On a living cluster, `{kind}`": text for kind, text in effects.items()}),
    }
    table = "\n".join(f"| {label} | {text} |" for label, text in rows.items())
    return f"## {name}\n\n{key.meaning}\n\n| | |\n|---|---|\n{table}\n"


def index() -> str:
    """The keys of each kind, as links."""
    titles = {("managed", "self-managed"): "Both kinds", ("managed",): "`managed`", ("self-managed",): "`self-managed`"}

    def links(kinds: tuple[Kind, ...]) -> str:
        return ", ".join(f"[{name}](#{name.lower()})" for name, key in KEYS.items() if key.kinds == kinds)

    return "\n".join(f"- {title}: {links(kinds)}" for kinds, title in titles.items()) + "\n"


def page() -> str:
    """docs/config.md."""
    variables = ", ".join(f"`{name}`" for name in VARIABLES)
    refused = f"On a living cluster, `playbookVars` may not change these: {variables}.\n"
    return "\n".join([HEAD, index(), *(section(name, key) for name, key in KEYS.items()), refused])


def test_the_page_of_the_config_has_every_key() -> None:
    golden_files.check(str(ROOT / "docs" / "config.md"), page())


@pytest.mark.parametrize("name", KEYS)
def test_the_example_of_a_key_is_a_value_of_it(name: str) -> None:
    KEYS[name].parse(KEYS[name].example)


def test_every_key_says_what_it_is() -> None:
    for name, key in KEYS.items():
        assert key.meaning.endswith("."), name
        assert key.parse.__doc__, name
        assert key.kinds == tuple(kind for kind in KINDS if name in CHANGES[kind]), name


def blocks(text: str) -> Iterator[str]:
    """The fenced blocks of a page."""
    yield from re.findall(r"^```.*?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_no_prompt_makes_a_comment_of_a_pasted_line(file: Path) -> None:
    for block in blocks(file.read_text()):
        for line in block.splitlines():
            assert not re.match(r"\s*[#$>] ?\w", line), line


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_every_link_leads_somewhere(file: Path) -> None:
    text = file.read_text()
    for link in [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'(?:src|srcset|href)="([^"]+)"', text)]:
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_the_readme_asks_for_what_the_doctor_asks_for() -> None:
    text = (ROOT / "README.md").read_text()
    assert f"{doctor.MEMORY / 1e9:.0f} GB of memory and {doctor.DISK / 1e9:.0f} GB of free disk" in text
