"""The plugin's connection to AWS: one botocore client for each service and region, made once and shared by threads."""

import os
import threading
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lab.plugins.values import Values


class Session:
    """Clients by the provider's configuration; without it, by botocore's own sources (AWS_ENDPOINT_URL, AWS_REGION,
    credentials from the environment, shared files, instance roles)."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.clients: dict[tuple[str, str], Any] = {}
        self.locks: dict[tuple[str, str], threading.Lock] = {}
        self.lock = threading.Lock()

    @cached_property
    def botocore(self) -> Any:
        """Loaded at first use, so that the plugin answers the engine's first calls at once."""
        import botocore.session

        session = botocore.session.Session(profile=self.config.get("profile"))
        if "accessKey" in self.config:
            session.set_credentials(
                self.config["accessKey"], self.config.get("secretKey", ""), self.config.get("token")
            )
        return session

    @cached_property
    def region(self) -> str:
        """The default region; empty when nothing names one."""
        # botocore itself reads AWS_DEFAULT_REGION only.
        named = self.config.get("region") or os.environ.get("AWS_REGION")
        return str(named or self.botocore.get_config_variable("region") or "")

    def client(self, service: str, region: str | None = None) -> Any:
        """The client of `service` in `region` (the default region if None)."""
        key = (service, region or self.region)
        with self.lock:
            lock = self.locks.setdefault(key, threading.Lock())
            _ = self.botocore
        with lock:
            if key not in self.clients:
                self.clients[key] = self._connect(*key)
            return self.clients[key]

    @cached_property
    def identity(self) -> Values:
        """GetCallerIdentity's answer: Account, Arn, UserId."""
        return dict(self.client("sts").get_caller_identity())

    @cached_property
    def partition(self) -> str:
        return str(self.botocore.get_partition_for_region(self.region or "us-east-1"))

    def arn(self, service: str, resource: str, region: str | None = None) -> str:
        """The ARN of a resource of this account; `region` empty for a global service, None for the default."""
        place = self.region if region is None else region
        return f"arn:{self.partition}:{service}:{place}:{self.identity['Account']}:{resource}"

    def _connect(self, service: str, region: str) -> Any:
        from botocore.config import Config

        settings = Config(
            retries={"mode": "standard", "max_attempts": int(self.config.get("maxRetries", 10))},
            max_pool_connections=64,
            s3={"addressing_style": "path"} if self.config.get("s3UsePathStyle") else None,
        )
        endpoint = next((place[service] for place in self.config.get("endpoints", []) if place.get(service)), None)
        with self.lock:  # botocore's loaders are not safe to share while they load
            return self.botocore.create_client(
                service, region_name=region or None, endpoint_url=endpoint, config=settings
            )
