"""How the commands speak: results on stdout, all else on stderr, and one sentence and an exit code for what fails."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

DONE, FAILED, REFUSED, STOPPED = 0, 1, 2, 130

EXIT_CODES = """Exit codes:
  0    done
  1    it ran and failed: the loss is not finite, disk or memory are full, `verify` found a difference
  2    refused: an argument or a file cannot be used; the message says which
  130  stopped by Ctrl+C; the message says what is kept"""


class Failed(Exception):
    """A command ran, and what it was asked for is not so; its message is for people."""


class Interrupted(KeyboardInterrupt):
    """Ctrl+C, with a sentence about what is kept."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """What is printed.

    Attributes:
        json: print the results as one JSON value instead of a table.
        quiet: no progress and no warnings on stderr, errors only.
    """

    json: bool = False
    quiet: bool = False

    @contextmanager
    def results(self) -> Generator[Results]:
        """Yields where the results are left; with `json` they are printed at the end, and tables go to stderr."""
        results = Results()
        first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started
        with _silence() if self.quiet else nullcontext(), open(os.devnull, "w", encoding="utf-8") as nothing:
            if not first:
                with redirect_stdout(nothing):
                    yield results
                return
            if not self.json:
                yield results
                return
            with redirect_stdout(nothing if self.quiet else sys.stderr):
                yield results
        print(json.dumps(results.value, indent=1))


@contextmanager
def _silence() -> Generator[None]:
    # Of other packages, too: matplotlib warns where there is no home folder.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    # Read by tqdm when it is imported, and by `mkpn.distributed.shows_progress` for every progress bar.
    os.environ["TQDM_DISABLE"] = "1"
    try:
        yield
    finally:
        os.environ.pop("TQDM_DISABLE")
        logging.disable(before)


@dataclass
class Results:
    """What a command found, as `--json` prints it.

    Attributes:
        value: of JSON types.
    """

    value: Any = None


@contextmanager
def keeping(kept: Callable[[], str]) -> Generator[None]:
    """Makes Ctrl+C say what is kept.

    Args:
        kept: asked when it happens; a phrase such as `out/ holds the pictures so far`.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        try:
            phrase = kept()
        # What it asks may itself have been interrupted, as an import can be.
        except Exception:
            raise KeyboardInterrupt from error
        raise Interrupted(phrase) from error


def exit_code(command: Callable[[], object]) -> int:
    """Runs a command and returns its exit code; whatever a user may have caused ends in one sentence on stderr."""
    try:
        command()
    except ValueError as error:
        return _say(str(error), REFUSED)
    except (Failed, FloatingPointError) as error:
        return _say(str(error), FAILED)
    except KeyboardInterrupt as error:
        kept = f"; {error}" if isinstance(error, Interrupted) else ""
        return _say(f"stopped{kept}", STOPPED)
    except BrokenPipeError:
        # Who reads the results has gone, e.g. `head`. Python would try to write the rest once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        code = REFUSED if isinstance(error, PermissionError) else FAILED
        return _say(f"{error.filename or 'a file'}: {error.strerror or error}", code)
    except (MemoryError, RuntimeError) as error:
        # PyTorch's own errors for want of memory are RuntimeErrors, on the CPU without a class of their own.
        if not isinstance(error, MemoryError) and not re.search("out of memory|allocate memory", str(error)):
            raise
        return _say("out of memory; a larger --downsample needs less, and --device cpu uses none of the GPU's", FAILED)
    return DONE


def _say(sentence: str, code: int) -> int:
    # Progress bars end without a new line.
    before = "\n" if code == STOPPED else ""
    print(f"{before}mkpn: {sentence}", file=sys.stderr)
    return code


PATHS = tyro.constructors.ConstructorRegistry()
"""How the options that are paths are read: an empty one, as of a shell variable that is not set, is refused."""


@PATHS.primitive_rule
def _path(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec[Path] | None:
    if info.type is not Path:
        return None

    def read(words: list[str]) -> Path:
        if not words[0]:
            raise ValueError("expected a path, got an empty one; the current folder is .")
        return Path(words[0])

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda path: [str(path)],
    )
