"""Every event ends in a result or in one sentence: what goes wrong on its way is told here, in one place."""

from __future__ import annotations

import errno
import time
import uuid
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.exceptions import InvalidPathError

from mkpn.ui.service.logs import LOGGER, REQUEST_ID, request_id

_LONGEST = 400  # characters of a sentence
_BEGAN = "mkpn.began"


class Page(gr.Blocks):
    """A page whose events never end without a reason, and leave no traceback where the reason is known.

    Gradio itself answers an unexpected error with no word, and prints a traceback for each refusal.
    """

    async def process_api(self, block_fn: BlockFunction | int, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Runs one step of an event as Gradio does; whatever goes wrong is a `gr.Error` with one sentence.

        The lines that are logged meanwhile, in the worker's thread too, carry the id of the request that asked.
        """
        scope = _scope_of(kwargs.get("request"))
        token = request_id.set(str(scope.get(REQUEST_ID, "")))
        began = scope.setdefault(_BEGAN, time.perf_counter())
        outcome = "failed"
        try:
            result = await super().process_api(block_fn, *args, **kwargs)
            outcome = "" if result.get("is_generating") else "done"
            return result
        except gr.Error as error:
            outcome = "refused"
            raise refusal(str(error.message)) from error
        # By the convention of the package this is a sentence for whoever sent the value.
        except ValueError as error:
            if ": expected " in str(error):
                outcome = "refused"
                raise refusal(str(error)) from error
            raise self._unexpected(block_fn, error) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                LOGGER.error("the disk is full", exc_info=error)
                raise refusal("disk: expected free space on the server, got a full disk; try again later") from error
            raise self._unexpected(block_fn, error) from error
        finally:
            if outcome:
                fields = {"event": _name(block_fn), "outcome": outcome}
                fields |= {"session": kwargs.get("session_hash"), "ms": round(1000 * (time.perf_counter() - began), 1)}
                LOGGER.info("event", extra={"fields": fields})
            request_id.reset(token)

    async def preprocess_data(self, block_fn: BlockFunction, inputs: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Reads what a client has sent as Gradio does; what does not fit its components is refused."""
        if block_fn.fn is None:
            raise refusal("fn_index: expected an event that the server answers, got one of the browser's own")
        if len(inputs) != len(block_fn.inputs):
            raise refusal(f"data: expected {len(block_fn.inputs)} values, got {len(inputs)}")
        if any(_names_another_server(value) for value in inputs):
            raise refusal("data: expected uploaded files, got the address of one on another server")
        # While a visitor types the number of a slider anew, its field is empty.
        inputs = [
            block.minimum if value is None and isinstance(block, gr.Slider) else value
            for block, value in zip(block_fn.inputs, inputs, strict=True)
        ]
        try:
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except InvalidPathError as error:
            raise refusal("data: expected uploaded files, got a path of the server") from error
        # A client that is not the page may send anything; each component fails at it in its own way and words.
        except Exception as error:
            for block, value in zip(block_fn.inputs, inputs, strict=True):
                if sentence := _out_of_range(block, value):
                    raise refusal(sentence) from error
            kinds = ", ".join(block.get_block_name() for block in block_fn.inputs)
            raise refusal(f"data: expected values for {kinds}, got others ({type(error).__name__})") from error

    def _unexpected(self, block_fn: BlockFunction | int, error: Exception) -> gr.Error:
        """Writes an error to the log, and returns what the visitor hears of it."""
        name = _name(block_fn)
        found = uuid.uuid4().hex[:12]
        LOGGER.error("event failed", exc_info=error, extra={"fields": {"event": name, "error_id": found}})
        return refusal(f"{name}: this call failed; the server's log has the reason under {found}.")


def _name(block_fn: BlockFunction | int) -> str:
    return str(block_fn.api_name if isinstance(block_fn, BlockFunction) else block_fn)


def _scope_of(request: Any) -> dict[str, Any]:
    """What is known of the request that joined the queue; kept from step to step of an event."""
    scope = getattr(getattr(request, "request", None), "scope", None)
    return scope if isinstance(scope, dict) else {}


def _out_of_range(block: Any, value: Any) -> str:
    """Says by the name that the page shows what a number may be that was typed beyond its range; else nothing."""
    low, high = getattr(block, "minimum", None), getattr(block, "maximum", None)
    if isinstance(value, bool) or not isinstance(value, int | float) or low is None:
        return ""
    if value >= low and (high is None or value <= high):
        return ""
    end = " or more" if high is None else f" to {high:g}"
    name = str(block.label or block.get_block_name()).split(" (")[0]
    return f"{name}: expected a number, {low:g}{end}, got {value:g}"


def _names_another_server(value: Any) -> bool:
    """Tells whether Gradio would fetch a file from somewhere else, on behalf of whoever asks for it."""
    if isinstance(value, dict):
        path = value.get("path")
        remote = isinstance(path, str) and path.lower().lstrip().startswith(("http:", "https:"))
        return remote or any(map(_names_another_server, value.values()))
    return isinstance(value, list) and any(map(_names_another_server, value))


def refusal(message: str) -> gr.Error:
    """Returns what Gradio hands to the visitor: one line, without a traceback in the log."""
    line = " ".join(message.split())
    return gr.Error(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…", print_exception=False)
