"""The review's server: real requests, and whoever must not be served."""

from __future__ import annotations

import io
import os
import resource
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from tests.support.assets import level, write_dataset, write_lists, write_video
from tests.support.reviews import (
    DESCRIBE,
    Asking,
    add_captions,
    address_of,
    decisions,
    served,
    serving,
)
from tests.support.small_store import wait_until
from tests.support.warm import Warm
from videoprep import DatasetSpec
from videoprep.errors import VideoprepError
from videoprep.review.items import ClipFilter, seen_of
from videoprep.review.review import Review, append_decisions
from videoprep.spec.caption_journal import Answer, CaptionJournal, Decision, digest
from videoprep.spec.current_captions import own_hash


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset about which nothing is decided in these tests."""
    folder = write_dataset(tmp_path_factory.mktemp("served") / "dataset")
    add_captions(folder, "The video shows a grey clip.", "A grey clip brightens.")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Asking]:
    with served(folder, reshape="center-crop", buckets="5x32x32") as asking:
        yield asking


# --- Who is served ---


def test_the_page_has_a_policy_and_no_address_of_others(server: Asking) -> None:
    page = server.get("")
    assert page.status == 200
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:; media-src 'self'; connect-src")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert b"http://" not in page.body.replace(b"http-equiv", b"")
    assert "Access-Control-Allow-Origin" not in page.headers


def test_it_listens_on_the_loopback_interface_alone(server: Asking) -> None:
    own = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)}
    for address in own - {"127.0.0.1", "::1"}:
        with (
            pytest.raises(OSError, match=r"."),
            socket.create_connection((address, server.port), 5),
        ):
            pass


@pytest.mark.parametrize("path", ["/", "/api/state", "/x/api/state", "//api/state", "/%00/"])
def test_without_the_token_nothing_is_served(server: Asking, path: str) -> None:
    assert server.ask("GET", path, None, {}).status == 403
    assert server.ask("POST", path, b"{}", {"Origin": f"http://{server.host}"}).status == 403


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /\xc3\xa9/ HTTP/1.1\r\nHost: {host}\r\n", b"403"),
        (b"GET /{token}/ HTTP/1.1\r\n", b"403"),
        (b"GET /{token}/ HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n", b"403"),
        (b"GET http://evil.example/{token}/ HTTP/1.1\r\nHost: evil.example\r\n", b"403"),
        (b"GET /{token}/ HTTP/1.1\r\nHost: {host}\r\n", b"200"),
        (b"GET //[/{token}/ HTTP/1.1\r\nHost: {host}\r\n", b"403"),
        (b"GET /{token}/?" + b"a=1&" * 99 + b" HTTP/1.1\r\nHost: {host}\r\n", b"400"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: {host}\r\n", b"414"),
    ],
)
def test_requests_that_no_browser_sends(server: Asking, request_: bytes, status: bytes) -> None:
    raw = request_.replace(b"{host}", server.host.encode())
    raw = raw.replace(b"{token}", server.token.encode())
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(raw + b"Connection: close\r\n\r\n")
        assert connection.recv(12).split()[1] == status


def test_other_tokens_are_refused(server: Asking) -> None:
    for token in (server.token[:-1], server.token + "x", server.token.swapcase()):
        assert server.ask("GET", f"/{token}/api/state", None, {}).status == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "[::1]:{port}"]
)
def test_names_that_were_bound_to_this_machine_are_refused(server: Asking, host: str) -> None:
    assert server.get("api/state", Host=host.format(port=server.port)).status == 403
    assert server.get("api/state", Host=f"localhost:{server.port}").status == 200


def test_pages_of_others_are_refused(server: Asking) -> None:
    seen = server.get("api/item?at=0").json["seen"]
    body = {"at": 0, "verdict": "drop", "seen": seen}
    for origin in (
        "http://evil.example",
        "null",
        f"http://localhost:{server.port}",
        "http://127.0.0.1:1",
    ):
        assert server.post("api/decide", body, Origin=origin).status == 403
    assert server.post("api/decide", body, Origin="").status == 403
    assert server.post("api/decide", body, Sec_Fetch_Site="cross-site").status == 403
    assert server.get("api/state", Sec_Fetch_Site="cross-site").status == 403
    assert server.get("clip.mp4?at=0", Sec_Fetch_Site="same-site").status == 403
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert server.get("", **link, Sec_Fetch_Dest="document").status == 200
    assert server.get("", **link, Sec_Fetch_Dest="iframe").status == 403
    assert server.post("api/decide", body, Content_Type="text/plain").status == 415
    assert server.get("api/item?at=0").json["decided"]["verdict"] is None


@pytest.mark.parametrize(
    "path",
    ["../", "..%2f..%2fetc/passwd", "videos/a.mp4", "clip.mp4?at=../a", "clip.mp4?at=0&part=9",
     "clip.mp4", "api/item?at=99", "api/item?at=-1", "api/list?after=1e9",
     "api/item?at=" + "9" * 99],
)  # fmt: skip
def test_no_path_comes_from_the_client(server: Asking, path: str) -> None:
    reply = server.get(path)
    assert reply.status in (400, 404, 422, 500)
    assert set(reply.json) == {"error"}
    assert "Traceback" not in reply.json["error"]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"[" * 100_000, b'{"at": true}', b'{"at": "0"}', b'{"at": 0, "verdict": 1}',
     b'{"at": 0, "verdict": "keep"}', b"\xff"],
)  # fmt: skip
def test_what_is_no_request_is_refused(server: Asking, body: bytes) -> None:
    assert server.post("api/decide", body).status == 400


def test_huge_bodies_are_not_read(server: Asking) -> None:
    assert server.post("api/check", b"x", Content_Length="99999999999").status == 413
    assert server.post("api/check", b"x", Content_Length="-1").status == 411
    assert server.post("api/check", b"x", Transfer_Encoding="chunked").status == 411
    assert server.ask("PUT", f"/{server.token}/", b"", {}).status == 501


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_fault_of_our_own_is_answered_and_logged(
    dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a detail")

    with served(dataset) as asking:
        monkeypatch.setattr(Review, "plan", fail)
        monkeypatch.setattr(Review, "check", fail)
        if method == "GET":
            reply = asking.get("api/plan?at=0")
        else:
            reply = asking.post("api/check", {"at": 0, "caption": "A clip."})
        assert reply.status == 500
        assert "fault of videoprep" in reply.json["error"]
        assert "a detail" not in reply.json["error"]
        (record,) = caplog.records
        assert record.name == "videoprep.review.server"
        assert record.exc_info is not None
        assert record.exc_info[0] is ZeroDivisionError
        assert asking.token not in caplog.text
        assert asking.get("api/item?at=0").status == 200


# --- What is served ---


def test_a_clip_has_all_its_texts(server: Asking) -> None:
    item = server.get("api/item?at=0").json
    assert item["own"] == "A grey clip named a."
    assert item["described"] == "The video shows a grey clip."
    assert item["refined"] == item["caption"] == "A grey clip brightens."
    assert (item["stage"], item["model"]) == ("refine", "tiny-refiner")
    assert server.get("api/item?at=1").json["stage"] is None


def test_the_clip_is_exactly_what_is_planned(server: Asking) -> None:
    plan = server.get("api/plan?at=0").json
    clip, video = plan["parts"]
    assert (clip["frames"], clip["bucket"], clip["label"]) == (5, "5×32×32", "the clip")
    assert clip["crop"] == [16.667, 0, 66.667, 100]
    assert (video["frames"], video["crop"], video["label"]) == (9, None, "the whole video")
    for part, frames in ((0, 5), (1, 9)):
        data = server.get(f"clip.mp4?at=0&part={part}")
        assert data.headers["Content-Type"] == "video/mp4"
        with av.open(io.BytesIO(data.body)) as container:
            greys = [
                round(float(frame.to_ndarray(format="rgb24")[50:, 60:].mean()))
                for frame in container.decode(video=0)
            ]
            assert container.streams.video[0].average_rate == 8
        assert len(greys) == frames
        assert all(abs(grey - level(number)) <= 2 for number, grey in enumerate(greys))


def test_browsers_may_seek(server: Asking) -> None:
    whole = server.get("clip.mp4?at=0").body
    for asked, want in (("0-9", whole[:10]), ("10-", whole[10:]), ("-5", whole[-5:])):
        part = server.get("clip.mp4?at=0", Range=f"bytes={asked}")
        assert (part.status, part.body) == (206, want)
    assert server.get("clip.mp4?at=0", Range="bytes=0-0").headers["Content-Range"] == (
        f"bytes 0-0/{len(whole)}"
    )
    assert server.get("clip.mp4?at=0", Range="bytes=999999999-").status == 416
    for odd in ("bytes=5", "bytes=1-2,4-5", "lines=0-1", "bytes=²-"):
        reply = server.get("clip.mp4?at=0", Range=odd.encode().decode("latin-1"))
        assert (reply.status, reply.body) == (200, whole)


def test_a_video_that_cannot_be_decoded_costs_that_video(dataset: Path) -> None:
    (dataset / "videos/a.mp4").write_bytes(b"no video")
    with served(dataset) as asking:
        assert "video" in asking.get("api/plan?at=0").json["note"]
        assert asking.get("clip.mp4?at=0").status == 500
        assert asking.get("clip.mp4?at=1").status == 200
        found = asking.get("api/item?at=0").json["findings"]
        assert found[0]["severity"] == "error"


def test_filters(server: Asking, folder: Path) -> None:
    def shown(query: str) -> list[int]:
        return [row["at"] for row in server.get(f"api/list?{query}").json["rows"]]

    assert shown("show=undecided") == shown("show=nonsense") == [0, 1, 2]
    assert shown("show=dropped") == []
    assert shown("text=GREY+named") == [1, 2]
    assert shown("text=videos/c") == [2]
    assert shown("after=1") == [2]
    codes = {one["code"]: one["count"] for one in server.get("api/state").json["codes"]}
    assert codes
    for code, count in codes.items():
        listed = server.get(f"api/list?code={code}").json
        assert len(listed["rows"]) == listed["total"] == count
    assert shown("code=VP999") == []


def test_a_long_list_comes_in_pieces(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "dataset")
    names = [f"videos/{number}.mp4" for number in range(60)]
    for name in names:
        os.link(folder / "videos/a.mp4", folder / name)
    write_lists(folder, [f"Caption {number}." for number in range(60)], names)
    with served(folder) as asking:
        first = asking.get("api/list").json
        assert (len(first["rows"]), first["more"], first["total"]) == (40, True, 60)
        second = asking.get("api/list?after=39").json
        assert (len(second["rows"]), second["more"]) == (20, False)
        assert asking.get("api/item?at=5").json["copies"] == 60
        state = asking.decide(5, "drop").json
        assert state["counts"]["dropped"] == 60


def test_whoever_searches_keeps_nobody_from_deciding(dataset: Path) -> None:
    review = Review(DatasetSpec.from_path(dataset))
    threads = ThreadPoolExecutor(1)

    class Looking(tuple[str, ...]):
        """Words; with each clip that is looked at, another thread asks for one."""

        def __iter__(self) -> Iterator[str]:
            threads.submit(review.item, 1).result(60)
            return super().__iter__()

    try:
        found = review.rows(ClipFilter("all", words=Looking(["grey"])), -1, 40)
        assert [row["at"] for row in found["rows"]] == [0, 1, 2]
    finally:
        threads.shutdown(wait=False)
        review.videos.close()


def test_a_search_is_of_one_moment(dataset: Path) -> None:
    review = Review(DatasetSpec.from_path(dataset))
    search = review.items.search(ClipFilter("undecided", words=("named",)))
    found = search.after()
    assert next(found) == 0
    review.decide(1, "edit", "Other words.", review.item(1)["seen"])
    assert list(found) == [1, 2]
    assert list(review.items.search(ClipFilter("undecided")).after()) == [0, 2]
    review.videos.close()


def test_a_browser_that_went_away_is_not_waited_for(dataset: Path) -> None:
    review = Review(DatasetSpec.from_path(dataset))
    review.videos._start = lambda: None  # type: ignore[method-assign] # whoever makes them is busy
    orders = review.videos._orders
    with serving(review) as asking:
        request = f"GET /{asking.token}/clip.mp4?at=0 HTTP/1.1\r\nHost: {asking.host}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", asking.port), 30) as connection:
            connection.sendall(request.encode())
            wait_until(lambda: len(orders) == 1)
        wait_until(lambda: len(orders) == 0)


# --- Decisions ---


def test_others_who_write_all_the_time_end_the_tries(dataset: Path) -> None:
    spec = DatasetSpec.from_path(dataset)
    live = spec.live_captions()
    clip = live.states[0].clip
    tries = 0

    def decide() -> list[Decision]:
        nonlocal tries
        tries += 1
        assert tries < 1000
        live.refresh()
        spec.journal.append("review", [Decision(clip, "keep")])  # somebody else is quicker
        return [Decision(clip, "drop")]

    with pytest.raises(VideoprepError, match="others wrote to the caption journal"):
        append_decisions(live.captions, decide)
    assert {one.verdict for one in decisions(dataset)} == {"keep"}


def test_decisions_are_in_the_journal_and_count(dataset: Path) -> None:
    with served(dataset) as asking:
        kept = asking.decide(0, "keep").json
        assert kept["item"]["decided"]["verdict"] == "keep"
        assert kept["item"]["decided"]["by"] == "Ann"
        asking.decide(1, "drop")
        asking.decide(2, "edit", "A bright clip.\nOf two lines.")
        counts = asking.get("api/state").json["counts"]
        assert {name: counts[name] for name in ("kept", "dropped", "edited", "undecided")} == {
            "kept": 1, "dropped": 1, "edited": 1, "undecided": 0,
        }  # fmt: skip
    assert [one.verdict for one in decisions(dataset)] == ["keep", "drop", "edit"]
    assert all(one.by == "Ann" and one.at for one in decisions(dataset))
    listing = DatasetSpec.from_path(dataset).listing()
    captions = [sample.caption for sample in listing.samples]
    assert captions == ["A grey clip named a.", "A bright clip.\nOf two lines."]


def test_undo_restores_whatever_was_before(dataset: Path) -> None:
    with served(dataset) as asking:
        asking.decide(0, "edit", "First.")
        asking.decide(0, "drop")
        asking.decide(0, "edit", "Second.")
        for verdict, edited, is_shown in (
            ("drop", "First.", "drop"),
            ("edit", "First.", "edit"),
            (None, "", None),
        ):
            steps = asking.get("api/state").json["steps"]
            last = steps[-1]
            assert (last["at"], last["verdict"], last["edited"]) == (0, verdict, edited)
            item = asking.get("api/item?at=0").json
            assert last["done"] == item["decided"]["verdict"]
            body = {"at": 0, "verdict": verdict, "caption": edited, "seen": item["seen"]}
            now = asking.post("api/undo", body).json["item"]
            assert (now["decided"]["verdict"], now["edit"]) == (is_shown, edited)
        assert asking.get("api/state").json["steps"] == []
    state = DatasetSpec.from_path(dataset).caption_states()[0]
    assert (state.sample.caption, state.dropped) == ("A grey clip named a.", False)
    with served(dataset) as asking:  # a new server knows what can be undone
        asking.decide(1, "drop")
    with served(dataset) as asking:
        assert [step["at"] for step in asking.get("api/state").json["steps"]] == [1]


@pytest.mark.parametrize("caption", ["", " \n", "x" * 100_001, "half \ud800"])
def test_captions_that_are_none_are_refused(dataset: Path, caption: str) -> None:
    with served(dataset) as asking:
        reply = asking.decide(0, "edit", caption)
        assert reply.status == 422
        assert reply.json["error"]
    assert decisions(dataset) == []


def test_the_longest_and_oddest_captions_are_kept(dataset: Path) -> None:
    odd = ("\x1b[31m<b>\u202e&" + "\U0001f600" * 100_000)[:100_000]
    with served(dataset) as asking:
        item = asking.decide(0, "edit", odd).json["item"]
        assert item["caption"] == odd
        assert "\x1b" not in item["edited"]
        assert item["hidden"] == [r"\x1b", r"\u202e"]
    assert DatasetSpec.from_path(dataset).caption_states()[0].edited == odd


def test_a_decision_about_something_else_is_refused(dataset: Path) -> None:
    with served(dataset) as one, served(dataset) as other:
        stale = one.get("api/item?at=0").json["seen"]
        other.decide(0, "edit", "Theirs.")
        body = {"at": 0, "verdict": "edit", "caption": "Mine.", "seen": stale}
        reply = one.post("api/decide", body)
        assert reply.status == 409
        assert reply.json["item"]["caption"] == "Theirs."
        body["seen"] = reply.json["item"]["seen"]
        assert one.post("api/decide", body).status == 200
        assert other.get("api/item?at=0").json["caption"] == "Mine."
        stale = one.get("api/item?at=1").json["seen"]
        add = {"at": 1, "verdict": None, "caption": "", "seen": "0" * 32}
        assert one.post("api/undo", add).status == 409
    assert [one.caption for one in decisions(dataset)] == ["Theirs.", "Mine."]


def test_two_servers_at_once_lose_nothing(dataset: Path) -> None:
    with served(dataset) as one, served(dataset) as other, ThreadPoolExecutor(8) as threads:

        def decide(number: int) -> int:
            asking = (one, other)[number % 2]
            while True:
                reply = asking.decide(number % 3, "edit", f"Caption {number}.")
                if reply.status != 409:
                    return reply.status

        assert set(threads.map(decide, range(60))) == {200}
        last = [one.get(f"api/item?at={at}").json["caption"] for at in range(3)]
        assert last == [other.get(f"api/item?at={at}").json["caption"] for at in range(3)]
    written = [one.caption for one in decisions(dataset)]
    assert sorted(written) == sorted(f"Caption {number}." for number in range(60))
    assert {*last} <= {*written}


def test_a_line_that_was_cut_off_does_not_block_decisions(dataset: Path) -> None:
    with served(dataset) as asking:
        asking.decide(0, "keep")
        with CaptionJournal(dataset / "videoprep-captions").file("review").open("ab") as file:
            file.write(b'{"type": "decision", "cl')
        assert asking.decide(1, "drop").status == 200
    assert [one.verdict for one in decisions(dataset)] == ["keep", "drop"]


def test_captions_that_come_meanwhile_are_shown(dataset: Path) -> None:
    with served(dataset) as asking:
        seen = asking.get("api/item?at=0").json["seen"]
        add_captions(dataset, "The video shows a clip.", "A clip.")
        body = {"at": 0, "verdict": "keep", "caption": "", "seen": seen}
        assert asking.post("api/decide", body).status == 409
        assert asking.get("api/item?at=0").json["caption"] == "A clip."


def test_a_full_disk_is_told_and_costs_nothing(dataset: Path) -> None:
    with served(dataset) as asking:
        asking.decide(0, "keep")
        size = (dataset / "videoprep-captions/review.jsonl").stat().st_size
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
        try:
            reply = asking.decide(1, "drop")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert reply.status == 500
        assert "cannot be written" in reply.json["error"]
        assert asking.get("api/item?at=1").json["decided"]["verdict"] is None
        assert asking.decide(1, "drop").status == 200
    assert [one.verdict for one in decisions(dataset)] == ["keep", "drop"]


def test_findings_follow_the_caption(dataset: Path) -> None:
    (dataset / "prompt.txt").write_text("---\nA clip.\nAnother.\n")
    with served(dataset) as asking:
        assert asking.get("api/list?code=VP201").json["total"] == 1
        assert (
            asking.post("api/check", {"at": 0, "caption": "…"}).json["findings"][0]["code"]
            == "VP201"
        )
        assert asking.post("api/check", {"at": 0, "caption": "Better."}).json["findings"] == []
        item = asking.decide(0, "edit", "Better.").json["item"]
        assert "VP201" not in {one["code"] for one in item["findings"]}
        assert asking.get("api/list?code=VP201").json["total"] == 0


def test_tokens_are_counted(dataset: Path, tiny_model: Path) -> None:
    with served(dataset, model=str(tiny_model)) as asking:
        item = asking.get("api/item?at=0").json
        assert 1 < item["tokens"] < item["limit"] == asking.get("api/state").json["limit"]
        more = asking.post("api/check", {"at": 0, "caption": "word " * 500}).json
        assert more["tokens"] > more["limit"]
        assert "VP203" in {one["code"] for one in more["findings"]}


# --- The command ---


def test_a_killed_server_has_kept_every_decision(dataset: Path, warm: Warm) -> None:
    process = warm.start("review", dataset, "--reviewer", "Ann")
    asking = Asking(address_of(process))
    assert asking.decide(0, "edit", "Kept.").status == 200
    assert process.kill() == -signal.SIGKILL
    assert [one.caption for one in decisions(dataset)] == ["Kept."]
    warm.end_all()


def test_ctrl_c_ends_it_at_once(dataset: Path, warm: Warm) -> None:
    process = warm.start("review", dataset)
    asking = Asking(address_of(process))
    assert asking.get("clip.mp4?at=0").status == 200
    asking.decide(0, "drop")
    process.signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert "3 clips, 3 undecided" in process.stdout
    assert "1 decision, in" in process.stdout
    assert "Traceback" not in process.stderr
    with pytest.raises(OSError, match=r"."):
        asking.get("")
    warm.end_all()


def test_a_port_of_somebody_else(dataset: Path, warm: Warm) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = warm.run("review", dataset, "--port", taken.getsockname()[1])
        assert done.returncode == 2
        assert "--port" in done.stderr
    off = warm.run("review", dataset, "--caption-journal", "")
    assert off.returncode == 2
    assert "no caption journal" in off.stderr
    warm.end_all()


def test_clips_are_planned_with_the_models_profile(tmp_path: Path, tiny_model: Path) -> None:
    """As `encode` plans them: 80 is divisible by 16, not by the default profile's 32."""
    write_video(tmp_path / "a.mp4", width=80)
    write_lists(tmp_path, ["A grey clip."], ["a.mp4"])
    with served(tmp_path) as server:
        assert "not divisible by 32" in server.get("api/plan?at=0").json["note"]
    with served(tmp_path, model=str(tiny_model)) as server:
        plan = server.get("api/plan?at=0").json
        assert plan["note"] == ""
        assert plan["parts"][0]["bucket"] == "9×64×80"
        codes = {one["code"] for one in server.get("api/item?at=0").json["findings"]}
        assert "VP101" not in codes


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """A dataset of a video with three captions, the last of which has a finding."""
    write_video(tmp_path / "a.mp4")
    (tmp_path / "a.txt").write_text("One.\nTwo owls.\n<b>Three</b>.\n")
    return tmp_path


