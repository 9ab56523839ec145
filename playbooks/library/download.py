"""Downloads a publisher's files, all at once, and keeps only what its checksums confirm."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: download
short_description: Downloads files, all at once, each verified
description:
  - A path that exists is complete and is left alone, so put the version into it. Needs no network then.
  - Interrupted, nothing is there, and the next run starts over.
options:
  files:
    description: What to have. O(files[].path) is an executable file, O(files[].unpack) a folder of a tar archive.
    required: true
    type: list
    elements: dict
    suboptions:
      url: {description: Of the file., required: true, type: str}
      checksum:
        description: What the publisher adds to the URL for the SHA-256; or the SHA-256 itself, where it is pinned.
        required: true
        type: str
      path: {description: The file., type: path}
      unpack: {description: The folder., type: path}
"""
ATTEMPTS = 4
BLOCK = 1 << 20


class Refused(Exception):
    """One line: the URL and what is wrong with it."""


def opened(url: str) -> Any:
    """Returns the answer's body. Tries again while the network or the server is the reason."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return urllib.request.urlopen(url, timeout=60)
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == ATTEMPTS:
                raise Refused(f"{url}: HTTP {error.code}") from error
        except OSError as error:
            if attempt == ATTEMPTS:
                raise Refused(f"{url}: {error}") from error
        time.sleep(attempt)
    raise AssertionError


def fetch(url: str, checksum: str, file: Path) -> None:
    """Writes the verified content of the URL to the file."""
    words, source = [checksum], "the pin"
    if not re.fullmatch("[0-9a-f]{64}", checksum):
        source = checksum
        with opened(url + checksum) as answer:
            words = answer.read(4096).decode().split()
    found = hashlib.sha256()
    with opened(url) as answer, file.open("wb") as target:
        while block := answer.read(BLOCK):
            found.update(block)
            target.write(block)
    if not words or words[0] != found.hexdigest():
        raise Refused(f"{url}: SHA-256 is {found.hexdigest()}, {source} says {words[0] if words else 'nothing'}")


def bring(entry: dict[str, Any]) -> None:
    """Makes the entry's path, in one rename when all is good."""
    final = Path(entry["path"] or entry["unpack"])
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{final.name}-", dir=final.parent) as folder:
        file = Path(folder) / "file"
        try:
            fetch(entry["url"], entry["checksum"], file)
        except OSError as error:
            raise Refused(f"{entry['url']}: {error}") from error
        if entry["path"]:
            file.chmod(0o755)
            file.rename(final)
            return
        unpacked = Path(folder) / "unpacked"
        unpacked.mkdir()
        argv = ["tar", "--extract", f"--file={file}", f"--directory={unpacked}", "--no-same-owner"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(f"{entry['url']}: {done.stderr.strip()}")
        shutil.rmtree(final, ignore_errors=True)
        unpacked.rename(final)


def main() -> None:
    """Brings what is missing."""
    text = {"type": "str", "required": True}
    options = {"url": text, "checksum": text, "path": {"type": "path"}, "unpack": {"type": "path"}}
    files = {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": options,
        "required_one_of": [["path", "unpack"]],
        "mutually_exclusive": [["path", "unpack"]],
    }
    module = AnsibleModule({"files": files}, supports_check_mode=True)
    missing = [entry for entry in module.params["files"] if not Path(entry["path"] or entry["unpack"]).exists()]
    if missing and not module.check_mode:
        try:
            with ThreadPoolExecutor(len(missing)) as pool:
                list(pool.map(bring, missing))
        except Refused as error:
            module.fail_json(msg=str(error))
    module.exit_json(changed=bool(missing), downloaded=[entry["url"] for entry in missing])


if __name__ == "__main__":
    main()
