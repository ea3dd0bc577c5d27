"""The examples in the docstrings of the public functions run and give what they print."""

from __future__ import annotations

import doctest
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mkpn
from mkpn.explain.statistics import kernel_statistics
from mkpn.synthesis.scenes import drawn_scene

EXAMPLES = {
    "load": mkpn.load,
    "synthesize": mkpn.synthesize,
    "psnr": mkpn.psnr,
    "ssim": mkpn.ssim,
    "explain.probe": mkpn.explain.probe,
    "ops.local_conv": mkpn.ops.local_conv,
    "kernel_statistics": kernel_statistics,
    "drawn_scene": drawn_scene,
}


def test_no_example_is_left_out() -> None:
    package = Path(mkpn.__file__).parent
    written = {path for path in package.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")}
    assert written == {Path(inspect.getfile(inspect.unwrap(function))) for function in EXAMPLES.values()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_gives_what_it_prints(name: str) -> None:
    function: Callable[..., object] = EXAMPLES[name]
    module = sys.modules[function.__module__]
    (example,) = doctest.DocTestFinder(recurse=False).find(
        function, name, module=module, globs={function.__name__: function}
    )
    assert example.examples, f"{name} has no example"
    report: list[str] = []
    outcome = doctest.DocTestRunner().run(example, out=report.append)
    assert outcome.failed == 0, "".join(report)
