import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from tapetum.errors import RefusedRequest
from tapetum.web.limits import Bounds, Limits


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})


def run(bounds: Bounds, *messages: tuple[float, bytes], take_s: float = 0.0) -> list[Message]:
    """What is answered to pieces of a body that come after so many seconds each."""
    waiting = list(messages)
    sent: list[Message] = []

    async def receive() -> Message:
        delay, body = waiting.pop(0)
        await asyncio.sleep(delay)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        await asyncio.sleep(take_s)
        sent.append(message)

    asyncio.run(Limits(reads_all, bounds)({"type": "http"}, receive, send))
    return sent


def code(bounds: Bounds, *messages: tuple[float, bytes]) -> str:
    with pytest.raises(RefusedRequest) as caught:
        run(bounds, *messages)
    return caught.value.code


def test_a_body_within_its_bounds_goes_through() -> None:
    assert run(Bounds(body_bytes=10), (0, b"x" * 5), (0, b"x" * 5))


def test_a_longer_body_is_refused() -> None:
    assert code(Bounds(body_bytes=10), (0, b"x" * 5), (0, b"x" * 6)) == "too-large"


def test_a_silent_client_is_refused() -> None:
    assert code(Bounds(silence_s=0.05), (0, b"x"), (5, b"x")) == "too-slow"


def test_a_trickle_is_refused_after_its_grace() -> None:
    trickle = [(0.02, b"x")] * 20
    assert code(Bounds(grace_s=0.1, bytes_per_s=1000), *trickle) == "too-slow"
    assert run(Bounds(grace_s=10, bytes_per_s=1000), *trickle[:3])


def test_a_client_that_does_not_take_its_answer_is_cut_off() -> None:
    with pytest.raises(TimeoutError):
        run(Bounds(silence_s=0.05), (0, b"x"), take_s=5)


def test_waiting_for_the_client_to_leave_has_no_end() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"

    async def main() -> None:
        messages: list[Any] = [{"type": "http.request"}, {"type": "http.disconnect"}]

        async def receive() -> Message:
            await asyncio.sleep(0.1 if len(messages) == 1 else 0)
            return messages.pop(0)

        async def send(_: Message) -> None:
            return None

        await Limits(app, Bounds(silence_s=0.05))({"type": "http"}, receive, send)

    asyncio.run(main())


def test_what_is_not_http_passes() -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    asyncio.run(Limits(app, Bounds())({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
