"""A server whose models leave memory soon after the last request, as its clients see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from asr_core.client import Client
from tests.api.inside import write_kazakh
from tests.conftest import Server, running_server, wait_until

# Raised by libraries that bentoml uses, when its client is first imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

IDLE_MINUTES = 0.02


@pytest.fixture(scope="module")
def idle_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("idle")
    models = f"demo,{write_kazakh(folder)}"
    with running_server(folder, MODEL=models, IDLE_UNLOAD_MINUTES=str(IDLE_MINUTES)) as running:
        yield running


def health(server: Server) -> dict[str, Any]:
    answer: dict[str, Any] = server.get("/health").json()
    return answer


def cool_down(server: Server) -> None:
    wait_until(lambda: health(server)["loaded_models"] == [], "a server without models in memory")


def ask(server: Server, speech: Path, **fields: str) -> httpx.Response:
    with speech.open("rb") as file:
        data = {"model": "whisper-1", **fields}
        url = f"{server.url}/v1/audio/transcriptions"
        return httpx.post(url, files={"file": file}, data=data, timeout=60)


def test_a_cold_server_is_ready_says_so_and_answers(idle_server: Server, speech: Path, spoken_text: str) -> None:
    cool_down(idle_server)
    assert idle_server.get("/readyz").status_code == 200
    said = health(idle_server)
    assert (said["status"], said["loaded"], said["models"]) == ("ok", False, ["demo", "kazakh"])
    assert said["precision"] == "fp32"
    assert not any(model["loaded"] for model in idle_server.get("/v1/models").json()["data"])
    assert idle_server.metric('asr_model_in_memory{model="demo"}') == 0
    assert idle_server.metric("asr_model_loaded") == 1
    assert ask(idle_server, speech).json()["text"] == spoken_text


def test_each_model_has_a_clock_of_its_own(idle_server: Server, speech: Path) -> None:
    def loaded_after_a_request() -> dict[str, bool]:
        assert "ә" in ask(idle_server, speech, model="kazakh").json()["text"]
        return {model["id"]: model["loaded"] for model in idle_server.get("/v1/models").json()["data"]}

    cool_down(idle_server)
    one_alone = {"demo": False, "whisper-1": False, "kazakh": True}
    wait_until(lambda: one_alone.items() <= loaded_after_a_request().items(), "one model in memory")
    cool_down(idle_server)


def test_a_stream_says_that_the_model_is_being_loaded(
    idle_server: Server, server: Server, speech: Path, spoken_text: str
) -> None:
    cool_down(idle_server)
    cold, warm = (ask(which, speech, stream="true").text for which in (idle_server, server))
    assert ": the model is being loaded" in cold
    assert ": the model is being loaded" not in warm
    assert spoken_text in warm
    assert [line for line in cold.splitlines() if not line.startswith(":")][-20:] == warm.splitlines()[-20:]


def test_tasks_and_lines_come_out_of_a_cold_server(idle_server: Server, speech: Path, spoken_text: str) -> None:
    with Client(idle_server.url) as client:
        cool_down(idle_server)
        assert [*client.stream(speech)][-1]["text"] == spoken_text
        cool_down(idle_server)
        task_id = client.submit(speech)
        wait_until(lambda: client.status(task_id) != "in_progress", "a task that has ended", 60)
        assert client.result(task_id)["text"] == spoken_text


def test_weights_that_are_gone_are_told_and_found_again(tmp_path: Path, speech: Path, spoken_text: str) -> None:
    model = write_kazakh(tmp_path)
    away = model.with_suffix(".away")
    with running_server(tmp_path, MODEL=str(model), IDLE_UNLOAD_MINUTES=str(IDLE_MINUTES)) as server:
        wait_until(lambda: not health(server)["loaded"], "a cold server")
        model.rename(away)
        answer = ask(server, speech)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "model_not_ready"
        assert "could not be loaded again" in answer.json()["error"]["message"]
        assert '"model_not_ready"' in ask(server, speech, stream="true").text
        away.rename(model)
        assert ask(server, speech).status_code == 200
        server.wait_until_clean()
