"""Memory goes back to the system once nobody runs anything, and not between two runs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from mkpn.ui.run.going import Going
from mkpn.ui.service.memory import giving_back


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's account of memory")
def test_kept_blocks_are_given_back() -> None:
    code = """
import numpy as np
from mkpn.device import keep_large_blocks, release_free_blocks

def memory():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) // 1024

kept = keep_large_blocks()
before = memory()
blocks = [np.ones(2**21) for _ in range(20)]  # 16 MB each
last = np.ones(2**16)
del blocks
held = memory() - before
print(kept, held, release_free_blocks(), memory() - before)
"""
    kept, held, released, left = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    if kept == "False":
        pytest.skip("this C library's allocator is left alone")
    assert int(held) > 300
    assert released == "True"
    assert int(left) < 50


class _Run:
    owner, closed = "", False

    def cancel(self) -> None: ...

    def close(self) -> None: ...


def test_only_after_the_last_run(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    monkeypatch.setattr("mkpn.ui.service.memory.release_free_blocks", lambda: given.append(time.monotonic()))
    going = Going()

    async def live() -> None:
        async with giving_back(going, 0.2):
            await asyncio.sleep(0.6)
            assert given == []  # nothing has run
            with going.computing(_Run()):
                await asyncio.sleep(0.6)
                assert going.ended is None
                assert given == []
            ended = going.ended
            assert ended is not None
            await asyncio.sleep(1.5)
            assert len(given) == 1  # once, not again and again
            assert given[0] - ended > 0.2
            with going.computing(_Run()):
                pass
            await asyncio.sleep(1.5)
            assert len(given) == 2

    asyncio.run(live())
