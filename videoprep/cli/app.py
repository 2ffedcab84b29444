"""The `videoprep` command: its sub-commands, and how errors and signals end it."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from videoprep import __version__
from videoprep.cli.caption import caption
from videoprep.cli.demo import demo
from videoprep.cli.encode import encode
from videoprep.cli.export import export
from videoprep.cli.import_ import import_
from videoprep.cli.index import index
from videoprep.cli.init import init
from videoprep.cli.options import join_values
from videoprep.cli.output import print_error
from videoprep.cli.preview import preview
from videoprep.cli.refine import refine
from videoprep.cli.report import report
from videoprep.cli.review import review
from videoprep.cli.rules import rules
from videoprep.cli.spelling import Command, Formatter
from videoprep.cli.split import split
from videoprep.cli.status import status
from videoprep.cli.train import train
from videoprep.cli.usage import explained
from videoprep.cli.validate import validate
from videoprep.cli.verify import verify
from videoprep.errors import VideoprepError

_AGAIN_SECONDS = 3.0

app = typer.Typer(
    name="videoprep",
    help="Turns videos and captions into verified, bucketed, encoded training data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={
        # The ancestor's spelling of options, --data_root, is accepted too.
        "token_normalize_func": lambda token: token.replace("_", "-"),
        "help_option_names": ["-h", "--help"],
    },
)
for command in (
    *(init, split, caption, refine, validate, rules, index, encode, status, verify),
    *(preview, export, train, report, review, demo),
):
    app.command(cls=Command)(command)
app.command("import", cls=Command)(import_)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"videoprep {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool | None,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = None,
) -> None:
    del version


def main() -> NoReturn:
    """Runs the command line and exits.

    0: clean. 1: findings, skipped samples or failed clips. 2: wrong use or a broken environment.
    130 and 143: stopped by Ctrl-C or SIGTERM.
    """
    warnings = logging.StreamHandler()
    warnings.setFormatter(Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[warnings])
    signal.signal(signal.SIGTERM, _stop)
    try:
        arguments = join_values(sys.argv[1:])
        code: object = app(args=arguments, prog_name="videoprep", standalone_mode=False)
    except TyperException as error:  # the command line makes no sense
        if error.format_message():  # help, which is given where nothing is asked, has none
            print_error(explained(error))
        code = 2
    except typer.Abort:
        code = 1
    except SystemExit as leaving:  # typer's way to end, and that of a signal
        code = leaving.code
    except VideoprepError as error:
        print_error(error)
        code = error.exit_code
    except OSError as error:  # a file system that is full, read-only or gone
        where = os.fsdecode(error.filename) if error.filename else None
        print_error(VideoprepError(error.strerror or str(error), where=where))
        code = 2
    _leave(code if isinstance(code, int) else int(code is not None))


def _leave(code: int) -> NoReturn:
    """Ends the process without tearing down what was imported.

    With torch and its like that takes more than a second, in which some libraries complain.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):  # whoever read it has gone
            stream.flush()
    atexit._run_exitfuncs()
    os._exit(code)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Ends what the process is at.

    Python swallows an exception in some places, such as finalizers: then it comes once more.
    """
    del frame
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), number))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    sys.exit(128 + number)
