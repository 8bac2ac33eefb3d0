"""Fetching over a connection that ends, from servers that err, resume badly, or move."""

import threading

import pytest
from helpers.web import site

from hepjax import InputError
from hepjax.formats.catalogue import download

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def web(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with site() as made:
        made.files["/a.bin"] = CONTENT
        yield made


class Log:
    """What a download says."""

    def __init__(self):
        self.bytes, self.totals, self.waits = 0, [], []

    def fetch(self, address, partial, size=None, **settings):
        def came(n):
            self.bytes += n

        download.fetch(
            address, partial, size, came, learned=self.totals.append, wait=self.waits.append,
            **settings,
        )  # fmt: skip
        return partial.read_bytes()


def test_whole(web, tmp_path):
    log = Log()
    assert log.fetch(f"{web.address}/a.bin", tmp_path / "p") == CONTENT
    assert log.bytes == log.totals[-1] == len(CONTENT)
    assert log.waits == []


def test_goes_on_where_connections_end(web, tmp_path):
    log = Log()
    web.cut["/a.bin"] = [1000, 2000, 0, 0, 3000]
    assert log.fetch(f"{web.address}/a.bin", tmp_path / "p", len(CONTENT)) == CONTENT
    spans = [asked for _, asked in web.asked]
    assert spans == ["", "bytes=1000-", *3 * ["bytes=3000-"], "bytes=6000-"]
    assert log.bytes == len(CONTENT)


def test_gives_up_and_keeps_what_came(web, tmp_path):
    web.cut["/a.bin"] = [1000] + 10 * [0]
    with pytest.raises(InputError, match=r"ended after 1,000 of 10,240 bytes, 5 times.*goes on"):
        Log().fetch(f"{web.address}/a.bin", tmp_path / "p")
    web.cut.clear()
    log = Log()
    assert log.fetch(f"{web.address}/a.bin", tmp_path / "p") == CONTENT
    assert web.asked[-1][1] == "bytes=1000-"
    assert log.bytes == len(CONTENT) - 1000  # those that were there do not count again


def test_another_version_is_not_mixed_in(web, tmp_path):
    web.cut["/a.bin"] = [5000] + 5 * [0]
    with pytest.raises(InputError):
        Log().fetch(f"{web.address}/a.bin", tmp_path / "p")
    web.files["/a.bin"] = other = CONTENT[::-1]
    web.cut.clear()
    assert Log().fetch(f"{web.address}/a.bin", tmp_path / "p") == other


@pytest.mark.parametrize("checked", [True, False])
def test_resumes_without_a_version_only_where_a_checksum_follows(web, tmp_path, checked):
    web.without_etag.add("/a.bin")
    web.cut["/a.bin"] = [5000]
    assert Log().fetch(f"{web.address}/a.bin", tmp_path / "p", checked=checked) == CONTENT
    assert web.asked[-1][1] == ("bytes=5000-" if checked else "")


def test_servers_that_begin_again(web, tmp_path):
    web.without_ranges.add("/a.bin")
    web.cut["/a.bin"] = [5000, 6000]
    log = Log()
    assert log.fetch(f"{web.address}/a.bin", tmp_path / "p") == CONTENT
    assert log.bytes == len(CONTENT)


def test_longer_than_the_whole(web, tmp_path):
    """A beginning that is longer than the file is no beginning of it."""
    (tmp_path / "p").write_bytes(CONTENT + b"more")
    got = Log().fetch(f"{web.address}/a.bin", tmp_path / "p", len(CONTENT), checked=True)
    assert got == CONTENT
    (tmp_path / "q").write_bytes(CONTENT)
    assert Log().fetch(f"{web.address}/a.bin", tmp_path / "q", checked=True) == CONTENT


def test_without_a_length(web, tmp_path):
    web.without_length.add("/a.bin")
    assert Log().fetch(f"{web.address}/a.bin", tmp_path / "p") == CONTENT
    web.cut["/a.bin"] = [100]
    assert Log().fetch(f"{web.address}/a.bin", tmp_path / "q", len(CONTENT)) == CONTENT
    with pytest.raises(InputError, match="expected 10 bytes, found more"):
        Log().fetch(f"{web.address}/a.bin", tmp_path / "r", 10)
    assert (tmp_path / "r").stat().st_size == 0


def test_busy_servers_say_how_long(web, tmp_path):
    log = Log()
    web.busy["/a.bin"] = [503, 429]
    assert log.fetch(f"{web.address}/a.bin", tmp_path / "p") == CONTENT
    assert log.waits == [7.0, 7.0]


def test_moved(web, tmp_path):
    web.moved["/old"] = "/older"
    web.moved["/older"] = f"{web.address}/a.bin"
    assert Log().fetch(f"{web.address}/old", tmp_path / "p") == CONTENT
    web.moved["/round"] = "/round"
    with pytest.raises(InputError, match="HTTP 302"):
        Log().fetch(f"{web.address}/round", tmp_path / "q")


def test_refused(web, tmp_path):
    with pytest.raises(InputError, match=r"none.bin: expected a file, found HTTP 404 Not Found"):
        Log().fetch(f"{web.address}/none.bin", tmp_path / "p")
    with pytest.raises(InputError, match=r"expected 99 bytes as the catalogue states, found 10,24"):
        Log().fetch(f"{web.address}/a.bin", tmp_path / "p", 99)
    web.kind["/a.bin"] = "text/html; charset=utf-8"
    with pytest.raises(InputError, match="found a page"):
        Log().fetch(f"{web.address}/a.bin", tmp_path / "p")
    assert (tmp_path / "p").stat().st_size == 0
    with pytest.raises(InputError, match="expected http://, https:// or a folder, found ftp://"):
        Log().fetch("ftp://127.0.0.1/a.bin", tmp_path / "p")
    with pytest.raises(InputError, match="5 times, with 0 bytes"):
        Log().fetch("http://127.0.0.1:1/a.bin", tmp_path / "p")


def test_a_proxy_is_asked(web, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", web.address)
    monkeypatch.setenv("no_proxy", "")
    assert Log().fetch("http://data.example/a.bin", tmp_path / "p") == CONTENT
    assert web.asked == [("http://data.example/a.bin", "")]


def test_two_processes_at_one_file(web, tmp_path):
    """The second is refused while the first waits; flock tells open files apart, not processes."""
    web.busy["/a.bin"] = [503]
    first, second = threading.Event(), threading.Event()
    refused = []

    def hold(seconds):
        first.set()
        second.wait(10)

    def run():
        download.fetch(f"{web.address}/a.bin", tmp_path / "p", None, lambda n: None, wait=hold)

    thread = threading.Thread(target=run, name="first")
    thread.start()
    first.wait(10)
    try:
        Log().fetch(f"{web.address}/a.bin", tmp_path / "p")
    except InputError as error:
        refused.append(str(error))
    second.set()
    thread.join()
    assert "another process that fetches the same file" in refused[0]
    assert (tmp_path / "p").read_bytes() == CONTENT
