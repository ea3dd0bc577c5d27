"""Names of networks and pictures: no two alike, and none that something else has."""

from __future__ import annotations

from mkpn.evaluation.names import named_networks, unique_name


def test_what_is_taken_gets_a_number() -> None:
    assert unique_name("a", ()) == "a"
    assert unique_name("a", {"a", "a-2"}) == "a-3"


def test_a_shipped_network_keeps_its_name_wherever_it_stands() -> None:
    assert named_networks(["x/kpn-l1.safetensors", "kpn-l1", "y/kpn-l1.safetensors", "mkpn"]) == {
        "kpn-l1-2": "x/kpn-l1.safetensors",
        "kpn-l1": "kpn-l1",
        "kpn-l1-3": "y/kpn-l1.safetensors",
        "mkpn": "mkpn",
    }


def test_a_network_named_twice_counts_once() -> None:
    assert named_networks(["mkpn", "a.safetensors", "mkpn", "a.safetensors"]) == {"mkpn": "mkpn", "a": "a.safetensors"}


def test_no_network_is_called_like_a_picture_that_none_has_made() -> None:
    files = [f"{name}.safetensors" for name in ("noisy", "clean", "mean")]
    assert list(named_networks(files)) == ["noisy-2", "clean-2", "mean-2"]
