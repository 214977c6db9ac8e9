"""Many at once, and the end: nothing that was accepted is lost."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from reseen.gallery import Gallery
from reseen.serving import Limits
from tests.serving.conftest import Colours, client, packed, paint, serving

SERVER = """
import sys
from reseen.gallery import Gallery
from reseen.serving import create_app, listen, run
from tests.serving.conftest import TOKEN, Colours
with Gallery(sys.argv[1], Colours.fingerprint) as gallery:
    run(create_app(gallery, Colours(seconds=0.05), token=TOKEN), listen(port=int(sys.argv[2])))
print("ended well")
"""


def test_concurrent_requests_share_batches_and_get_their_own_answers(gallery: Gallery) -> None:
    encoder = Colours()
    gallery.add(encoder([paint(i) for i in range(40)]), identities=list(range(40)))
    slow = Colours(seconds=0.03)
    with serving(gallery, slow, Limits(batch=8)) as address, ThreadPoolExecutor(16) as pool:

        def ask(identity: int) -> int:
            with client(address) as asking:
                return asking.post("/search", content=packed(paint(identity, 1))).json()["matches"][0]["identity"]

        wanted = [i % 40 for i in range(120)]
        assert list(pool.map(ask, wanted)) == wanted
    assert sum(slow.batches) == 120
    assert max(slow.batches) <= 8
    assert len(slow.batches) < 90  # alone, each would have gone through the model by itself


def test_more_than_can_wait_are_told_to_come_again(gallery: Gallery) -> None:
    with (
        serving(gallery, Colours(seconds=0.5), Limits(batch=1, num_requests=2)) as address,
        ThreadPoolExecutor(12) as pool,
    ):

        def ask(identity: int) -> httpx.Response:
            with client(address) as asking:
                return asking.post("/search", content=packed(paint(identity)))

        answers = list(pool.map(ask, range(12)))
        busy = [answer for answer in answers if answer.status_code == 503]
        assert {answer.status_code for answer in answers} == {200, 503}
        assert len(busy) >= 5
        assert "try again" in busy[0].json()["error"]
        assert busy[0].headers["retry-after"] == "1"


def test_stopping_loses_nothing_accepted(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVER, str(tmp_path / "gallery"), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                httpx.get(f"{address}/health", trust_env=False)
                break
            except httpx.ConnectError:
                assert process.poll() is None
                time.sleep(0.05)
        answers: list[str] = []
        refused, broken = [], []
        begun = threading.Semaphore(0)

        def keep_adding(worker: int) -> None:
            number = 0
            while True:
                number += 1
                try:
                    # A connection for each request: one that was made is one that was accepted.
                    with client(address) as asking:
                        begun.release()
                        answer = asking.post("/items", content=packed(paint(worker, number)))
                    assert answer.status_code == 200, answer.text
                    answers.append(answer.json()["id"])
                except httpx.ConnectError as error:
                    refused.append(error)
                    return
                except httpx.TransportError as error:
                    broken.append(error)
                    return

        threads = [threading.Thread(target=keep_adding, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(24):
            begun.acquire()
        os.kill(process.pid, signal.SIGTERM)
        for thread in threads:
            thread.join()
        output, _ = process.communicate(timeout=30)
    assert "ended well" in output
    assert process.returncode == 0
    with Gallery(tmp_path / "gallery", create=False) as gallery:
        assert len(answers) >= 16
        assert set(answers) <= set(gallery.select())
        # A request cut off before it was read may not be in; one that is in was answered.
        assert len(gallery) == len(set(answers)), (len(gallery), len(set(answers)), broken)
