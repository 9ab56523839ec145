"""What a plugin's wrapper runs: `python -P launch.py MODULE ARGUMENT...`.

`import pulumi` takes 0.45 s, its gRPC messages alone 0.18 s, and all plugins of a deployment start at once.
For the modules that need the messages only, the packages around them are entered as bare names first.
"""

import importlib.util
import runpy
import sys
from pathlib import Path
from types import ModuleType

#: Plugins that use the SDK itself, because they make resources of their own.
WITH_SDK = {"lab.plugins.eks", "lab.plugins.kubernetes.construct"}


def without_sdk() -> None:
    """Makes `pulumi.runtime.proto` importable without running `pulumi` and `pulumi.runtime`."""
    sdk = importlib.util.find_spec("pulumi")
    if sdk is None or not sdk.submodule_search_locations:
        return
    for name, folder in (("pulumi", ""), ("pulumi.runtime", "/runtime")):
        bare = ModuleType(name)
        bare.__path__ = [sdk.submodule_search_locations[0] + folder]
        sys.modules[name] = bare


def keep_bytecode(place: Path) -> None:
    """Keeps compiled modules under `place`, even where PYTHONDONTWRITEBYTECODE is set: that keeps source trees clean,
    and so does this. Compiling botocore and gRPC anew takes longer than running them."""
    sys.pycache_prefix = str(place)
    sys.dont_write_bytecode = False


if __name__ == "__main__":
    keep_bytecode(Path.home() / ".cache" / "twinplane" / "bytecode")
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    module = sys.argv.pop(1)
    if module not in WITH_SDK:
        without_sdk()
    runpy.run_module(module, run_name="__main__", alter_sys=True)
