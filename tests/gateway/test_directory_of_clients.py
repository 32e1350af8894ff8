"""A client that speaks as a connection does so by the directory that stands, not by the one that its gateway knows."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import httpx
import pytest

from gateway.access import CACHE_SECONDS
from hub.settings.reading import load_settings
from hub.wiring import Hub, installed
from tests.gateway.conftest import TENANT, House, Open, post
from tests.gateway.pulling import CLIENT, PACKAGE, answer, moved, numbers, puller, pulling_house, say


@pytest.fixture
def house(open_house: Open, tmp_path: Path) -> House:
    return pulling_house(open_house, tmp_path)


def load_elsewhere(tmp_path: Path, said: str, instead: str, *remove: str) -> None:
    """Another process, on another machine, loads files that say something else."""
    path = tmp_path / "house-0" / "hub.toml"
    text = path.read_text(encoding="utf-8")
    assert said in text
    left = re.sub(r"\n\[unread[^\[]*", "\n", text.replace(said, instead))
    path.write_text(left, encoding="utf-8")
    other = Hub(load_settings(path, {}, installed(path)))
    try:
        assert other.load_files(by="operator:x", remove=remove).written
    finally:
        other.close()


def not_found(response: httpx.Response) -> str:
    assert (response.status_code, response.json()["code"]) == (404, "not_found"), response.text
    return str(response.json()["detail"])


def test_who_is_not_the_client_of_a_package_any_more_pulls_nothing_from_the_moment_of_the_reload(
    house: House, tmp_path: Path
) -> None:
    before, after = puller(house), puller(house, "loisirs-neuf")
    say(house, moved(1, 1))
    assert numbers(before) == [1]
    stranger = not_found(after.get("/v1/deliveries"))

    load_elsewhere(tmp_path, f'"{CLIENT}"', '"loisirs-neuf"')
    say(house, moved(2, 1))

    assert not_found(before.get("/v1/deliveries")) == stranger
    assert not_found(answer(before, 1)) == stranger
    assert not_found(before.post("/v1/deliveries", json=[{"number": 1, "outcome": "delivered"}])) == stranger
    assert numbers(after) == [1]  # of what nobody was shown yet


def test_a_package_whose_connection_is_taken_away_finds_nothing(house: House, tmp_path: Path) -> None:
    http, stranger = puller(house), puller(house, "loisirs-neuf")
    say(house, moved(1, 1))
    assert numbers(http) == [1]

    load_elsewhere(tmp_path, "[connections.loisirs]", "[unread.loisirs]", PACKAGE)

    assert not_found(http.get("/v1/deliveries")) == not_found(stranger.get("/v1/deliveries"))
    not_found(answer(http, 1))


def test_who_waits_while_another_is_made_the_client_is_given_nothing(house: House, tmp_path: Path) -> None:
    waiting, got = puller(house), list[httpx.Response]()
    caller = threading.Thread(target=lambda: got.append(waiting.get("/v1/deliveries", params={"wait": 20})))
    caller.start()
    load_elsewhere(tmp_path, f'"{CLIENT}"', '"loisirs-neuf"')
    say(house, moved(1, 1))
    caller.join(30)
    not_found(got[0])


def test_a_client_speaks_as_a_connection_no_longer_than_the_directory_says_so(house: House, tmp_path: Path) -> None:
    http = puller(house)
    said = {**moved(1, 1).to_dict(), "source": f"/{TENANT}/loisirs"}
    assert post(http, said).status_code == 202
    assert CACHE_SECONDS > 1  # what is known of the client is still believed

    load_elsewhere(tmp_path, f'"{CLIENT}"', '"loisirs-neuf"')
    answers = [post(http, {**said, "id": f"later-{n}"}) for n in range(3)]

    assert [one.status_code for one in answers[:1]] in ([503], [403])
    assert {one.status_code for one in answers[1:]} == {403}, [one.text for one in answers]
    assert answers[-1].json()["code"] in {"source_not_allowed", "type_not_allowed"}
