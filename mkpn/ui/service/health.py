"""How the service is, for those who keep it running."""

from __future__ import annotations

from typing import Any

import gradio as gr

import mkpn
from mkpn.ui.run.models import ModelStore


def health_of(page: gr.Blocks, store: ModelStore, queue_id: str, most_waiting: int) -> dict[str, Any]:
    """Returns what `/health` answers: status, version, models, queue, what is kept.

    Args:
        page: the page; its queue is read.
        store: the models.
        queue_id: `concurrency_id` of the runs.
        most_waiting: runs that may wait.
    """
    # Gradio keeps the queue of an id from its first event on, and has no public way to look into it.
    waiting = page._queue.event_queue_per_concurrency_id.get(queue_id)  # pyright: ignore[reportPrivateUsage]
    return {
        "status": "ok" if store.names else "no models",
        "version": mkpn.__version__,
        "device": store.device_name,
        "models": {"found": len(store.names), "loaded": store.loaded},
        "queue": {
            "running": waiting.current_concurrency if waiting else 0,
            "waiting": len(waiting.queue) if waiting else 0,
            "limit": most_waiting,
        },
        "kept": {"sessions": len(page.state_holder.session_data), "runs": store.going.kept},  # pyright: ignore[reportAttributeAccessIssue] - set at launch
    }