def test_all_captions_are_shown_searched_and_checked(several: Path) -> None:
    def codes(item: dict[str, Any]) -> list[str]:
        return [one["message"].split(":")[0] for one in item["findings"] if one["code"] == "VP207"]

    with served(several) as asking:
        item = asking.get("api/item?at=0").json
        assert (item["caption"], item["further"]) == ("One.", ["Two owls.", "<b>Three</b>."])
        assert codes(item) == ["caption 3 of 3"]
        assert len(asking.get("api/list?text=owls").json["rows"]) == 1
        after = asking.decide(0, "edit", "Edited.").json["item"]
        assert (after["caption"], after["further"]) == ("Edited.", item["further"])
        assert after["own"] == "One."
        assert codes(after) == ["caption 3 of 3"]
        assert asking.get("api/list?code=VP207").json["total"] == 1
    (sample,) = DatasetSpec.from_path(several).listing().samples
    assert sample.captions == ("Edited.", "Two owls.", "<b>Three</b>.")


def test_a_captioners_text_is_shown_with_all_that_it_stands_for(several: Path) -> None:
    spec = DatasetSpec.from_path(several)
    (state,) = spec.caption_states()
    answer = Answer(state.clip, DESCRIBE.id, "ok", "Told.", own=own_hash(state.own_captions))
    spec.journal.append("caption", [DESCRIBE, replace(answer, own_captions=3)])
    with served(several) as asking:
        item = asking.get("api/item?at=0").json
    assert (item["caption"], item["further"]) == ("Told.", [])
    assert item["own"] == "One.\nTwo owls.\n<b>Three</b>."


def test_what_is_decided_on_is_all_captions(several: Path) -> None:
    def seen() -> str:
        return seen_of(DatasetSpec.from_path(several).caption_states()[0])

    before = seen()
    (several / "a.txt").write_text("One.\nTwo owls.\n<b>Four</b>.\n")
    assert seen() != before
    (several / "a.txt").write_text("One.\n")
    state = DatasetSpec.from_path(several).caption_states()[0]
    assert seen() == digest(state.clip, "One.", "", None)  # as in pages of earlier versions
