"""Runs a Pulumi program in the program's own virtual environment: `python program.py '{"program": ...}'`.

Started by the language host, so it imports nothing but the SDK. Secrets come by PULUMI_CONFIG, as the SDK expects.
Exit code `REPORTED` says that the cause was already told to the engine.
"""

import asyncio
import json
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

REPORTED = 32


def run(request: dict[str, Any]) -> int:
    """Runs the program that `request` describes to its end, with all of its resource registrations; the exit code."""
    import pulumi
    from pulumi.runtime import Settings, config, configure, run_in_stack

    config.set_all_config(config.get_config_env(), config.get_config_secret_keys_env())
    program = request.pop("program")
    sys.argv = [program, *request.pop("args")]
    configure(Settings(**request))
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # futures left unread after a failure are not news
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # A registration that waits in apply() holds a thread: as many as the engine may ask for at once, times four.
    threads = ThreadPoolExecutor(max_workers=max(request["parallel"] or 1, 1) * 4)
    loop.set_default_executor(threads)

    def main() -> None:
        runpy.run_path(program, run_name="__main__")

    try:
        loop.run_until_complete(run_in_stack(main))
    except pulumi.RunError as error:
        if not engine_left(error):
            pulumi.log.error(str(error))
        return REPORTED
    except Exception as error:
        if engine_left(error):
            return REPORTED
        pulumi.log.error("Program failed with an unhandled exception:\n" + program_traceback(error, program))
        return REPORTED
    finally:
        threads.shutdown(wait=True)
        loop.close()
    return 0


def engine_left(error: Exception) -> bool:
    """Whether `error` only says that the engine stopped listening, which it does after telling of a failure itself."""
    ends = ("resource monitor shut down", "resource monitor has terminated", "client connection is closing")
    return any(end in str(error).lower() for end in ends)


def program_traceback(error: BaseException, program: str) -> str:
    """The traceback of `error` from its first frame in the program on, without the frames that started the program."""
    root = os.path.join(program if os.path.isdir(program) else os.path.dirname(program), "")
    first: TracebackType | None = error.__traceback__
    while first is not None and not first.tb_frame.f_code.co_filename.startswith(root):
        first = first.tb_next
    return "".join(traceback.format_exception(type(error), error, first or error.__traceback__))


if __name__ == "__main__":
    what = json.loads(sys.argv[1])
    # Compiling pulumi_aws.ec2 anew takes 2.5 s. PYTHONDONTWRITEBYTECODE keeps source trees clean, and so does this.
    sys.pycache_prefix, sys.dont_write_bytecode = what.pop("bytecode"), False
    place = what["program"]
    # In place of this file's own directory: modules beside the program are importable, ours are not.
    sys.path[0] = place if os.path.isdir(place) else os.path.dirname(place)
    code = run(what)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)
