"""The container's and the Space's files fit the package; what they run, runs."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import tyro
from serving import HOME, Server, free_port, serving

from mkpn.ui.service.options import FILES_AT_ONCE, ServiceOptions

DEPLOY = HOME / ".deploy"


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")


def test_the_proxy_of_the_documents_takes_what_the_app_takes() -> None:
    readme = (DEPLOY / "README.md").read_text("utf-8")
    (megabytes,) = re.findall(r"client_max_body_size (\d+)m;", readme)
    assert int(megabytes) == FILES_AT_ONCE * ServiceOptions().max_upload_mb + 1


def test_an_app_with_a_name_of_its_own_starts_and_answers_to_it(tmp_path: Path) -> None:
    """Gradio asks its own app while it starts, by the machine's address."""
    with serving(tmp_path, "--hosts", "studio.example", "--checkpoints", str(tmp_path)) as server:
        named = httpx.get(server.address, headers={"host": "studio.example"})
        assert (named.status_code, "MKPN Studio" in named.text) == (200, True)
        assert httpx.get(server.address).status_code == 421


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What the app would have been started with."""
    import mkpn.ui.launch

    called: list[dict[str, object]] = []
    monkeypatch.setattr(mkpn.ui.launch, "launch", lambda **options: called.append(options))
    return called


def words(dockerfile: str, instruction: str) -> list[str]:
    """The words of the last such instruction, in its JSON form."""
    found = re.findall(rf"^{instruction} .*?(\[.*\])$", dockerfile, re.MULTILINE)
    return json.loads(found[-1])


def test_the_container_gets_what_it_needs_as_no_root(dockerfile: str) -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").split()
    copied = [
        part
        for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.MULTILINE)
        for part in shlex.split(line)[:-1]
    ]
    assert set(copied) == {name.removeprefix("!") for name in ignored if name.startswith("!")}
    for name in copied:
        assert (HOME / name).exists()
    last_stage = dockerfile.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 1000$", last_stage, re.MULTILINE)
    assert "ENTRYPOINT" in last_stage.partition("USER 1000")[2]


def test_the_container_s_command_has_options_that_exist(
    dockerfile: str, launched: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(HOME))
    from mkpn.__main__ import app

    command = [*words(dockerfile, "ENTRYPOINT"), *words(dockerfile, "CMD")]
    assert command[:2] == ["mkpn", "app"]
    tyro.cli(app, args=command[2:])
    assert (launched[0]["host"], launched[0]["port"]) == ("0.0.0.0", 7860)


def test_the_health_check_tells_a_running_app_from_none(dockerfile: str, server: Server) -> None:
    check = words(dockerfile, r"HEALTHCHECK")
    for port, code in ((server.address.rpartition(":")[2], 0), (str(free_port()), 1)):
        command = [sys.executable, *(word.replace("7860", port) for word in check[1:])]
        assert subprocess.run(command, capture_output=True).returncode == code


def test_the_space_s_app_is_framed_by_its_site_only(
    launched: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACE_HOST", "someone-mkpn.hf.space")
    source = (DEPLOY / "space" / "app.py").read_text("utf-8")
    exec(compile(ast.parse(source), "app.py", "exec"), {})
    service = launched[0]["service"]
    assert service.frames == ("https://huggingface.co", "https://*.hf.space")  # pyright: ignore
    assert service.root_path == "https://someone-mkpn.hf.space"  # pyright: ignore
    assert not service.share  # pyright: ignore


def test_the_space_installs_what_the_package_needs() -> None:
    import tomllib

    needed = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    header = (DEPLOY / "space" / "README.md").read_text("utf-8").split("---")[1]
    installed = (DEPLOY / "space" / "requirements.txt").read_text("utf-8").split()
    # The Space itself brings Gradio, of the version that its README names.
    assert installed == [name for name in needed if not name.startswith("gradio")]
    assert re.search(r"sdk_version: 6\.\d+\.\d+", header)


def test_shell_blocks_of_the_readme_name_files_that_exist() -> None:
    text = Path(DEPLOY / "README.md").read_text("utf-8")
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        for word in re.findall(r"(?<![\w/.])(\.deploy/[\w./]+|mkpn|checkpoints|LICENSE)(?=[\s*])", block):
            assert (HOME / word).exists(), word
