"""A view as a JSON file and as an address: both come back as they were, and anything else is told what is wrong."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace
from typing import Annotated
from urllib.parse import parse_qs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mkpn.geometry import Rectangle
from mkpn.model.config import MODELS
from mkpn.synthesis.images import EXAMPLES
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import GAINS, Noise
from mkpn.ui.page import views
from mkpn.ui.run.settings import FIRST_SEED, LARGEST_SEED, ImageRef, Recorded, Settings
from mkpn.ui.saved.checked import check, whole
from mkpn.ui.saved.look import CHANNELS, ERRORS, MODES, MOST_INSETS, PALETTES, PANES, PARTNERS, Look
from mkpn.ui.saved.permalink import from_query, to_query
from mkpn.ui.saved.state import FIGURE_PANES, FORMAT, SIDES, State, from_json

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
UNIT = st.floats(0, 1)


def rounded(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high).map(lambda value: round(value, 4) + 0.0)


def ordered(names: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    chosen = st.sets(st.sampled_from(names)) if names else st.just(set())
    return chosen.map(lambda some: tuple(name for name in names if name in some))


@st.composite
def looks(draw: st.DrawFn) -> Look:
    fit = draw(st.booleans())
    error = draw(st.none() | st.sampled_from(ERRORS))
    moved = {} if fit else {"zoom": draw(rounded(0.01, 64)), "center": draw(st.tuples(*[rounded(-50, 600)] * 2))}
    return Look(
        mode=draw(st.sampled_from(MODES)),
        fit=fit,
        **moved,
        active=draw(st.none() | st.sampled_from(PANES)),
        second=draw(st.none() | st.sampled_from(PANES)),
        reference=draw(st.sampled_from(PANES)),
        hidden=draw(ordered(PANES)),
        error=error,
        top=draw(st.none() | rounded(0.001, 1)) if error else None,
        ev=draw(rounded(-4, 4)),
        contrast=draw(rounded(0.5, 4)),
        gamma=draw(rounded(0.4, 3)),
        channel=draw(st.sampled_from(CHANNELS)),
        palette=draw(st.sampled_from(PALETTES)),
        insets=tuple(sum(draw(st.lists(st.tuples(*[st.integers(0, 500)] * 4), max_size=MOST_INSETS)), ())),
        split=draw(rounded(0, 1)),
        rate=draw(rounded(0.25, 3)),
        partner=draw(st.sampled_from(PARTNERS)),
    )


@st.composite
def states(draw: st.DrawFn) -> State:
    example = draw(st.sampled_from(EXAMPLES))
    own = st.builds(ImageRef, st.text(st.characters(codec="utf-8"), min_size=1, max_size=60), st.none(), HEX)
    models = draw(ordered(MODELS))
    measured = draw(ordered(("noisy", "mean", *models)))
    decibels = st.floats(-5, 90).map(lambda value: round(value, 3)) | st.just(math.inf)
    similarity = st.floats(-1, 1).map(lambda value: round(value, 4))
    return State(
        image=draw(st.just(ImageRef(example.name, example.loader)) | own),
        settings=Settings(
            noise=draw(st.sampled_from(list(GAINS.values())) | st.builds(Noise, UNIT, UNIT)),
            downsample=draw(st.sampled_from([1, 2, 4])),
            fit=draw(st.sampled_from(["shrink", "crop"])),
            motion=BurstConfig(
                rate=draw(st.floats(0, 8)), small=draw(st.integers(0, 16)), large=draw(st.integers(0, 64))
            ),
            seed=draw(st.integers(0, LARGEST_SEED)),
            models=models,
        ),
        square=draw(st.none() | st.tuples(st.integers(0, 600), st.integers(0, 600), st.sampled_from(SIDES))),
        region=draw(st.none() | st.builds(Rectangle, *[st.integers(0, 600)] * 4)),
        shown=draw(st.sampled_from(PANES)),
        panes=draw(ordered(PANES)),
        look=draw(st.just(Look()) | looks()),
        recorded=Recorded(
            weights={name: draw(HEX)[:8] for name in draw(ordered(models))},
            metric=draw(st.just("") | HEX.map(lambda text: text[:8])),
            figures={pane: (draw(decibels), draw(similarity)) for pane in measured},
        ),
    )


@given(states())
@settings(deadline=None, max_examples=60)
def test_a_state_survives_both_ways(state: State) -> None:
    assert from_json(state.to_json({"alt": "for people"})) == state
    assert from_query(f"?{to_query(state)}") == (state, [])


@given(st.text(max_size=300), st.dictionaries(st.sampled_from(["image", "gain", "seed", "zoom", "psnr"]), st.text()))
@settings(deadline=None, max_examples=60)
def test_any_address_is_survived(tail: str, pairs: dict[str, str]) -> None:
    state, problems = from_query("image=coffee&" + "&".join(f"{k}={v}" for k, v in pairs.items()) + tail)
    assert state is not None or problems
    from_query(tail)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=4))
@settings(deadline=None, max_examples=40)
def test_a_field_of_any_kind_is_taken_or_refused(value: object) -> None:
    record = json.loads(example().to_json())
    for key in record:
        if key != "format":
            with contextlib.suppress(ValueError):
                from_json(json.dumps({**record, key: value}))


def example(**changes: object) -> State:
    first = EXAMPLES[0]
    state = State(image=ImageRef(first.name, first.loader, "ab" * 32), settings=Settings(noise=GAINS[4], seed=3))
    return replace(state, **changes)  # pyright: ignore[reportArgumentType]


def test_a_run_has_a_seed_that_its_file_may_have() -> None:
    state = example(settings=Settings(noise=GAINS[4], seed=LARGEST_SEED))
    assert from_json(state.to_json()) == state
    with pytest.raises(
        ValueError, match=r"^seed: expected a whole number, 0 to 9007199254740991, got 9007199254740992"
    ):
        Settings(noise=GAINS[4], seed=LARGEST_SEED + 1)


def test_an_address_is_short_and_readable() -> None:
    assert to_query(example(settings=Settings(noise=GAINS[4], seed=3, models=("kpn", "mkpn")))) == (
        "image=chelsea&gain=4&seed=3&models=kpn,mkpn"
    )
    look = Look(mode="split", fit=False, zoom=4, center=(20.5, 31), active="mkpn", second="kpn", error="signed")
    query = parse_qs(to_query(example(square=(7, 9, 64), look=look)))
    assert query["square"] == ["7,9,64"]
    assert (query["mode"], query["zoom"], query["center"]) == (["split"], ["4"], ["20.5,31"])
    assert (query["active"], query["second"], query["error"]) == (["mkpn"], ["kpn"], ["signed"])
    everything = example(
        look=look,
        recorded=Recorded(
            weights=dict.fromkeys(MODELS, "0" * 64),
            metric="0" * 8,
            figures=dict.fromkeys(("noisy", "mean", *MODELS), (28.123456, 0.7654321)),
        ),
    )
    assert len(to_query(everything)) < 600


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("image=nobody", "bundled: expected one of chelsea"),
        ("image=chelsea&gain=3", "gain: expected one of 1, 2, 4, 8, got 3"),
        ("image=chelsea&seed=-1", "seed: expected a whole number from 0"),
        ("image=chelsea&seed=1.5", "got 1.5"),
        ("image=chelsea&sigma_r=nan&sigma_s=0", "sigma_r: expected a number from 0 to 1"),
        ("image=chelsea&models=mkpn,unet", "models: expected names out of kpn-l1"),
        ("image=chelsea&square=1,2,63", "expected a side of 32"),
        ("image=chelsea&region=1,2,3", "region: expected 4 whole numbers"),
        ("image=chelsea&mode=cinema", "view.mode: expected one of grid"),
        ("image=chelsea&zoom=1e9&center=1,2", "view.zoom: expected a number from"),
        ("image=chelsea&burst=1.5,2,1000", "burst.large: expected a whole number from 0 to 64"),
        ("image=chelsea&models=mkpn&weights=xyz", "weights.mkpn: expected 8 to 64 hexadecimal digits"),
        ("image=chelsea&models=mkpn&psnr=a,b,c&ssim=1,1,1", "figures.noisy.psnr: expected a number"),
        ("file=cat.png&sha256=12", "sha256: expected 64 to 64 hexadecimal digits"),
    ],
)
def test_a_bad_part_of_an_address_is_named_and_has_its_default(query: str, problem: str) -> None:
    state, problems = from_query(query)
    assert state is not None
    assert len(problems) == 1
    assert problem in problems[0]
    # The rest stands, and the first picture, the first gain and the first seed for what does not.
    assert state.image.bundled == "chelsea"
    assert state.gain == 4
    assert state.settings.seed == FIRST_SEED
    assert state.recorded == Recorded()


def test_a_plain_address_names_no_view() -> None:
    for query in ("", "?", "?__theme=dark", "seed=3&gain=8"):
        assert from_query(query) == (None, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[1, 2]", "got list"),
        ('{"format": "somebody-elses"}', f"{FORMAT}, got 'somebody-elses'"),
        (f'{{"format": "{FORMAT}"}}', "noise: expected an object, got nothing"),
        ("1" * 1_000_001, "at most 1000000 characters"),
    ],
)
def test_another_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(text)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", True, "seed: expected a whole number"),
        ("seed", "3", "got '3'"),
        ("downsample", 3, "downsample: expected one of 1, 2, 4, got 3"),
        ("image", {"title": "cat.png"}, "image.sha256: expected 64 to 64 hexadecimal digits, got nothing"),
        ("image", {"bundled": "/etc/passwd"}, "image.bundled: expected one of"),
        ("noise", {"sigma_r": 2, "sigma_s": 0}, "noise.sigma_r: expected a number from 0 to 1, got 2"),
        ("burst", {"frames": 9}, "burst.frames: expected one of 8"),
        ("models", "mkpn", "models: expected names"),
        ("view", {"hidden": ["everything"]}, "view.hidden"),
        ("figures", {"mkpn": {"psnr": None, "ssim": 1}}, "figures.mkpn.psnr"),
    ],
)
def test_a_wrong_field_of_a_file_is_named(key: str, value: object, message: str) -> None:
    record = json.loads(example().to_json())
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        from_json(json.dumps({**record, key: value}))


def test_messages_repeat_no_more_than_a_line() -> None:
    with pytest.raises(ValueError, match="…") as caught:
        check(Annotated[int, whole(0, 9)], "x" * 100_000, "seed")
    assert len(str(caught.value)) < 150


def test_what_the_viewer_sends_becomes_a_look() -> None:
    sent = {
        "mode": "blink", "zoom": 3.999999, "fit": False, "center": [10.00004, 20], "active": "mkpn", "second": None,
        "hidden": ["mean"], "error": None, "top": 0.2, "ev": 0, "contrast": 1, "split": 0.5,
        "blink": {"playing": True, "rate": 2, "partner": "all"}, "reference": "noisy", "dataset_id": "cat",
    }  # fmt: skip
    look = Look.from_event(sent)
    assert look == Look(
        mode="blink", fit=False, zoom=4, center=(10, 20), active="mkpn", hidden=("mean",), rate=2, partner="all",
        reference="noisy",
    )  # fmt: skip
    record = look.for_viewer()
    assert record["blink"] == {"rate": 2, "partner": "all"}
    assert "second" not in record
    assert record["error"] is None
    with pytest.raises(ValueError, match=r"view\.hidden"):
        Look.from_event({**sent, "hidden": "all"})
    for wrong in ([1, 2, 3], [1, 2, 3, -4], [0] * 20, "all"):
        with pytest.raises(ValueError, match=r"view\.insets: expected up to 4 times 4 whole numbers"):
            Look.from_event({**sent, "insets": wrong})


def test_panes_are_the_viewer_s_choice_until_somebody_chooses() -> None:
    for query, hidden in (("gain=4", None), ("gain=4&hidden=", ()), ("hidden=mean", ("mean",)), ("mode=split", ())):
        state, _ = from_query(f"image=chelsea&{query}")
        assert state is not None
        assert state.look.hidden == hidden
        assert ("hidden" in state.look.for_viewer()) == (hidden is not None)


def test_what_is_on_the_screen() -> None:
    assert Look(hidden=("mean", "kpn")).visible() == tuple(pane for pane in PANES if pane not in ("mean", "kpn"))
    assert Look(mode="single", active="kpn").visible() == ("kpn",)
    assert Look(mode="split", active="mkpn", second="noisy").visible() == ("noisy", "mkpn")
    assert Look(mode="blink", active="mkpn").visible() == ("mkpn", "truth")


def test_lists_that_must_agree() -> None:
    assert tuple(views.MAGNIFICATIONS) == SIDES
    assert set(FIGURE_PANES) < set(PANES)
