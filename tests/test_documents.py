"""The documents: short, linked, with commands that parse and figures that agree with the shipped networks."""

from __future__ import annotations

import functools
import json
import math
import re
import shlex
import string
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro
import yaml
from safetensors import safe_open

import mkpn
from mkpn import __main__ as command_line
from mkpn.methods import label
from mkpn.model.checkpoint import shipped_models
from mkpn.model.config import MODELS, model_config
from mkpn.paper import PAPER
from mkpn.synthesis.noise import GAINS as NOISE

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("README.md", "checkpoints/*.md", "mkpn/**/*.md", "tests/*.md", ".github/*.md", ".deploy/*.md")
    for path in ROOT.glob(pattern)
)
GAINS = (1, 2, 4, 8)
REACHES = (0, 1, 2, 3, 4, 5, 6, 12)
LABELS = {model_config(name).label: name for name in MODELS}
LABELS |= {label(name): name for name in ("noisy", "mean", "aligned", "nlm")}


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """The text without a YAML header, code blocks and comments."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    return re.sub(r"```.*?```|<!--.*?-->", "", text, flags=re.DOTALL)


def paragraphs(text: str) -> Iterator[list[str]]:
    """Paragraphs and list items, as lines; tables and headings are left out."""
    current: list[str] = []
    for line in [*prose(text).splitlines(), ""]:
        starts_item = re.match(r"\s*(-|\d+\.) ", line) is not None
        if (not line.strip() or starts_item or line.startswith(("|", "#"))) and current:
            yield current
            current = []
        if line.strip() and not line.startswith(("|", "#")):
            current.append(line)


def tables(text: str) -> Iterator[list[list[str]]]:
    """Tables as rows of cells, without the line below the head and without marks of the best and of ties."""
    for block in re.findall(r"(?:^\|.*\n)+", prose(text), re.MULTILINE):
        rows = [[cell.strip(" *≈") for cell in line.strip("|").split("|")] for line in block.splitlines()]
        yield [[cell.replace("**", "") for cell in row] for row in rows if not re.fullmatch(r"[-: ]+", row[0] or "x")]


@functools.cache
def measured() -> dict[tuple[str, int], dict[str, Any]]:
    """What was measured, by method and gain, and whether MKPN ties; from the metadata of the shipped networks."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for path in shipped_models(ROOT / "checkpoints").values():
        with safe_open(path, "pt") as file:
            metrics = json.loads(file.metadata()["json"])["metrics"]
        ties = {(row["model"], row["gain"]) for row in metrics.get("against", []) if row["tie"]}
        for row in [*metrics["rows"], *metrics["references"]]:
            key = row["model"], row["gain"]
            found[key] = {**row, "tie": key in ties or found.get(key, row).get("tie", False)}
    return found


def stamped() -> dict[tuple[str, int], tuple[float, float]]:
    """PSNR and SSIM by method and gain, from the metadata of the shipped networks."""
    return {key: (row["psnr"], row["ssim"]) for key, row in measured().items()}


