"""The disk of a host that is not running: what its overlay adds to its image."""

import json
import shutil
from pathlib import Path

from lab import whole_file

SEED = "/var/lib/cloud/seed/nocloud"


class Disk:
    """`upper` is the host's own layer, `layers` the image's, topmost first."""

    def __init__(self, upper: Path, layers: list[Path]) -> None:
        self.upper, self.layers = upper, layers

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Writes a file, whole or not at all. `path` is the guest's, absolute."""
        file = self._place(path)
        whole_file.write(file, content, mode)

    def link(self, path: str, target: str) -> None:
        """Makes a symbolic link."""
        self._place(path).symlink_to(target)

    def identity(self, name: str, address: str, hostname: str, user_data: bytes, authorized_keys: list[str]) -> None:
        """Host name and cloud-init's seed: user data, and the key pair as instance metadata has it."""
        short = hostname.partition(".")[0]
        names = " ".join(dict.fromkeys((hostname, short)))
        self.write("/etc/hostname", f"{hostname}\n".encode())
        self.write("/etc/hosts", f"127.0.0.1 localhost\n::1 localhost\n{address} {names}\n".encode())
        metadata = {"instance-id": name, "local-hostname": hostname, "public-keys": authorized_keys}
        self.write(f"{SEED}/meta-data", json.dumps(metadata).encode(), 0o600)
        self.write(f"{SEED}/user-data", user_data or b"#cloud-config\n{}\n", 0o600)

    def _place(self, path: str) -> Path:
        """Where `path` lies in the upper layer; a directory made for it looks like the image's, or is plain."""
        parts = Path(path).parts[1:]
        if not path.startswith("/") or ".." in parts or not parts:
            raise ValueError(f"{path} is not an absolute path of a file")
        directory = self.upper
        for depth in range(1, len(parts)):
            directory = self.upper.joinpath(*parts[:depth])
            if directory.is_dir():
                continue
            directory.mkdir(0o755)
            for layer in self.layers:
                if (original := layer.joinpath(*parts[:depth])).is_dir():
                    shutil.copystat(original, directory)
                    break
        return directory / parts[-1]
