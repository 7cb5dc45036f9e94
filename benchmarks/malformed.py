"""Sends malformed uploads and calls to a server of its own: `python -m benchmarks.malformed --count 2000`.

Each has to be answered by a sentence within five seconds, and the server has to take a good clip afterwards.
The server listens on the loopback device alone, and is stopped at the end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

from benchmarks.support.api import Api, clip_bytes
from benchmarks.support.malformed import Answer, cases, judge
from benchmarks.support.server_process import ServerProcess

MOST_SECONDS = 5.0


def send_all(server: ServerProcess, count: int, seed: int, minutes: float) -> list[Answer]:
    """Sends the cases one after another, until the time is over."""
    api, answers, end = Api(server.address, 60.0), [], time.monotonic() + 60 * minutes
    for case in cases(count, seed):
        if time.monotonic() > end:
            break
        answers.append(judge(case, api, MOST_SECONDS, time.monotonic))
        if answers[-1].problem:
            print(f"{answers[-1].case}: {answers[-1].problem}", flush=True)
    api.close()
    return answers


def survives(server: ServerProcess, folder: Path) -> bool:
    """Whether the same process still takes a good clip."""
    api = Api(server.address)
    video = api.upload("disk.gif", clip_bytes(folder, 0))
    made = api.call("lift", video, {"num_frames": 2}, "cpu", {"size": 64}, "")
    api.call("cancel", made["run"], made["token"])
    return server.process.is_running()


def main() -> int:
    """Returns 1 if any answer was not what it has to be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=20.0, help="after which it stops by itself")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ar4d-malformed-") as name:
        folder = Path(name)
        server = ServerProcess(folder / "runs", folder / "log", AR4D_LIMIT_WAITING="100")
        try:
            server.start()
            answers = send_all(server, options.count, options.seed, options.minutes)
            alive = survives(server, folder)
        finally:
            server.stop()
    problems = [answer for answer in answers if answer.problem]
    seconds = sorted(answer.seconds for answer in answers)
    taken = sum(answer.text.startswith("taken") for answer in answers)
    print(
        f"malformed: {len(answers)} sent, {taken} could be served after all, {len(problems)} not answered as "
        f"they have to be; median {1000 * median(seconds):.0f} ms, longest {seconds[-1]:.1f} s; the server "
        f"{'lives' if alive else 'is gone'}"
    )
    for text, number in Counter(answer.problem.split(":")[0] for answer in problems).most_common(10):
        print(f"  {number} × {text}")
    return int(bool(problems) or not alive)


if __name__ == "__main__":
    sys.exit(main())
