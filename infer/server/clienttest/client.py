"""The official Python client, and the calls of WrinkleFree's own, against wf serve: python client.py URL. Needs openai and requests from PyPI."""

import sys

import openai
import requests

URL = sys.argv[1]
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
ANSWER = "The capital of France is Paris."
client = openai.OpenAI(base_url=URL + "/v1", api_key="none", max_retries=0)
checks = 0


def check(what, ok):
    global checks
    checks += 1
    if not ok:
        sys.exit(f"failed: {what}")


def ask(**more):
    return client.chat.completions.create(**{"model": "default", "messages": QUESTION, **more})


def raises(what, kind, **more):
    try:
        ask(**more)
    except kind:
        return check(what, True)
    check(what, False)


r = ask()
check("chat", r.choices[0].message.content == ANSWER and r.choices[0].finish_reason == "stop" and r.usage.total_tokens == 29)
check("stream", "".join(c.choices[0].delta.content or "" for c in ask(stream=True)) == ANSWER)
chunks = list(ask(stream=True, stream_options={"include_usage": True}))
check("usage in a stream", chunks[-1].usage.completion_tokens == 12 and not chunks[-1].choices)
check("steps", any(c.object == "wf.step" for c in ask(stream=True, extra_body={"diffusion": {"stream_steps": True}})))
check("stop", ask(stop=[" is"]).choices[0].message.content == "The capital of France")
check("n", len(ask(n=3).choices) == 3)
check("length", ask(max_tokens=2).choices[0].finish_reason == "length")
check("seed", ask(temperature=1, seed=5).choices[0].message.content == ask(temperature=1, seed=5).choices[0].message.content)
check("logprobs", "".join(t.token for t in ask(logprobs=True, top_logprobs=2).choices[0].logprobs.content) == ANSWER)
check("logit_bias", "Paris" not in ask(logit_bias={"574": -100}).choices[0].message.content)
check("penalties", ask(presence_penalty=0.1, frequency_penalty=0.1, extra_body={"repetition_penalty": 1.1}).choices)
check("models", [m.id for m in client.models.list()] == ["wf-tiny"] and client.models.retrieve("default").id == "wf-tiny")
check("completions", client.completions.create(model="default", prompt="Hello", max_tokens=4).usage.completion_tokens == 4)
check("completions in a stream", list(client.completions.create(model="default", prompt="Hello", max_tokens=4, stream=True))[-1].choices[0].finish_reason)
raises("400", openai.BadRequestError, temperature=9)
raises("404", openai.NotFoundError, model="gpt-9")
raises("no messages", openai.BadRequestError, messages=[])
raises("too long", openai.BadRequestError, max_tokens=100000)
raises("tools", openai.BadRequestError, tools=[{"type": "function", "function": {"name": "f"}}])
raises("timeout", openai.APITimeoutError, n=100, timeout=0.001)
stream = ask(stream=True, n=50)
next(iter(stream))
stream.close()
check("cancel, and an answer after it", ask().choices[0].message.content == ANSWER)

# What WrinkleFree's client sends.
check("/health", requests.get(URL + "/health").status_code == 200)
body = {"prompt": "2 + 2 =", "n_predict": 16, "temperature": 0.7, "top_p": 0.9, "top_k": 40, "stop": ["\n"], "stream": False}
check("/completion", isinstance(requests.post(URL + "/completion", json=body).json()["content"], str))
lines = requests.post(URL + "/completion", json={**body, "stream": True}, stream=True).iter_lines()
check("/completion in a stream", any(b'"stop":true' in line for line in lines))
tokens = requests.post(URL + "/tokenize", json={"content": "hello"}).json()["tokens"]
check("/tokenize and /detokenize", requests.post(URL + "/detokenize", json={"tokens": tokens}).json()["content"] == "hello")
body = {"model": "default", "messages": QUESTION, "repetition_penalty": 1.1}
check("/v1/chat/completions", requests.post(URL + "/v1/chat/completions", json=body).json()["choices"])
print(f"{checks} checks passed")
