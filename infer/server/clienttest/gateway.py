"""Two workers behind sglang-router, eight clients that never rest, and one worker that is killed while it answers: gateway.py WF.

No request may be lost but those that were in flight at the worker that died, and a gateway that tries again loses not even these.
"""

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

WF, GATEWAY, WORKERS, CLIENTS, SECONDS = sys.argv[1], 30600, (30601, 30602), 8, 12
QUESTION = {"model": "default", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
SLOW = {**QUESTION, "n": 10}  # the most that the gateway lets through: long enough to be killed in
processes = []


def get(port, path):
    return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).read().decode()


def ask(body):
    request = urllib.request.Request(f"http://127.0.0.1:{GATEWAY}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    reply = json.load(urllib.request.urlopen(request, timeout=60))
    return all(c["message"]["content"] == "The capital of France is Paris." for c in reply["choices"])


def until(what, ok):
    for _ in range(240):
        try:
            if ok():
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.25)
    sys.exit(f"never: {what}")


def running(port):
    return int(float(re.search(r"^wf_answers_running\S* (\S+)", get(port, "/metrics"), re.M)[1]))


def client(done, log):
    while not done.is_set():
        began = time.monotonic()
        try:
            problem = "" if ask(SLOW) else "another answer"
        except urllib.error.HTTPError as e:
            problem = f"{e.code} {e.read().decode()}"
        except (OSError, ValueError) as e:
            problem = repr(e)
        log.append((began, time.monotonic(), problem))


def main():
    for port in WORKERS:
        processes.append(subprocess.Popen([WF, "-q", "serve", "--port", str(port)], stderr=subprocess.DEVNULL))
    router = [sys.executable, "-m", "sglang_router.launch_router", "--worker-urls", *(f"http://127.0.0.1:{p}" for p in WORKERS)]
    router += ["--policy", "round_robin", "--cb-failure-threshold", "2", "--retry-max-retries", "8", "--host", "127.0.0.1", "--port", str(GATEWAY)]
    processes.append(subprocess.Popen(router, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    until("the gateway answers", lambda: ask(QUESTION))

    done, log = threading.Event(), []
    clients = [threading.Thread(target=client, args=(done, log), daemon=True) for _ in range(CLIENTS)]
    for c in clients:
        c.start()
    time.sleep(SECONDS / 3)
    until("the worker that is to die is busy", lambda: running(WORKERS[0]))
    killed = time.monotonic()
    processes[0].send_signal(signal.SIGKILL)
    time.sleep(SECONDS * 2 / 3)
    done.set()
    for c in clients:
        c.join()

    lost = [r for r in log if r[2]]
    inflight = [r for r in log if r[0] <= killed < r[1]]
    after = [r for r in log if r[0] > killed]
    print(f"{len(log)} requests by {CLIENTS} clients, {len(inflight)} in flight when one of two workers was killed, {len(lost)} lost of these; {len(after)} came later")
    if not inflight or not after or any(r not in inflight for r in lost):
        sys.exit(f"lost: {[(round(b - killed, 2), round(e - killed, 2), problem) for b, e, problem in lost]}, in seconds from the kill")


try:
    main()
finally:
    for p in processes:
        p.kill()