def test_readme_is_short() -> None:
    readme = read("README.md")
    assert len(readme.splitlines()) <= 150
    assert len(readme.split()) <= 1200


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paragraphs_are_short(document: str) -> None:
    for lines in paragraphs(read(document)):
        assert len(lines) <= 4, "\n".join(lines)
        assert max(map(len, lines)) <= 120, "\n".join(lines)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_measured_figures_stand_in_tables(document: str) -> None:
    for lines in paragraphs(read(document)):
        assert not re.search(r"\d ?(dB|ms)\b", " ".join(lines)), "\n".join(lines)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_resolve(document: str) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", read(document)):
        if not target.startswith(("http://", "https://")):
            path = ((ROOT / document).parent / target).resolve()
            assert path.exists(), f"{document} links to {target}"
            assert path.is_relative_to(ROOT), f"{document} links to {target}, outside of the repository"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_to_headings_resolve(document: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*?)#([^)]+)\)", read(document)):
        if not target.startswith(("http://", "https://")):
            other = ((ROOT / document).parent / target).resolve() if target else ROOT / document
            headings = re.findall(r"^#+ (.+)$", prose(other.read_text(encoding="utf-8")), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, f"{document} links to {target}#{anchor}"


def test_every_document_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        links = re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
        waiting += [(path.parent / link).resolve() for link in links]
    templates = {".github/pull_request_template.md"}
    assert {ROOT / document for document in DOCUMENTS if document not in templates} <= reached


def test_what_the_code_cites_is_there() -> None:
    readings = set(re.findall(r"^(\d+)\. \*\*", read("mkpn/training/README.md"), re.MULTILINE))
    assert readings >= {str(number) for number in range(1, 11)}
    cited: set[str] = set()
    for path in [*ROOT.glob("mkpn/**/*.py"), *ROOT.glob("mkpn/**/*.js"), *ROOT.glob("tests/**/*.py")]:
        if path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        assert "DESIGN" not in text, path
        for document in re.findall(r"(?<![\w/])[\w/]+README\.md", text):
            assert (ROOT / document).is_file(), f"{path} cites {document}"
        cited |= set(re.findall(r"\breading (\d+)", text))
    assert cited, "the code cites no reading"
    assert cited <= readings


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of every `python -m mkpn` in the text's bash blocks, with the shell's variables filled in."""
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        whole = block.replace("\\\n", " ")
        values = dict(re.findall(r'^(\w+)="(.*)"$', whole, re.MULTILINE)) | {"model": "mkpn"}
        for line in whole.splitlines():
            start = line.find("python -m mkpn ")
            if start >= 0:
                line = re.sub(r"\$\{[^}]*\}", "0.1", line[start:])
                line = string.Template(line).substitute(values)
                yield shlex.split(line, comments=True)[3:]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], object]:
    """The command line up to where a command would start."""
    build = tyro.extras.subcommand_cli_from_dict

    def without_running(functions: dict[str, Callable[..., object]], **options: Any) -> object:
        def stub(function: Callable[..., object]) -> Callable[..., object]:
            @functools.wraps(function)
            def nothing(*_: object, **__: object) -> str:
                return function.__name__

            return nothing

        result = build({name: stub(function) for name, function in functions.items()}, **options)
        parsed.append(result)
        return result

    parsed: list[object] = []
    monkeypatch.setattr(tyro.extras, "subcommand_cli_from_dict", without_running)

    def run(arguments: list[str]) -> object:
        parsed.clear()
        monkeypatch.setattr("sys.argv", ["mkpn", *arguments])
        command_line.main()
        return parsed[0]

    return run


def test_every_example_of_help_parses(parse: Callable[[list[str]], object], capsys: pytest.CaptureFixture[str]) -> None:
    listing = re.search(r"`python -m mkpn (.*?)`", command_line.__doc__ or "")
    assert listing
    assert set(command_line.EXAMPLES) == set(listing[1].split(" | "))
    for command, examples in command_line.EXAMPLES.items():
        for example in examples:
            assert parse(shlex.split(example)[1:]) == command
        with pytest.raises(SystemExit):
            parse([command, "--help"])
        printed = capsys.readouterr().out
        assert all(example in printed for example in examples)


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if any(commands(read(name)))])
def test_every_command_parses(document: str, parse: Callable[[list[str]], object]) -> None:
    for arguments in commands(read(document)):
        try:
            assert parse(arguments) == arguments[0]
        except SystemExit as error:
            pytest.fail(f"{document}: python -m mkpn {shlex.join(arguments)} ends with {error.code}")


def test_a_command_that_does_not_parse_is_found(parse: Callable[[list[str]], object]) -> None:
    (arguments,) = commands("```bash\npython -m mkpn train mkpn --images DIR --run out --stepz 3\n```\n")
    with pytest.raises(SystemExit):
        parse(arguments)


def test_readme_names_every_command() -> None:
    named = {arguments[0] for arguments in commands(read("README.md"))}
    listing = re.search(r"`python -m mkpn (.*?)`", command_line.__doc__ or "")
    assert listing
    assert named == set(listing[1].split(" | "))


def row_of(document: str, name: str, head: str) -> list[str]:
    (row,) = (
        row for table in tables(read(document)) if table[0][0].startswith(head) for row in table[1:] if row[0] == name
    )
    return row[1:]


def test_results_are_those_of_the_shipped_networks() -> None:
    for name, method in LABELS.items():
        expected = [f"{psnr:.2f} / {ssim:.3f}" for psnr, ssim in (stamped()[method, gain] for gain in GAINS)]
        assert row_of("mkpn/evaluation/README.md", name, "PSNR (dB) / SSIM") == expected, name


def test_marks_of_the_best_and_of_ties_are_right() -> None:
    text = read("mkpn/evaluation/README.md")
    block = next(b for b in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE) if b.startswith("| PSNR (dB) / SSIM"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]
    for name, *cells in rows:
        method = LABELS.get(name.strip("*"))
        if method and method != "mkpn":
            assert [cell.endswith("≈") for cell in cells] == [measured()[method, gain]["tie"] for gain in GAINS], name
    for column in range(1, 5):
        pairs = [row[column].rstrip(" ≈").split(" / ") for row in rows]
        for place in (0, 1):
            figures = [float(pair[place].strip("*")) for pair in pairs]
            bold = {float(pair[place].strip("*")) for pair in pairs if "**" in pair[place]}
            assert bold == {max(figures)}, (column, place)


def test_truly_aligned_means_and_thirds_are_those_that_were_measured() -> None:
    for reach in REACHES:
        expected = [
            f"{row['psnr']:.2f} / {row['ssim']:.3f}" for gain in GAINS for row in [measured()[f"oracle-{reach}", gain]]
        ]
        assert row_of("mkpn/evaluation/README.md", f"truly aligned mean, reach {reach}", "PSNR (dB) / SSIM") == expected
    text = read("mkpn/evaluation/README.md")
    (thirds,) = (table for table in tables(text) if table[0][1:] == ["flat", "edges", "texture"])
    names = [row[0] for row in thirds[1:] if row[0] in LABELS]
    assert {"KPN L5", "KPN L25", "MKPN"} <= set(names)
    for name, *cells in thirds[1:]:
        if name in LABELS:
            row = measured()[LABELS[name], 8]
            assert cells == [f"{row[f'psnr_{third}']:.2f}" for third in ("flat", "edge", "texture")], name


def test_small_table_is_an_excerpt_of_the_results() -> None:
    (small,) = (table for table in tables(read("README.md")) if table[0][0] == "method")
    assert "MKPN" in [row[0] for row in small]
    for name, *figures in small[1:]:
        whole = row_of("mkpn/evaluation/README.md", name, "PSNR (dB) / SSIM")
        assert figures == [cell.split(" / ")[0] for cell in whole], name


def test_differences_follow_from_the_figures() -> None:
    checked = 0
    for table in tables(read("mkpn/evaluation/README.md")):
        if table[0][:2] != ["PSNR difference (dB)", "where"]:
            continue
        for pair, where, *cells in table[1:]:
            more, less = (LABELS.get(name) for name in pair.split(" − "))
            if more is None or less is None:
                continue
            figures = stamped() if where == "here" else PAPER
            for gain, cell in zip(GAINS, cells, strict=True):
                if where == "paper, by Eq. 7 at mid-grey":
                    noise = NOISE[gain]
                    below = -10 * math.log10(noise.sigma_r**2 + noise.sigma_s / 2)
                else:
                    below = figures[less, gain][0]
                difference = figures[more, gain][0] - below
                digits = len(cell.partition(".")[2])
                # Half a unit of the last place, and room for the binary representation of the paper's figures.
                assert abs(difference - float(cell.replace("−", "-"))) <= 0.5001 * 10**-digits, (
                    pair,
                    where,
                    gain,
                    difference,
                )
                checked += 1
    assert checked >= 44


def test_citation_names_paper_and_software() -> None:
    (bibtex,) = re.findall(r"```bibtex\n(.*?)```", read("README.md"), re.DOTALL)
    assert bibtex.count("{") == bibtex.count("}")
    assert re.findall(r"^@(\w+)", bibtex, re.MULTILINE) == ["inproceedings", "software"]
    citation = yaml.safe_load(read(".github/CITATION.cff"))
    assert citation["preferred-citation"]["title"] in bibtex
    assert str(citation["preferred-citation"]["year"]) in bibtex
    assert citation["preferred-citation"]["identifiers"][0]["value"] in bibtex
    assert "version" not in citation


def test_model_card_has_a_header() -> None:
    header = yaml.safe_load(read("checkpoints/README.md").split("---\n")[1])
    assert {"license", "tags", "library_name", "datasets", "metrics"} <= set(header)


def test_version_stands_once() -> None:
    project = tomllib.loads(read("pyproject.toml"))
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "mkpn/__init__.py"
    assert f"## {mkpn.__version__}\n" in read(".github/CHANGELOG.md")


@pytest.mark.parametrize(
    "path", [*sorted(ROOT.glob(".github/**/*.yml")), ROOT / ".pre-commit-config.yaml"], ids=lambda path: path.name
)
def test_yaml_is_valid(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)
