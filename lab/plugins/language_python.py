"""Stand-in for `pulumi-language-python`: runs Python programs for the engine, in their own virtual environment."""

import json
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format

from lab.constants import CACHE
from lab.plugins.program import REPORTED
from lab.plugins.protocol import language_pb2, language_pb2_grpc, plugin_pb2
from lab.plugins.server import serve

RUNNER = Path(__file__).with_name("program.py")


class Environment:
    """The Python that a project asks for in `runtime.options`: `virtualenv` (relative to Pulumi.yaml) or, without it,
    python3 on PATH. `toolchain` (pip, uv, poetry) says who fills the virtual environment, which is not our part."""

    def __init__(self, info: Any) -> None:
        options = json_format.MessageToDict(info.options)
        name = options.get("virtualenv") or (".venv" if options.get("toolchain") == "uv" else "")
        self.root = Path(info.root_directory, name).absolute() if name else None

    @property
    def python(self) -> str:
        """The interpreter's path. Raises FileNotFoundError with what to do when it is not there."""
        found = shutil.which("python3") if self.root is None else str(self.root / "bin" / "python")
        if found is None or not os.access(found, os.X_OK):
            raise FileNotFoundError(
                f"no Python in {self.root or 'PATH'}: make the virtual environment that `runtime.options.virtualenv` "
                "in Pulumi.yaml names, and install requirements.txt into it"
            )
        return found

    @property
    def variables(self) -> dict[str, str]:
        """Our own variables, activated."""
        return self.activated(os.environ)

    def activated(self, variables: Mapping[str, str]) -> dict[str, str]:
        """What an activated shell would have, unbuffered so that prints appear when they are made."""
        variables = {**variables, "PYTHONUNBUFFERED": "1"}
        variables.pop("PYTHONHOME", None)
        if self.root is not None:
            variables["VIRTUAL_ENV"] = str(self.root)
            variables["PATH"] = f"{self.root}/bin{os.pathsep}{variables.get('PATH', os.defpath)}"
        return variables

    def packages(self) -> Iterator[dict[str, str]]:
        """The `pulumi-plugin.json` of each installed provider SDK: name, version and where plugins are served."""
        for path in sorted((self.root or Path(sys.prefix)).glob("lib/python3*/site-packages/*/pulumi-plugin.json")):
            package = json.loads(path.read_text())
            if package.get("resource"):
                yield package


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """The engine's view of Python."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.programs: set[subprocess.Popen[bytes]] = set()
        self.lock = threading.Lock()

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002
        self.engine = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002
        return plugin_pb2.PluginInfo(version=version("pulumi"))

    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002
        # Of a component package, the engine would fetch even those that it then takes from PATH.
        package_only = Path(request.info.program_directory, "PulumiPlugin.yaml").exists()
        packages = [
            plugin_pb2.PackageDependency(
                name=package["name"], kind="resource", version=package["version"], server=package.get("server", "")
            )
            for package in Environment(request.info).packages()
            if not (package_only and shutil.which(f"pulumi-resource-{package['name']}"))
        ]
        return language_pb2.GetRequiredPackagesResponse(packages=packages)

    def About(self, request: Any, context: grpc.ServicerContext) -> Any:
        python = self._python(request.info, context)
        answer = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
        return language_pb2.AboutResponse(executable=python, version=answer.stdout.removeprefix("Python ").strip())

    def Run(self, request: Any, context: grpc.ServicerContext) -> Any:
        environment = Environment(request.info)
        python = self._python(request.info, context)
        program = Path(request.info.program_directory, request.info.entry_point).absolute()
        if program.is_dir() and not (program / "__main__.py").exists():
            return language_pb2.RunResponse(error=f"no Python program: {program}/__main__.py does not exist")
        what = {
            "program": str(program),
            "args": list(request.args),
            "project": request.project,
            "stack": request.stack,
            "organization": request.organization,
            "monitor": request.monitor_address,
            "engine": self.engine,
            "parallel": request.parallel,
            "dry_run": request.dryRun,
            "root_directory": request.info.root_directory,
            "bytecode": str(CACHE / "bytecode"),
        }
        secret_keys = json.dumps(list(request.configSecretKeys))
        process = subprocess.Popen(
            [python, str(RUNNER), json.dumps(what)],
            cwd=request.pwd or None,
            env={
                **environment.variables,
                "PULUMI_CONFIG": json.dumps(dict(request.config)),
                "PULUMI_CONFIG_SECRET_KEYS": secret_keys,
            },
            stdin=subprocess.DEVNULL,
        )
        with self._running(process, context):
            code = process.wait()
        if code == REPORTED:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=ending(code))

    def RunPlugin(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """A policy pack or a provider written in Python, until the engine hangs up: the parts of its output."""
        environment = Environment(request.info)
        program = request.info.program_directory
        # The SDK starts a policy pack for the engine's address and the pack's folder; a provider starts itself.
        argv = (
            ["-m", "pulumi.policy", *request.args, program] if request.kind == "analyzer" else [program, *request.args]
        )
        variables = dict(each.split("=", 1) for each in request.env)
        process = subprocess.Popen(
            [self._python(request.info, context), *argv],
            cwd=request.pwd or None,
            env=environment.activated(variables)
            | {"PYTHONPYCACHEPREFIX": str(CACHE / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with process, self._running(process, context):
            for part in output(process):
                yield language_pb2.RunPluginResponse(**part)
            yield language_pb2.RunPluginResponse(exitcode=process.wait())

    def InstallDependencies(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """`pulumi install`: the virtual environment, and requirements.txt in it; the parts of what pip says."""
        environment = Environment(request.info)
        requirements = Path(request.info.program_directory, "requirements.txt")
        if environment.root is None or not requirements.exists():
            return
        steps = [[str(environment.root / "bin" / "python"), "-m", "pip", "install", "-r", str(requirements)]]
        if not (environment.root / "bin" / "python").exists():
            steps.insert(0, [sys.executable, "-m", "venv", str(environment.root)])
        for argv in steps:
            process = subprocess.Popen(
                argv,
                env=environment.variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            with process, self._running(process, context):
                for part in output(process):
                    yield language_pb2.InstallDependenciesResponse(**part)
                if code := process.wait():
                    context.abort(grpc.StatusCode.UNKNOWN, f"{shlex.join(argv)} ended with exit code {code}")

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002
        self.end()
        return empty_pb2.Empty()

    def end(self) -> None:
        """Ends every program that still runs."""
        with self.lock:
            for process in self.programs:
                process.terminate()

    @contextmanager
    def _running(self, process: subprocess.Popen[bytes], context: grpc.ServicerContext) -> Iterator[None]:
        """Ends the process with the call, which the program ends or the engine."""
        with self.lock:
            self.programs.add(process)
        context.add_callback(process.terminate)
        try:
            yield
        finally:
            process.terminate()
            with self.lock:
                self.programs.discard(process)

    def _python(self, info: Any, context: grpc.ServicerContext) -> str:
        try:
            return Environment(info).python
        except FileNotFoundError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            raise


def ending(code: int) -> str:
    """How a program ended, as the engine shows it; empty for a good end."""
    if code < 0:
        return f"Program was ended by {signal.Signals(-code).name}"
    return f"Program exited with non-zero exit code: {code}" if code else ""


def output(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """{"stdout" or "stderr": what came of it} until the process has closed both."""
    with selectors.DefaultSelector() as selector:
        for name in ("stdout", "stderr"):
            selector.register(getattr(process, name), selectors.EVENT_READ, name)
        while selector.get_map():
            for key, _ in selector.select():
                if data := os.read(key.fd, 1 << 16):
                    yield {key.data: data}
                else:
                    selector.unregister(key.fileobj)


def main() -> None:
    """Serves the engine whose address is the last argument."""
    host = LanguageHost(sys.argv[-1])
    serve(lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server), host.end, threads=8)


if __name__ == "__main__":
    main()
