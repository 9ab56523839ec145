"""What API servers ask over TLS."""

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lab import constants
from lab.cloud import api, webhooks


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "directory", lambda: tmp_path)


def echo(body: bytes, cluster: str) -> dict[str, str]:
    return {"cluster": cluster, "asked": json.loads(body)["word"]}


def test_answers_over_tls_to_who_trusts_its_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "FABRIC", "127.0.0.1")
    server = webhooks.serve({"echo": echo}, "127.0.0.1", 0)
    context = ssl.create_default_context(cadata=webhooks.authority().decode())
    base = f"https://127.0.0.1:{server.server_port}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    asked = urllib.request.Request(f"{base}/echo/prod?timeout=30s", b'{"word": "hello"}')
    with opener.open(asked, timeout=5) as answer:
        assert json.load(answer) == {"cluster": "prod", "asked": "hello"}
    for path, wrong in (("/echo/prod", b"{}"), ("/echo/prod", b"nonsense"), ("/other/prod", b'{"word": ""}')):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            opener.open(urllib.request.Request(base + path, wrong), timeout=5)
    server.shutdown()
    server.server_close()


def test_the_certificate_is_kept_and_its_key_is_not_told(tmp_path: Path) -> None:
    assert webhooks.authority() == webhooks.authority()
    assert b"PRIVATE" not in webhooks.authority()
    assert (tmp_path / "webhooks.pem").stat().st_mode & 0o077 == 0
